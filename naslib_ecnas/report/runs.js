// Searches: groups of runs, their curves and their table.

/** Lists of the items that have equal keys, in the order of the first of each. */
const groupedBy = (items, keyOf) => [...Map.groupBy(items, (item) => JSON.stringify(keyOf(item))).values()];

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

/** What curves show, and over what. */
const MEASURES = {
  hypervolume: { about: "share of the true hypervolume", fraction: true, of: (v) => v, best: 1 },
  gap: { about: "gap to the true hypervolume", fraction: true, of: (v) => 1 - v, best: 0 },
};
const SPENT = {
  evaluations: { about: "evaluations", unit: "" },
  energy_kwh: { about: "energy of all trainings", unit: "kWh" },
  training_time_s: { about: "time of all trainings", unit: "s" },
};
const spentBy = (run, name) => (name === "evaluations" ? run.counts : run.costs[name]);

/** The reference point of a run's hypervolume, in words. */
const referenceText = (run, table) => run.reference
  .map((value, i) => [table.metric.get(run.objectives[i]), value])
  .map(([metric, value]) => `${metric.about} ${shown(metric, value)}`).join(", ");

/** Draw curves, one chart for each set of objectives and budget; returns the charts. */
function drawCurves(host, groups, table, choice) {
  const known = groups.map((group) => ({
    ...group,
    runs: group.runs.filter((run) => run.curve.length && !spentBy(run, choice.over).includes(null)),
  }));
  host.replaceChildren();
  return groupedBy(known.filter(({ runs }) => runs.length), (group) => [group.objectives, group.epochs]).map((some) => {
    const { objectives, epochs, runs } = some[0];
    const names = objectives.map((name) => table.metric.get(name)?.about ?? name).join(" and ");
    const caption =
      `${names[0].toUpperCase()}${names.slice(1)} at ${epochs} epochs. Hypervolume is a share of the true front's; its ` +
      `reference point is ${referenceText(runs[0], table)}, a tenth of the true front's range beyond its worst values. ` +
      "Thick lines and bands: median and quartiles over the runs of a method. Drag to enlarge, double-click to see all.";
    const box = element("div", { role: "img", "aria-label": caption });
    const says = element("p", { class: "quiet" }, "\u00a0");
    host.append(element("figure", {}, box, says, element("figcaption", {}, caption)));
    return curveChart(box, some.filter((group) => group.shown), choice, (text) => (says.textContent = text || "\u00a0"));
  });
}

function curveChart(host, groups, { over, measure, logx, logy, single }, say) {
  const [scaleX, scaleY] = [logx, logy].map((log) => (log ? SCALES.log : SCALES.linear));
  const { of, best } = MEASURES[measure];
  const runs = groups.flatMap((group) => group.runs);
  const xs = [...new Set(runs.flatMap((run) => spentBy(run, over)))].filter((x) => x > 0).sort((a, b) => a - b);
  /** What a run had reached at each of `xs`; null before its first evaluation and beyond its end. */
  const reached = (run) => {
    const spent = spentBy(run, over);
    let i = -1;
    return xs.map((x) => {
      while (spent[i + 1] <= x) i++;
      return i < 0 || x > spent.at(-1) ? null : of(run.curve[i]);
    });
  };
  const placed = (values) => values.map((v) => (v === null || !Number.isFinite(scaleY.place(v)) ? null : scaleY.place(v)));
  const [bands, lines, medians] = [[], [], []];
  const line = (values, colour, width) => lines.push({ values: placed(values), colour, width });
  for (const { runs, colour, name } of groups) {
    const each = runs.map(reached);
    const all = xs.map((_, i) => each.map((values) => values[i])).map((some) => (some.includes(null) ? null : some));
    const found = all.map((some) => (some ? quartiles(some) : [null, null, null]));
    const [low, middle, high] = [0, 1, 2].map((k) => found.map((three) => three[k]));
    medians.push({ name, middle });
    const alone = runs.length === 1;
    if (single || alone) for (const values of each) line(values, colour, alone ? 2.2 : 0.8);
    if (alone) continue;
    bands.push({ low: placed(low), high: placed(high), colour });
    line(middle, colour, 2.6);
  }
  const places = xs.map(scaleX.place);
  const ends = [...bands.flatMap(({ low, high }) => [low, high]), ...lines.map(({ values }) => values), placed([best])];
  const cursor = path("M0 0v999", "", "quiet", { "stroke-dasharray": "3 3" });
  const chart = Object.assign(new Plot(host), {
    ...{ bands, lines, mode: "box" },
    x: new Axis(SPENT[over], scaleX, places),
    y: new Axis(MEASURES[measure], scaleY, ends.flat().filter((v) => v !== null)),
    nearest: (point) => {
      const [at] = chart.placesAt(point);
      return at < places[0] ? null : places.findLastIndex((place) => place <= at);
    },
    layers: () => {
      const points = (values) => values.flatMap((y, i) => (y === null ? [] : [chart.pointAt(places[i], y)]));
      return [
        ...bands.map(({ low, high, colour }) => {
          const back = points(low).reverse().map(([x, y]) => `V${y}H${x}`).join("");
          return path(`${stepData(points(high))}${back}Z`, colour, "", { "fill-opacity": 0.25 });
        }),
        ...lines.map(({ values, colour, width }) => path(stepData(points(values)), "", colour, { "stroke-width": width })),
        cursor,
      ];
    },
  });
  const tell = (i, point) => {
    cursor.setAttribute("transform", `translate(${i === null ? -9 : point.x} 0)`);
    const texts = medians.filter(({ middle }) => i !== null && middle[i] !== null);
    const at = over === "evaluations" ? `${plain(xs[i] ?? NaN, 9)} evaluations` : shown(SPENT[over], xs[i]);
    say(texts.length && `At ${at}, medians: ` +
      texts.map(({ name, middle }) => `${name} ${plain(middle[i])}`).join("; "));
  };
  tell(null);
  listen(chart, tell, ([[x0], [x1]]) => {
    chart.outline = null;
    chart.show([Math.min(x0, x1), Math.max(x0, x1), chart.y.low, chart.y.high]);
  });
  return chart;
}

