"use strict";
// Marker shapes of groups, which are distinct without colour, on the canvas and in legends.

const SHAPES = ["circle", "square", "triangle", "wedge", "diamond"];

/** Outline of a mark on a canvas. */
function tracePath(context, x, y, size, shape) {
  if (shape === "square") context.rect(x - size * 0.9, y - size * 0.9, size * 1.8, size * 1.8);
  else if (shape === "diamond" || shape === "triangle" || shape === "wedge") {
    const r = size * 1.35;
    const corners = {
      diamond: [[0, -1], [1, 0], [0, 1], [-1, 0]],
      triangle: [[0, -1], [0.95, 0.75], [-0.95, 0.75]],
      wedge: [[0, 1], [0.95, -0.75], [-0.95, -0.75]],
    }[shape];
    corners.forEach(([a, b], i) => context[i ? "lineTo" : "moveTo"](x + a * r, y + b * r));
    context.closePath();
  } else context.arc(x, y, size, 0, 2 * Math.PI);
}

/** A group's marker as an SVG element, for legends. */
function swatch(shape, colour) {
  const svg = svgElement("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" });
  const d = {
    circle: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    square: "M-4-4H4V4H-4Z",
    triangle: "M0-5L5 4H-5Z",
    wedge: "M0 5L5-4H-5Z",
    diamond: "M0-5.5L5.5 0L0 5.5L-5.5 0Z",
  }[shape];
  svg.append(svgElement("path", { d, fill: colour }));
  return svg;
}
