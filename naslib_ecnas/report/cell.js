// Drawing of a cell: dagre's layout, from the input at the top to the output at the bottom.

const OPERATOR = {
  input: { text: "input", kind: "end" },
  output: { text: "output", kind: "end" },
  "conv3x3-bn-relu": { text: "conv 3×3", kind: "conv3" },
  "conv1x1-bn-relu": { text: "conv 1×1", kind: "conv1" },
  maxpool3x3: { text: "max-pool 3×3", kind: "pool" },
};
const NODE = { width: 106, height: 30 };

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

/** The drawing of a cell as an SVG element. */
function drawCell(cell) {
  const graph = new dagre.graphlib.Graph().setGraph({ nodesep: 18, edgesep: 14, ranksep: 30, marginx: 6, marginy: 6 });
  cell.ops.forEach((op, vertex) => graph.setNode(String(vertex), { ...NODE }));
  for (const [i, j] of cell.edges) graph.setEdge(String(i), String(j), {});
  dagre.layout(graph);
  const lines = graph.edges().map((edge) => graph.edge(edge).points);
  // The width of the graph is that of its vertices; edges may pass beside them.
  const [left, right] = extent([0, graph.graph().width, ...lines.flat().flatMap(({ x }) => [x - 6, x + 6])]);
  const [width, height] = [right - left, graph.graph().height];
  const arrow = svg(
    "marker",
    { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 6.5, markerHeight: 6.5, orient: "auto" },
    svg("path", { d: "M0 0L8 4L0 8Z", class: "arrow" }),
  );
  const nodes = cell.ops.map((op, vertex) => {
    const { text, kind } = OPERATOR[op];
    const { x, y } = graph.node(String(vertex));
    const box = { x: x - NODE.width / 2, y: y - NODE.height / 2, ...NODE, rx: 7 };
    const name = svg("text", { x, y, dy: "0.35em", "text-anchor": "middle" }, text);
    return svg("g", { class: `node ${kind}`, "data-vertex": vertex }, svg("rect", box), name);
  });
  return svg(
    "svg",
    { viewBox: `${left} 0 ${width} ${height}`, width, height, role: "img", "aria-label": `Graph of the cell: ${cellSentence(cell)}` },
    svg("defs", {}, arrow),
    ...lines.map((points) => svg("path", { d: edgePath(points), class: "edge" })),
    ...nodes,
  );
}

/** SVG path of a smooth line: it bends at the points and passes through the middle between two of them. */
function edgePath(points) {
  const bends = points.slice(1, -1).map(({ x, y }, i) => {
    const next = points[i + 2];
    const last = i + 3 === points.length;
    return `Q${x} ${y} ${last ? next.x : (x + next.x) / 2} ${last ? next.y : (y + next.y) / 2}`;
  });
  return `M${points[0].x} ${points[0].y}${bends.join("")}`;
}
