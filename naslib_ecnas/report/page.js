// The page: what the user chose, and everything that depends on it.

/** The chosen metrics and budget. */
const chosen = {};
/** Defaults of the controls and of what else is in the address. */
let defaults;
let table;
let plot;
let groups;
let traits;
let charts = [];
/** Rows of the cells of the card: the selected one, and one beside it. */
let card = [];
/** Box or lasso: its axes, budget and corners as values; null without one. */
let outline = null;

/** Names of the controls that filter cells. */
const FILTER = /^(v$|op-|low-|high-)/;

const columnOf = (name) => table.columnOf(name, chosen.epochs);
const front = () => table.frontOf(chosen.x, chosen.y, chosen.epochs);
const counted = (n) => n.toLocaleString("en");
const setting = (name) => settings()[name];
/** The chosen metrics, x and y, and their values of a cell as texts. */
const metrics = () => [chosen.x, chosen.y].map((name) => table.metric.get(name));
const valuesOf = (row) => metrics().map((metric) => shown(metric, table.value(row, columnOf(metric.name)).value));

function start() {
  const names = table.metrics.map((m) => m.name);
  const x = ["energy_kwh", ...names].find((n) => names.includes(n));
  const y = ["validation_accuracy", "test_accuracy", ...names].find((n) => names.includes(n) && n !== x);
  traits = table.traits();
  groups = grouped(table.runs);
  plot = new Scatter(byId("scatter"), (row) => pick(row), viewed);
  fillControls(names);
  form.reset(); // what a browser may have kept from an earlier visit
  setControls({ x, y, epochs: String(table.epochs) }, settings());
  const rows = table.frontOf(x, y, table.epochs);
  const cell = table.runs.find((run) => run.knee !== null)?.knee ?? rows[rows.length >> 1] ?? 0;
  defaults = { ...settings(), cell: String(cell) };
  listen(plot, showTip, (corners) => {
    const values = corners.map(([px, py]) => [plot.x.scale.value(px), plot.y.scale.value(py)]);
    outline = { ...chosen, points: values.map((point) => point.map((v) => Number(v.toPrecision(7)))) };
    changeCells();
  });
  byId("main").hidden = false;
  byId("status").hidden = true;
  fillOrigins();
  restore();
  form.addEventListener("submit", (event) => event.preventDefault());
  // Text and numbers act while they are typed.
  const typed = ({ type }) => ["search", "number"].includes(type);
  for (const kind of ["input", "change"]) {
    document.addEventListener(kind, ({ target }) => {
      if (target.form === form && target.name && typed(target) === (kind === "input")) changed(target.name);
    });
  }
  window.addEventListener("hashchange", restore);
}

/** Show what the address says. */
function restore() {
  const values = fromAddress();
  setControls(values, defaults);
  const [x, y, epochs, ...rest] = values.sel?.split(",") ?? [];
  const corners = numbersOf(rest.join(","));
  const known = corners?.length > 5 && [x, y].every((name) => table.columnOf(name, epochs) !== undefined);
  const points = known && Array.from({ length: corners.length >> 1 }, (_, i) => corners.slice(2 * i, 2 * i + 2));
  outline = known ? { x, y, epochs: Number(epochs), points } : null;
  const rowOf = (text) => numbersOf(text, 1)?.filter((row) => Number.isInteger(row) && row >= 0 && row < table.cells)[0];
  card = [rowOf(values.cell) ?? Number(defaults.cell), rowOf(values.beside)].filter((row) => row !== undefined);
  plot.mode = setting("drag");
  changeAxes();
  const view = numbersOf(values.zoom, 4);
  if (view) plot.show(view);
  changeRuns();
}