/** Lower quartile, median and upper quartile with linear interpolation, as numpy's; NaN of none. */
function quartiles(values) {
  const known = values.filter(Number.isFinite).sort((a, b) => a - b);
  return [0.25, 0.5, 0.75].map((p) => {
    const at = p * (known.length - 1);
    const [low, high] = [known[Math.floor(at)], known[Math.ceil(at)]];
    return low + (high - low) * (at - Math.floor(at));
  });
}

/** Columns of the run table: heading, value of a run, text of the value. */
const RUN_COLUMNS = [
  ["Run", (run) => run.label, String],
  ["Method", (run, group) => group.method, String],
  ["Seed", (run) => run.seed, String],
  ["Evaluations", (run) => run.evaluations, (v) => plain(v, 9)],
  ["Front", (run) => run.front.length, String],
  ["Hypervolume", (run) => run.hypervolume, (v, { front }) => v?.toFixed(4) ?? (front.length ? "unknown" : "no front")],
  ["Energy (kWh)", ({ costs }) => costs.energy_kwh.at(-1), (v) => plain(v)],
  ["Time (h)", ({ costs }) => costs.training_time_s.at(-1) && costs.training_time_s.at(-1) / 3600, (v) => plain(v)],
];

/** Runs whose texts contain every word of `find`, sorted by a column: `{ group, run, values }`. */
function foundRuns(groups, find, sort) {
  const words = find.toLowerCase().split(/\s+/);
  const line = (run, group) => ({ group, run, values: RUN_COLUMNS.map(([, of]) => of(run, group)) });
  const lines = groups.flatMap((group) => group.runs.map((run) => line(run, group)));
  const found = lines.filter(({ values }) => words.every((word) => values.slice(0, 3).join(" ").toLowerCase().includes(word)));
  const [column, sign] = [Math.abs(sort) - 1, Math.sign(sort)];
  const compared = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
  const order = ({ values: a }, { values: b }) =>
    (a[column] === null) - (b[column] === null) || sign * compared(a[column], b[column]);
  return sign ? found.sort(order) : found;
}

/** Fill the table of single runs and that of methods; `onSort` receives the number of a column. */
function fillRunTables(single, methods, found, sort, onSort, onPick) {
  const heads = RUN_COLUMNS.map(([head], i) => {
    const now = Math.abs(sort) === i + 1 ? (sort > 0 ? "ascending" : "descending") : "none";
    const mark = { ascending: " ▲", descending: " ▼", none: "" }[now];
    return { content: button({ class: "head" }, head + mark, () => onSort(i + 1)), sort: now };
  });
  const lines = found.map(({ group, run, values }) => [
    swatch(group.shape, group.colour),
    ...values.map((value, i) => RUN_COLUMNS[i][2](value, run)),
    run.knee === null ? "" : rowButton(run.knee, onPick),
  ]);
  fillTable(single, ["", ...heads, "Knee"], lines, [3, 4, 5, 6, 7, 8, 9]);
  const numbers = RUN_COLUMNS.slice(3);
  const summary = groupedBy(found, ({ group }) => group.name).map((some) => [
    swatch(some[0].group.shape, some[0].group.colour),
    some[0].group.name,
    some.length,
    ...numbers.map((_, i) => {
      const [low, middle, high] = quartiles(some.map(({ values }) => values[i + 3])).map((v) => plain(v));
      return low === high ? middle : `${middle} (${low}–${high})`;
    }),
  ]);
  fillTable(methods, ["", "Method", "Runs", ...numbers.map(([head]) => head)], summary, [2, 3, 4, 5, 6, 7]);
}
