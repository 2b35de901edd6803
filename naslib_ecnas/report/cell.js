"use strict";
// Drawing of a cell: layers from the input at the top to the output at the bottom.

const OPERATOR = {
  input: { text: "input", kind: "end" },
  output: { text: "output", kind: "end" },
  "conv3x3-bn-relu": { text: "conv 3×3", kind: "conv3" },
  "conv1x1-bn-relu": { text: "conv 1×1", kind: "conv1" },
  maxpool3x3: { text: "max-pool 3×3", kind: "pool" },
};
const NODE = { width: 106, height: 30, gapX: 18, gapY: 30, lane: 26 };

/** The text of a cell, as in Python's `str(cell)`. */
function cellText({ vertices, edges, ops }) {
  const bits = Array(vertices * vertices).fill(0);
  for (const [i, j] of edges) bits[i * vertices + j] = 1;
  return `${bits.join("")}:${ops.join(",")}`;
}

/** Description of the drawing for screen readers. */
function cellSentence({ edges, ops }) {
  const name = (v) => OPERATOR[ops[v]].text + (v && v < ops.length - 1 ? ` (vertex ${v})` : "");
  return edges.map(([i, j]) => `${name(i)} to ${name(j)}`).join("; ");
}

/**
 * Layers of items; an item is a vertex, or the point where an edge passes through the layer
 * (`through`). The layer of a vertex is the longest path to it, so that every edge goes down.
 */
function layersOf({ vertices, edges }) {
  const level = Array(vertices).fill(0);
  for (const [i, j] of [...edges].sort((a, b) => a[0] - b[0])) level[j] = Math.max(level[j], level[i] + 1);
  const layers = Array.from({ length: level[vertices - 1] + 1 }, () => []);
  const added = (layer, more) => {
    const item = { layer, up: [], down: [], ...more };
    layers[layer].push(item);
    return item;
  };
  const place = level.map((at, vertex) => added(at, { vertex }));
  const chains = edges.map(([i, j]) => {
    const between = Array.from({ length: level[j] - level[i] - 1 }, (_, k) => added(level[i] + 1 + k, { through: true }));
    const chain = [place[i], ...between, place[j]];
    chain.slice(1).forEach((item, k) => {
      chain[k].down.push(item);
      item.up.push(chain[k]);
    });
    return chain;
  });
  return { layers, chains };
}

const widthOf = (item) => (item.through ? NODE.lane : NODE.width);
/** Distance of two items side by side. */
const room = (a, b) => (widthOf(a) + widthOf(b)) / 2 + NODE.gapX;
const meanX = (items) => items.reduce((sum, item) => sum + item.x, 0) / items.length;

/** Order the items of each layer so that each is near the mean of its neighbours. */
function arrange(layers) {
  const spread = (layer) => {
    layer.forEach((item, i) => (item.x = i ? layer[i - 1].x + room(layer[i - 1], item) : 0));
    const middle = (layer.at(-1).x + (widthOf(layer.at(-1)) - widthOf(layer[0])) / 2) / 2;
    for (const item of layer) item.x -= middle;
  };
  layers.forEach(spread);
  let best = null;
  for (let sweep = 0; sweep < 8; sweep++) {
    const downwards = sweep % 2 === 0;
    for (const layer of downwards ? layers : [...layers].reverse()) {
      const near = (item) => {
        const others = downwards ? item.up : item.down;
        return others.length ? meanX(others) : item.x;
      };
      layer.sort((a, b) => near(a) - near(b));
      spread(layer);
    }
    const crossed = crossings(layers);
    if (!best || crossed < best.crossed) best = { crossed, order: layers.map((l) => [...l]) };
  }
  best.order.forEach((order, i) => {
    layers[i] = order;
    spread(order);
  });
  settle(layers);
}

/** Move every item towards its neighbours, as far as the items beside it leave room. */
function settle(layers) {
  for (let round = 0; round < 24; round++) {
    for (const layer of layers) {
      layer.forEach((item, i) => {
        const [before, after] = [layer[i - 1], layer[i + 1]];
        const low = before ? before.x + room(before, item) : -Infinity;
        const high = after ? after.x - room(after, item) : Infinity;
        item.x = Math.min(high, Math.max(low, meanX([...item.up, ...item.down])));
      });
    }
  }
}

/** Twice the number of pairs of lines that cross. */
function crossings(layers) {
  const counts = layers.map((layer) => {
    const lines = layer.flatMap((item) => item.down.map((other) => [item.x, other.x]));
    return lines.flatMap(([a, b]) => lines.filter(([c, d]) => (a - c) * (b - d) < 0)).length;
  });
  return counts.reduce((sum, count) => sum + count);
}

/** The drawing of a cell as an SVG element. */
function drawCell(cell) {
  const { layers, chains } = layersOf(cell);
  arrange(layers);
  const step = NODE.height + NODE.gapY;
  const half = NODE.height / 2;
  const all = layers.flat();
  const reach = (item) => (item.through ? 4 : NODE.width / 2);
  const left = Math.min(...all.map((item) => item.x - reach(item))) - 6;
  const right = Math.max(...all.map((item) => item.x + reach(item))) + 6;
  const height = (layers.length - 1) * step + NODE.height + 12;
  const width = right - left;
  const arrow = svg(
    "marker",
    { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6.5, markerHeight: 6.5, orient: "auto" },
    svg("path", { d: "M0 0L8 4L0 8Z", class: "arrow" }),
  );
  const nodes = all.filter((item) => !item.through).map(({ vertex, x, layer }) => {
    const { text, kind } = OPERATOR[cell.ops[vertex]];
    const y = layer * step;
    const box = { x: x - NODE.width / 2, y: y - half, width: NODE.width, height: NODE.height, rx: 7 };
    const name = svg("text", { x, y, dy: "0.35em", "text-anchor": "middle" }, text);
    return svg("g", { class: `node ${kind}`, "data-vertex": vertex }, svg("rect", box), name);
  });
  const says = `Graph of the cell: ${cellSentence(cell)}`;
  return svg(
    "svg",
    { viewBox: `${left} ${-half - 6} ${width} ${height}`, width, height, role: "img", "aria-label": says },
    svg("defs", {}, arrow),
    ...chains.map((chain) => svg("path", { d: edgePath(chain, step, half), class: "edge" })),
    ...nodes,
  );
}

/** SVG path of an edge: down from a vertex, straight through layers, into the other vertex. */
function edgePath(chain, step, half) {
  const [from, to] = [chain[0], chain.at(-1)];
  let x = from.x;
  let y = from.layer * step + half;
  let d = `M${x} ${y}`;
  const curve = (x2, y2) => {
    const bend = (y2 - y) / 2;
    d += `C${x} ${y + bend} ${x2} ${y2 - bend} ${x2} ${y2}`;
    [x, y] = [x2, y2];
  };
  for (const item of chain.slice(1, -1)) {
    curve(item.x, item.layer * step - half);
    y = item.layer * step + half;
    d += `V${y}`;
  }
  // Arrows into one vertex end side by side, in the order of their origins.
  const into = [...to.up].sort((a, b) => a.x - b.x);
  const offset = (into.indexOf(chain.at(-2)) - (into.length - 1) / 2) * 14;
  curve(to.x + offset, to.layer * step - half - 2);
  return d;
}
