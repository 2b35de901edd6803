"use strict";
// Elements of the page, and marker shapes of groups that are distinct without colour.

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

/** A colour of the style sheet in the current colour scheme. */
const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

/** An HTML element with attributes; children are elements, or texts that are never read as HTML. */
const element = (tag, attributes, ...children) => filled(document.createElement(tag), attributes, children);

/** The same of SVG. */
const svg = (tag, attributes, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);

function filled(host, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) host.setAttribute(key, value);
  host.append(...children);
  return host;
}

/** A checkbox with its label; `onChange` receives whether it is checked. */
function checkbox(text, on, onChange) {
  const box = element("input", { type: "checkbox", value: text });
  box.checked = on;
  box.addEventListener("change", () => onChange(box.checked));
  return element("label", {}, box, ` ${text}`);
}

function rowButton(row, onPick) {
  const says = `Select the cell of row ${row}`;
  const button = element("button", { type: "button", class: "row", "aria-label": says }, row);
  button.addEventListener("click", () => onPick(row));
  return button;
}

/** Fill a table; a cell is a text, an element, or `{ content, span }` over several columns. */
function fillTable(table, heads, lines, right) {
  const row = (cells, tag) =>
    element("tr", {}, ...cells.map((given, i) => {
      const attributes = tag === "th" ? { scope: "col" } : {};
      if (right.includes(i)) attributes.class = "number";
      if (given.span > 1) attributes.colspan = given.span;
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

/** Outline of a mark. */
function markPath(x, y, size, shape) {
  const path = new Path2D();
  if (shape === "circle") path.arc(x, y, size, 0, 2 * Math.PI);
  SHAPES[shape].forEach(([a, b], i) => path[i ? "lineTo" : "moveTo"](x + a * size, y + b * size));
  path.closePath();
  return path;
}

/** A mark of a legend. */
function swatch(shape, fill) {
  const corners = SHAPES[shape].map(([a, b]) => `${4 * a},${4 * b}`).join(" ");
  const mark = shape === "circle" ? svg("circle", { r: 4, fill }) : svg("polygon", { points: corners, fill });
  return svg("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" }, mark);
}