/** Put what is shown into the address. */
function keep() {
  const view = [plot.x.low, plot.x.high, plot.y.low, plot.y.high];
  const home = [plot.x, plot.y].every(({ low, high, whole }) => low === whole[0] && high === whole[1]);
  const values = { ...settings(), cell: String(card[0]), beside: String(card[1] ?? ""), zoom: home ? "" : numbersText(view) };
  const points = outline && `${outline.x},${outline.y},${outline.epochs},${numbersText(outline.points.flat())}`;
  toAddress({ ...values, sel: points ?? "" }, defaults);
}

/** A control was changed. */
function changed(name) {
  if (["x", "y", "epochs"].includes(name)) changeAxes();
  else if (name === "drag") plot.mode = setting("drag");
  else if (name === "run") changeMarks();
  else if (FILTER.test(name)) changeCells();
  if (["run", "measure", "over", "logx", "logy", "single", "find", "sort"].includes(name)) changeRuns();
  keep();
}

function fillControls(names) {
  const options = names.map((name) => [axisLabel(table.metric.get(name), ""), name]);
  for (const key of ["x", "y"]) byId(`axis-${key}`).append(...options.map((pair) => new Option(...pair)));
  byId("epochs").append(...table.budgets.map((budget) => new Option(budget, budget)));
  for (let v = 2; v <= table.vertices; v++) byId("filter-vertices").append(checkbox("v", v, v));
  for (const name of table.cell.operations) {
    const options = [["with or without", "any"], ["with", "with"], ["without", "without"]];
    const attributes = { form: "controls", name: `op-${name}` };
    const select = element("select", attributes, ...options.map((pair) => new Option(...pair)));
    byId("filter-operators").append(element("label", {}, `${OPERATOR[name].text} `, select));
  }
  for (const metric of table.metrics) {
    const label = axisLabel(metric, metric.unit);
    const ends = [["low", "from"], ["high", "to"]].map(([end, word]) => {
      const attributes = { type: "number", step: "any", form: "controls", name: `${end}-${metric.name}` };
      return element("input", { ...attributes, "aria-label": `${label} ${word}`, placeholder: word });
    });
    byId("filter-ranges").append(element("div", { class: "range" }, element("span", {}, label), ...ends));
  }
  byId("legend").append(...groups.map(({ name, runs, shape, colour }, i) => {
    const many = runs.length > 1 ? `, ${runs.length} runs` : "";
    return checkbox("run", i, swatch(shape, colour), `${name}${many}: front, knee marked larger`);
  }));
  const on = (id, act) => byId(id).addEventListener("click", act);
  on("filter-reset", () => {
    setControls(Object.fromEntries(Object.entries(settings()).filter(([name]) => !FILTER.test(name))), defaults);
    changed("v");
  });
  on("zoom-in", () => plot.zoom(1.6));
  on("zoom-out", () => plot.zoom(1 / 1.6));
  on("zoom-home", () => plot.home());
  on("selection-zoom", () => {
    plot.show([plot.x, plot.y].flatMap(({ place }) => extent(Array.from(plot.chosen, (row) => place[row]))));
  });
  on("selection-clear", () => {
    outline = null;
    changeCells();
  });
  on("beside", () => {
    card = card.length > 1 ? card.slice(0, 1) : [card[0], card[0]];
    fillCard();
  });
  for (const format of ["csv", "json", "png", "svg"]) on(`export-${format}`, () => exported(byId("export-what").value, format));
  byId("go").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("go-row").value.replace(/[,\s]/g, "");
    const good = /^\d+$/.test(text) && Number(text) < table.cells;
    byId("go-says").textContent = good ? "" : `rows go from 0 to ${counted(table.cells - 1)}`;
    if (good) pick(Number(text));
  });
}

/** The scale of a column. */
const scaleOf = (index) => SCALES[table.columns[index].log ? "log" : "linear"];

function axis(name) {
  const [index, scale] = [columnOf(name), scaleOf(columnOf(name))];
  return new Axis(table.metric.get(name), scale, table.mapped(index, scale.place), table.columns[index].step);
}

