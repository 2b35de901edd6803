// Elements of the page, and marker shapes of groups that are distinct without colour.

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

/** A colour of the style sheet in the current colour scheme. */
function colourOf(name) {
  const colours = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).match(/#\w+/g);
  return colours[Number(matchMedia("(prefers-color-scheme: dark)").matches)];
}

/** An HTML element with attributes; children are elements, or texts that are never read as HTML. */
const element = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);

/** The same of SVG. */
const svg = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

function filled(host, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) host.setAttribute(key, value);
  host.append(...children);
  return host;
}

/** A checked box of the page's form, with its label. */
function checkbox(name, value, ...label) {
  const box = element("input", { type: "checkbox", form: "controls", name, value, checked: "" });
  return element("label", {}, box, " ", ...label);
}

const button = (attributes, text, onClick) => {
  const made = element("button", { type: "button", ...attributes }, text);
  made.addEventListener("click", onClick);
  return made;
};

const rowButton = (row, onPick) =>
  button({ class: "row", "aria-label": `Select the cell of row ${row}` }, row, () => onPick(row));

/** Fill a table; a cell is a text, an element, or `{ content, span, sort }` (columns that it spans, `aria-sort`). */
function fillTable(table, heads, lines, right) {
  const row = (cells, tag) =>
    element("tr", {}, ...cells.map((given, i) => {
      const attributes = tag === "th" ? { scope: "col" } : {};
      if (right.includes(i)) attributes.class = "number";
      if (given.span > 1) attributes.colspan = given.span;
      if (given.sort) attributes["aria-sort"] = given.sort;
      return element(tag, attributes, given.content ?? given);
    }));
  const head = element("thead", {}, row(heads, "th"));
  table.replaceChildren(head, element("tbody", {}, ...lines.map((line) => row(line, "td"))));
}

/** Corners of the marks of radius 1; a circle has none. */
const SHAPES = {
  circle: [],
  square: [[-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]],
  triangle: [[0, -1.35], [1.2825, 1.0125], [-1.2825, 1.0125]],
  wedge: [[0, 1.35], [1.2825, -1.0125], [-1.2825, -1.0125]],
  diamond: [[0, -1.35], [1.35, 0], [0, 1.35], [-1.35, 0]],
};

/** Path data of lines through points. */
const lineData = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("");

/** Path data of steps through points, across and then up or down, or `upFirst`. */
const stepData = (points, upFirst = false) =>
  points.map(([x, y], i) => (!i ? `M${x} ${y}` : upFirst ? `V${y}H${x}` : `H${x}V${y}`)).join("");

/** Path data of a mark. */
function markData(x, y, size, shape) {
  const half = `a${size} ${size} 0 1 1`;
  if (shape === "circle") return `M${x - size} ${y}${half} ${2 * size} 0${half} ${-2 * size} 0Z`;
  return `${lineData(SHAPES[shape].map(([a, b]) => [x + a * size, y + b * size]))}Z`;
}

/** An SVG path in colours of the style sheet; without `fill`, only its line. */
const path = (d, fill, stroke, attributes) =>
  svg("path", { d, fill: fill ? `var(--${fill})` : "none", stroke: stroke ? `var(--${stroke})` : "none", ...attributes });

/** A mark of a legend; a ring if it is not `full`. */
function swatch(shape, colour, full = true) {
  const mark = path(markData(0, 0, 4, shape), full && colour, !full && colour, { "stroke-width": 2 });
  return svg("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" }, mark);
}
