"use strict";
// Searches: groups of runs, their curves and their table.

/** Lists of the items that have equal keys, in the order of the first of each. */
function groupedBy(items, keyOf) {
  const groups = new Map();
  for (const item of items) {
    const key = JSON.stringify(keyOf(item));
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(item);
  }
  return [...groups.values()];
}

/** Groups of runs that differ in the seed only; each has a colour of the style sheet and a shape. */
function grouped(runs) {
  const alike = groupedBy(runs, (run) =>
    [run.method, run.paper, run.noise, run.epochs, run.objectives, run.group]);
  const groups = alike.map((runs, i) => {
    const { epochs, objectives, paper, noise } = runs[0];
    const made = runs.map((run) => run.evaluations);
    const evaluations = [...new Set([Math.min(...made), Math.max(...made)])].join(" to ");
    const method = runs[0].method + (paper ? " (paper setting)" : "") + (noise ? " with noise" : "");
    const look = { colour: `run-${i % 6}`, shape: Object.keys(SHAPES)[i % 5] };
    return { ...look, method, epochs, objectives, evaluations, runs, shown: true };
  });
  for (const group of groups) {
    const alone = groups.filter((g) => g.method === group.method).length === 1;
    group.name = group.method + (alone ? "" : `, ${group.evaluations} at ${group.epochs} epochs`);
  }
  return groups;
}

/** Curves of hypervolume over evaluations: one chart for each set of objectives and budget. */
function drawCurves(host, groups, table) {
  const known = groups.filter((group) => group.runs.some((run) => run.curve.length));
  const charts = groupedBy(known, (group) => [group.objectives, group.epochs]).map((some) => {
    const { objectives, epochs } = some[0];
    const names = objectives.map((name) => table.metric.get(name)?.about ?? name).join(" and ");
    const caption =
      `Hypervolume over evaluations: ${names}, ${epochs} epochs, as a share of the true front's. ` +
      "Thick lines: median over the runs of a method; thin lines: single runs.";
    const chart = curveChart(some, `Hypervolume over evaluations, ${names}`);
    return element("figure", {}, chart, element("figcaption", {}, caption));
  });
  host.replaceChildren(...charts);
}

function curveChart(groups, label) {
  const [width, height, left, right, top, base] = [640, 300, 52, 628, 12, 260];
  const runs = groups.flatMap((group) => group.runs);
  const last = Math.max(2, ...runs.map((run) => run.counts.at(-1) ?? 1));
  const low = Math.max(0, Math.min(...runs.flatMap((run) => run.curve).filter(Number.isFinite), 0.99) - 0.02);
  const x = (n) => left + (Math.log(n) / Math.log(last)) * (right - left);
  const y = (v) => top + ((1 - v) / (1 - low)) * (base - top);
  const parts = [];
  for (const n of logTicks(1, last, 8).filter(Number.isInteger)) {
    parts.push(svg("line", { x1: x(n), x2: x(n), y1: top, y2: base, class: "grid" }));
    parts.push(svg("text", { x: x(n), y: base + 16, "text-anchor": "middle" }, n.toLocaleString("en")));
  }
  const levels = linearTicks(low, 1, 6);
  for (const v of levels) {
    parts.push(svg("line", { x1: left, x2: right, y1: y(v), y2: y(v), class: "grid" }));
    parts.push(svg("text", { x: left - 7, y: y(v), dy: "0.35em", "text-anchor": "end" }, tickText(v, levels)));
  }
  parts.push(svg("text", { x: right, y: height - 6, "text-anchor": "end", class: "name" }, "evaluations"));
  for (const group of groups.filter((g) => g.shown)) {
    const curve = (counts, values, thick) => {
      const known = counts.map((n, i) => [x(n).toFixed(1), values[i]]).filter(([, v]) => Number.isFinite(v));
      const d = known.map(([at, v], i) => `${i ? `H${at}V` : `M${at} `}${y(v).toFixed(1)}`).join("");
      parts.push(svg("path", { d, stroke: colourOf(group.colour), "stroke-width": thick, class: "curve" }));
    };
    const many = group.runs.length > 1;
    for (const run of group.runs) curve(run.counts, run.curve, many ? 0.8 : 2.2);
    // As far as all runs of the group go: under a limit of energy they differ in length.
    const end = Math.min(...group.runs.map((run) => run.counts.at(-1) ?? Infinity));
    const every = new Set(group.runs.flatMap((run) => run.counts).filter((n) => n <= end));
    const counts = [...every].sort((a, b) => a - b);
    const reached = (run, n) => run.curve[run.counts.findLastIndex((count) => count <= n)];
    if (many) curve(counts, counts.map((n) => medianOf(group.runs.map((run) => reached(run, n)))), 2.6);
  }
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart" }, ...parts);
}

function medianOf(values) {
  const known = values.filter(Number.isFinite).sort((a, b) => a - b);
  const half = known.length >> 1;
  return known.length % 2 ? known[half] : (known[half - 1] + known[half]) / 2;
}

/** One line for each run; its knee can be selected. */
function fillRunTable(host, groups, onPick) {
  const heads = ["", "Run", "Method", "Seed", "Evaluations", "On its front", "Hypervolume", "Energy spent", "Knee"];
  const lines = groups.flatMap((group) =>
    group.runs.map((run) => [
      swatch(group.shape, colourOf(group.colour)),
      run.label,
      group.method,
      run.seed,
      run.evaluations.toLocaleString("en"),
      run.front.length,
      run.hypervolume?.toFixed(4) ?? (run.front.length ? "unknown" : `none at ${run.epochs} epochs`),
      Number.isFinite(run.spent.energy_kwh) ? `${plain(run.spent.energy_kwh)} kWh` : "unknown",
      run.knee === null ? "" : rowButton(run.knee, onPick),
    ]),
  );
  fillTable(host, heads, lines, [3, 4, 5, 6, 7, 8]);
}