function changeAxes() {
  let [x, y] = [setting("x"), setting("y")];
  // Choosing the other axis' metric swaps the two.
  if (x === y) [x, y] = x === chosen.x ? [chosen.y, y] : [x, chosen.x];
  Object.assign(chosen, { x, y, epochs: Number(setting("epochs")) });
  byId("axis-x").value = x;
  byId("axis-y").value = y;
  Object.assign(plot, { x: axis(x), y: axis(y) });
  changeCells();
  fillFront();
  fillCard();
}

/** Draw the cells that pass the filters. */
function changeCells() {
  const [px, py, values] = [plot.x.place, plot.y.place, settings()];
  const vertices = values.v.split(",").map(Number);
  const wanted = table.cell.operations.map((name) => values[`op-${name}`]);
  const passes = Uint8Array.from({ length: 64 }, (_, trait) => {
    const has = (label) => ((trait >> (3 + label)) & 1 ? "with" : "without");
    return vertices.includes(trait & 7) && wanted.every((want, label) => want === "any" || want === has(label));
  });
  const ranges = table.metrics.flatMap(({ name }) => {
    const [low, high] = ["low", "high"].map((end) => values[`${end}-${name}`]);
    if (!low && !high) return [];
    return [table.mapped(columnOf(name), (v) => v >= (low || -Infinity) && v <= (high || Infinity), Uint8Array)];
  });
  const rows = new Int32Array(table.cells);
  let [n, held] = [0, 0];
  for (let row = 0; row < table.cells; row++) {
    if (px[row] !== px[row] || py[row] !== py[row]) continue;
    held++;
    if (passes[traits[row]] && ranges.every((within) => within[row])) rows[n++] = row;
  }
  const shownRows = rows.slice(0, n);
  plot.cells(shownRows, selected(shownRows));
  const text = `${counted(n)} of ${counted(held)} cells`;
  const lacking = table.cells - held;
  byId("shown").textContent = `${text} shown${lacking ? `; the table has no values for ${counted(lacking)} more` : ""}.`;
  byId("filter-count").textContent = n < held ? `(${text})` : "";
  changeMarks();
}

/** Those of some rows that lie in the box or lasso, whichever axes it was drawn on. */
function selected(rows) {
  byId("selection").hidden = !outline;
  plot.outline = null;
  if (!outline) return new Int32Array();
  const [x, y] = [outline.x, outline.y].map((name) => {
    const index = table.columnOf(name, outline.epochs);
    const { place } = scaleOf(index);
    return { place, places: table.mapped(index, place) };
  });
  const corners = outline.points.map(([a, b]) => [x.place(a), y.place(b)]);
  // A point is within if a line from it to the right crosses the outline an odd number of times.
  const within = (a, b) => corners.reduce((odd, [x1, y1], i) => {
    const [x0, y0] = corners.at(i - 1);
    return odd !== (y0 > b !== y1 > b && a < ((x1 - x0) * (b - y0)) / (y1 - y0) + x0);
  }, false);
  const [[left, right], [low, high]] = [0, 1].map((k) => extent(corners.map((corner) => corner[k])));
  const found = rows.filter((row) => {
    const [a, b] = [x.places[row], y.places[row]];
    return a >= left && a <= right && b >= low && b <= high && within(a, b);
  });
  if (["x", "y", "epochs"].every((name) => outline[name] === chosen[name])) plot.outline = corners;
  byId("selection-count").textContent = `${counted(found.length)} cells selected`;
  return found;
}

