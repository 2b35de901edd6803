"use strict";
// Searches: groups of runs, their curves and their table.

/** Groups of runs that differ in the seed only; each has a colour and a shape. */
function grouped(runs) {
  const groups = new Map();
  for (const run of runs) {
    const key = JSON.stringify([run.method, run.paper, run.epochs, run.objectives, run.evaluations]);
    if (!groups.has(key)) {
      const index = groups.size;
      groups.set(key, { index, shape: SHAPES[index % SHAPES.length], runs: [], shown: true });
    }
    groups.get(key).runs.push(run);
  }
  const all = [...groups.values()];
  for (const group of all) {
    const { method, paper, epochs, evaluations, objectives } = group.runs[0];
    group.name = method + (paper ? " (paper setting)" : "");
    const alike = all.filter((g) => g.runs[0].method === method && g.runs[0].paper === paper);
    if (alike.length > 1) group.name += `, ${evaluations} at ${epochs} epochs`;
    group.objectives = objectives;
    group.epochs = epochs;
  }
  return all;
}

function groupColour(group) {
  const style = getComputedStyle(document.documentElement);
  return style.getPropertyValue(`--run-${group.index % 6}`).trim();
}

/** Curves of hypervolume over evaluations: one chart for each set of objectives and budget. */
function drawCurves(host, groups, table) {
  host.replaceChildren();
  const charts = new Map();
  for (const group of groups) {
    const key = JSON.stringify([group.objectives, group.epochs]);
    if (!charts.has(key)) charts.set(key, []);
    charts.get(key).push(group);
  }
  for (const some of charts.values()) {
    const { objectives, epochs } = some[0];
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    const names = objectives.map((name) => table.metric.get(name)?.about ?? name).join(" and ");
    caption.textContent =
      `Hypervolume over evaluations: ${names}, ${epochs} epochs, as a share of the true front's. ` +
      "Thick lines: median over the runs of a method; thin lines: single runs.";
    figure.append(curveChart(some, `Hypervolume over evaluations, ${names}`), caption);
    host.append(figure);
  }
}

function curveChart(groups, label) {
  const size = { width: 640, height: 300, left: 52, right: 12, top: 12, bottom: 40 };
  const curves = groups.flatMap((g) => g.runs.map((r) => r.curve)).flat().filter((v) => v !== null);
  const last = Math.max(2, ...groups.flatMap((g) => g.runs.map((r) => r.counts[r.counts.length - 1] ?? 1)));
  const low = Math.max(0, Math.min(...curves, 0.99) - 0.02);
  const x = (n) => size.left + (Math.log(n) / Math.log(last)) * (size.width - size.left - size.right);
  const y = (v) => size.top + ((1 - v) / (1 - low)) * (size.height - size.top - size.bottom);
  const svg = svgElement("svg", { viewBox: `0 0 ${size.width} ${size.height}`, role: "img", "aria-label": label, class: "chart" });
  const base = size.height - size.bottom;
  for (const n of logTicks(1, last, 8)) {
    if (!Number.isInteger(n)) continue;
    svg.append(svgElement("line", { x1: x(n), x2: x(n), y1: size.top, y2: base, class: "grid" }));
    svg.append(svgElement("text", { x: x(n), y: base + 16, "text-anchor": "middle" }, n.toLocaleString("en")));
  }
  const levels = linearTicks(low, 1, 6);
  for (const v of levels) {
    svg.append(svgElement("line", { x1: size.left, x2: size.width - size.right, y1: y(v), y2: y(v), class: "grid" }));
    svg.append(svgElement("text", { x: size.left - 7, y: y(v), dy: "0.35em", "text-anchor": "end" }, tickText(v, levels)));
  }
  svg.append(svgElement("text", { x: size.width - size.right, y: size.height - 6, "text-anchor": "end", class: "name" }, "evaluations"));
  const line = (counts, curve) =>
    counts
      .map((n, i) => [n, curve[i]])
      .filter(([, v]) => v !== null && Number.isFinite(v))
      .map(([n, v], i) => `${i ? "H" + x(n).toFixed(1) + "V" : "M" + x(n).toFixed(1) + " "}${y(v).toFixed(1)}`)
      .join("");
  for (const group of groups.filter((g) => g.shown)) {
    const colour = groupColour(group);
    for (const run of group.runs) {
      const width = group.runs.length > 1 ? 0.8 : 2.2;
      svg.append(svgElement("path", { d: line(run.counts, run.curve), stroke: colour, "stroke-width": width, class: "curve" }));
    }
    if (group.runs.length > 1) {
      // Runs of a group have the same length, and so the same counts.
      const { counts } = group.runs[0];
      const median = counts.map((_, i) => medianOf(group.runs.map((r) => r.curve[i])));
      svg.append(svgElement("path", { d: line(counts, median), stroke: colour, "stroke-width": 2.6, class: "curve" }));
    }
  }
  return svg;
}

function medianOf(values) {
  const known = values.filter((v) => v !== null && Number.isFinite(v)).sort((a, b) => a - b);
  const half = known.length >> 1;
  if (!known.length) return null;
  return known.length % 2 ? known[half] : (known[half - 1] + known[half]) / 2;
}

/** One line for each run; its knee can be selected. */
function fillRunTable(host, groups, onPick) {
  const heads = ["", "Run", "Method", "Seed", "Evaluations", "On its front", "Hypervolume", "Energy spent", "Knee"];
  const lines = groups.flatMap((group) =>
    group.runs.map((run) => {
      const kwh = run.spent.energy_kwh;
      const knee = rowButton(run.knee, onPick);
      return [
        swatch(group.shape, groupColour(group)),
        run.label,
        run.method + (run.paper ? " (paper setting)" : ""),
        String(run.seed),
        run.evaluations.toLocaleString("en"),
        String(run.front.length),
        run.hypervolume === null ? "unknown" : run.hypervolume.toFixed(4),
        kwh === null || kwh === undefined ? "unknown" : `${Number(kwh.toPrecision(4)).toLocaleString("en")} kWh`,
        knee,
      ];
    }),
  );
  fillTable(host, heads, lines, new Set([3, 4, 5, 6, 7, 8]));
}

function rowButton(row, onPick) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "row";
  button.textContent = String(row);
  button.setAttribute("aria-label", `Select the cell of row ${row}`);
  button.addEventListener("click", () => onPick(row));
  return button;
}

/**
 * Fill a table with lines of texts and elements, or of `{ content, span }` over several columns.
 * Texts are inserted as text, never as HTML, since names come from files.
 */
function fillTable(table, heads, lines, right = new Set()) {
  const row = (cells, kind) => {
    const tr = document.createElement("tr");
    cells.forEach((given, i) => {
      const { content, span } = given.span ? given : { content: given, span: 1 };
      const cell = document.createElement(kind);
      if (kind === "th") cell.scope = "col";
      if (right.has(i)) cell.className = "number";
      if (span > 1) cell.colSpan = span;
      cell.append(content);
      tr.append(cell);
    });
    return tr;
  };
  const head = document.createElement("thead");
  head.append(row(heads, "th"));
  const body = document.createElement("tbody");
  body.append(...lines.map((line) => row(line, "td")));
  table.replaceChildren(head, body);
}
