"use strict";
// Drawing of a cell: layers from the input at the top to the output at the bottom.

const OPERATOR = {
  input: { text: "input", kind: "end" },
  output: { text: "output", kind: "end" },
  "conv3x3-bn-relu": { text: "conv 3×3", kind: "conv3" },
  "conv1x1-bn-relu": { text: "conv 1×1", kind: "conv1" },
  maxpool3x3: { text: "max-pool 3×3", kind: "pool" },
};
const SVG = "http://www.w3.org/2000/svg";
const NODE = { width: 106, height: 30, gapX: 18, gapY: 30, lane: 26 };

function svgElement(name, attributes = {}, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** The text of a cell, as in Python's `str(cell)`. */
function cellText({ vertices, edges, ops }) {
  const bits = new Array(vertices * vertices).fill(0);
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
  const level = new Array(vertices).fill(0);
  for (const [i, j] of [...edges].sort((a, b) => a[0] - b[0])) {
    level[j] = Math.max(level[j], level[i] + 1);
  }
  const layers = Array.from({ length: level[vertices - 1] + 1 }, () => []);
  const place = level.map((at, vertex) => {
    const item = { vertex, layer: at, up: [], down: [] };
    layers[at].push(item);
    return item;
  });
  const chains = edges.map(([i, j]) => {
    const chain = [place[i]];
    for (let at = level[i] + 1; at < level[j]; at++) {
      const item = { through: true, layer: at, up: [], down: [] };
      layers[at].push(item);
      chain.push(item);
    }
    chain.push(place[j]);
    for (let k = 1; k < chain.length; k++) {
      chain[k - 1].down.push(chain[k]);
      chain[k].up.push(chain[k - 1]);
    }
    return chain;
  });
  return { layers, chains };
}

/** Order the items of each layer so that each is near the mean of its neighbours. */
function arrange(layers) {
  const width = (item) => (item.through ? NODE.lane : NODE.width);
  const spread = (layer) => {
    const total = layer.reduce((sum, item) => sum + width(item) + NODE.gapX, -NODE.gapX);
    let x = -total / 2;
    for (const item of layer) {
      item.x = x + width(item) / 2;
      x += width(item) + NODE.gapX;
    }
  };
  layers.forEach(spread);
  let best = null;
  for (let sweep = 0; sweep < 8; sweep++) {
    const downwards = sweep % 2 === 0;
    for (const layer of downwards ? layers : [...layers].reverse()) {
      const near = (item) => {
        const others = downwards ? item.up : item.down;
        return others.length ? others.reduce((s, o) => s + o.x, 0) / others.length : item.x;
      };
      layer.sort((a, b) => near(a) - near(b));
      spread(layer);
    }
    const crossed = crossings(layers);
    if (!best || crossed < best.crossed) best = { crossed, order: layers.map((l) => [...l]) };
  }
  best.order.forEach((order, i) => {
    layers[i].splice(0, layers[i].length, ...order);
    spread(layers[i]);
  });
  settle(layers, width);
}

/** Move every item towards its neighbours, as far as the items beside it leave room. */
function settle(layers, width) {
  for (let round = 0; round < 24; round++) {
    for (const layer of layers) {
      layer.forEach((item, i) => {
        const others = [...item.up, ...item.down];
        const wanted = others.reduce((sum, o) => sum + o.x, 0) / others.length;
        const room = (a, b) => (width(a) + width(b)) / 2 + NODE.gapX;
        const low = i > 0 ? layer[i - 1].x + room(layer[i - 1], item) : -Infinity;
        const high = i + 1 < layer.length ? layer[i + 1].x - room(layer[i + 1], item) : Infinity;
        item.x = Math.min(high, Math.max(low, wanted));
      });
    }
  }
}

function crossings(layers) {
  let count = 0;
  for (const layer of layers) {
    const lines = layer.flatMap((item) => item.down.map((other) => [item.x, other.x]));
    for (let a = 0; a < lines.length; a++) {
      for (let b = a + 1; b < lines.length; b++) {
        if ((lines[a][0] - lines[b][0]) * (lines[a][1] - lines[b][1]) < 0) count++;
      }
    }
  }
  return count;
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
  const svg = svgElement("svg", {
    viewBox: `${left} ${-half - 6} ${width} ${height}`,
    width,
    height,
    role: "img",
    "aria-label": `Graph of the cell: ${cellSentence(cell)}`,
  });
  const defs = svgElement("defs");
  const head = svgElement("marker", {
    id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6.5, markerHeight: 6.5, orient: "auto",
  });
  head.append(svgElement("path", { d: "M0 0L8 4L0 8Z", class: "arrow" }));
  defs.append(head);
  svg.append(defs);
  for (const chain of chains) svg.append(svgElement("path", { d: edgePath(chain, step, half), class: "edge" }));
  for (const item of all) {
    if (item.through) continue;
    const { text, kind } = OPERATOR[cell.ops[item.vertex]];
    const y = item.layer * step;
    const group = svgElement("g", { class: `node ${kind}`, "data-vertex": item.vertex });
    group.append(
      svgElement("rect", {
        x: item.x - NODE.width / 2, y: y - half, width: NODE.width, height: NODE.height, rx: 7,
      }),
      svgElement("text", { x: item.x, y, dy: "0.35em", "text-anchor": "middle" }, text),
    );
    svg.append(group);
  }
  return svg;
}

/** SVG path of an edge: down from a vertex, straight through layers, into the other vertex. */
function edgePath(chain, step, half) {
  const [from, to] = [chain[0], chain[chain.length - 1]];
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
  const offset = (into.indexOf(chain[chain.length - 2]) - (into.length - 1) / 2) * 14;
  curve(to.x + offset, to.layer * step - half - 2);
  return d;
}