/** Draw the true front and the runs over the cells. */
function changeMarks() {
  const on = setting("run")?.split(",") ?? [];
  groups.forEach((group, i) => (group.shown = on.includes(String(i))));
  const marked = [{ rows: front(), colour: "front", shape: "circle", size: 2.6, stepped: true }];
  for (const { runs, epochs, objectives, shape, colour } of groups.filter((g) => g.shown)) {
    const axes = objectives.length === 2 && [chosen.x, chosen.y].every((name) => objectives.includes(name));
    const here = axes && epochs === chosen.epochs;
    const look = { colour, shape };
    for (const run of runs) marked.push({ ...look, rows: run.front, size: 3.4, stepped: here && runs.length < 4 });
    if (here) marked.push({ ...look, rows: runs.map((run) => run.knee).filter((row) => row !== null), size: 7 });
  }
  plot.marked = marked;
  byId("legend-front").textContent = ` true front (${front().length})`;
  plot.request();
}

function fillFront() {
  const [mx, my] = metrics();
  byId("front-says").textContent =
    `${front().length} cells of the whole table that no other one beats in ${mx.about} and ${my.about} ` +
    `at ${chosen.epochs} epochs; filters do not change it.`;
  const lines = Array.from(front(), (row) => [
    rowButton(row, pick),
    ...valuesOf(row),
    table.cellOf(row).ops.slice(1, -1).map((op) => OPERATOR[op].text).join(", ") || "none",
  ]);
  fillTable(byId("front-table"), ["Row", axisLabel(mx, ""), axisLabel(my, ""), "Operators"], lines, [0, 1, 2]);
}

/** Select a cell. */
function pick(row) {
  card[0] = row;
  fillCard();
}

/** Draw the cells of the card and show their metrics at every budget. */
function fillCard() {
  plot.picked = card;
  plot.request();
  const cells = card.map((row) => table.cellOf(row));
  byId("picked-title").textContent = card.map((row) => `Cell ${counted(row)}`).join(" beside ");
  byId("go-row").value = card[0];
  byId("beside").textContent = card.length > 1 ? "Show one cell" : "Keep this cell beside the next";
  byId("drawing").replaceChildren(...cells.map(drawCell));
  fillCosts(cells);
  const says = valuesOf(card[0]).map((value, i) => `${metrics()[i].about} ${value}`);
  byId("picked-says").textContent = `Row ${card[0]}, ${cells[0].vertices} vertices: ${says.join(", ")}`;
}

function fillCosts(cells) {
  let [rounded, spread] = [false, false];
  const ring = (i) => (cells.length > 1 ? swatch(RINGS[i], "picked", false) : "");
  const lines = table.metrics.flatMap((metric) => {
    const all = cells.map(({ row }) => table.budgets.map((epochs) => table.value(row, table.columnOf(metric.name, epochs))));
    // One unit for the metric, suited to its largest value.
    const { factor, unit } = readingUnit(metric, Math.max(...all.flat().map(({ value }) => value)));
    const whole = metric.fraction || unit === "million";
    const kind = element("span", { class: `kind kind-${metric.kind}`, title: metric.origin }, metric.kind);
    const name = element("span", {}, axisLabel(metric, whole ? "" : unit), " ", kind);
    // Metrics that follow from the cell alone are the same at every budget.
    const fixed = table.column.has(`${metric.name}@`);
    return cells.map(({ row }, i) => {
      const values = all[i].map(({ value, exact }, k) => {
        rounded ||= !exact;
        const text = `${exact ? "" : "≈"}${whole ? shown(metric, value) : plain(value * factor)}`;
        const std = table.std(row, metric.name, table.budgets[k]);
        if (!Number.isFinite(std?.value)) return text;
        spread = true;
        return element("span", {}, text, element("small", {}, `± ${plain(std.value * factor, std.exact ? 2 : 1)}`));
      });
      return [element("span", {}, ring(i), i ? "" : name), ...(fixed ? [{ content: values[0], span: values.length }] : values)];
    });
  });
  const costs = element("table", {});
  fillTable(costs, ["Epochs", ...table.budgets], lines, table.budgets.map((_, i) => i + 1));
  const region = { class: "scroll", tabindex: 0, role: "region", "aria-label": "Metrics of the selected cell" };
  const note = rounded
    ? "≈: rounded on this page; the table of origins gives the precision."
    : "As in the table, apart from the digits shown.";
  byId("costs").replaceChildren(
    element("div", region, costs),
    element("p", { class: "quiet" }, `${note}${spread ? " ±: standard deviation of the model." : ""}`),
    ...cells.map((cell, i) => element("code", { class: "cell-text" }, ring(i), cellText(cell))),
  );
}

function showTip(row, point) {
  const tip = byId("tip");
  tip.hidden = row === null;
  if (row === null) return;
  tip.textContent = `Cell ${counted(row)}: ${valuesOf(row).join(", ")}`;
  const right = point.x > plot.inner.width / 2;
  tip.style.left = `${MARGIN.left + point.x + (right ? -14 : 14)}px`;
  tip.style.transform = right ? "translateX(-100%)" : "";
  tip.style.top = `${Math.max(0, MARGIN.top + point.y - 32)}px`;
}

/** After each frame of the plot: what depends on its visible part. */
let waiting = null;
function viewed() {
  byId("grid-note").hidden = !plot.gridded;
  clearTimeout(waiting);
  waiting = setTimeout(keep, 120);
}

/** Draw the curves and fill the tables of the runs. */
function changeRuns() {
  byId("runs").hidden = table.runs.length === 0;
  if (!table.runs.length) return;
  const values = settings();
  charts = drawCurves(byId("curves"), groups, table, values);
  const now = Number(values.sort);
  const sort = (column) => {
    byId("sort").value = now === column ? -column : column;
    changed("sort");
    byId("run-table").querySelectorAll("button.head")[column - 1].focus();
  };
  fillRunTables(byId("run-table"), byId("method-table"), foundRuns(groups, values.find, now), now, sort, pick);
}

/** Say where the numbers come from, and what comparisons show. */
function fillOrigins() {
  const short = (metric, value) => (metric.fraction ? plain(value, 2) : shown(metric, value, 2));
  const lines = table.metrics.map((metric) => {
    const { about, name, kind, origin, std, error, log } = metric;
    const badge = element("span", { class: `kind kind-${kind}` }, kind);
    return [
      element("span", {}, element("strong", {}, about), element("br", {}), element("code", {}, name)),
      element("span", {}, badge, origin.replace(kind, "").replace(/^,? ?/, " ")),
      std === null ? "" : short(metric, std),
      error ? `within ${log ? `${plain(100 * error, 2)} %` : short(metric, error)}` : "not rounded",
    ];
  });
  fillTable(byId("origin-table"), ["Quantity", "Origin", "Typical deviation", "Precision here"], lines, []);
  const kinds = groupedBy(table.metrics, ({ kind }) => kind);
  const said = kinds.map((some) => `${some.map(({ about }) => about).join(", ")}: ${some[0].kind}`);
  byId("kinds").textContent = `${said.join("; ")}.`.replace(/^./, (first) => first.toUpperCase());
  byId("findings").hidden = !table.findings.length;
  for (const { label, heads, lines, notes } of table.findings) {
    const found = element("table", {});
    fillTable(found, heads, lines, []);
    const region = { class: "scroll short", role: "region", tabindex: 0, "aria-label": label };
    const list = element("ul", { class: "quiet" }, ...notes.map((note) => element("li", {}, note)));
    byId("findings").append(element("h3", {}, label), element("div", region, found), list);
  }
}

/** For tests and the browser's console: resolves when the page is drawn. */
window.ecnasReport = {
  ready: (async () => {
    try {
      const data = byId("data");
      table = new Table(await unpacked(data.textContent.trim()));
      data.remove(); // a second copy of the table, as text
      start();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
        plot.theme();
        plot.request();
      });
      Object.assign(window.ecnasReport, { table, plot, chosen, pick });
      return true;
    } catch (error) {
      byId("status").textContent = `The table could not be shown: ${error.message}`;
      console.error(error);
      return false;
    }
  })(),
};
