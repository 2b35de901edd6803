"use strict";
// The page: what the user chose, and everything that depends on it.

/** The chosen metrics and budget. */
const chosen = {};
let table;
let plot;
let groups;
let traits;

const columnOf = (name) => table.columnOf(name, chosen.epochs);
const front = () => table.frontOf(chosen.x, chosen.y, chosen.epochs);
const counted = (n) => n.toLocaleString("en");
/** The chosen metrics, x and y, and their values of a cell as texts. */
const metrics = () => [chosen.x, chosen.y].map((name) => table.metric.get(name));
const valuesOf = (row) => metrics().map((metric) => shown(metric, table.value(row, columnOf(metric.name)).value));

function start() {
  chosen.epochs = table.epochs;
  const names = table.metrics.map((m) => m.name);
  chosen.x = ["energy_kwh", ...names].find((n) => names.includes(n));
  chosen.y = ["validation_accuracy", "test_accuracy", ...names].find((n) => names.includes(n) && n !== chosen.x);
  traits = table.traits();
  groups = grouped(table.runs);
  plot = new Scatter(byId("scatter"), pick);
  fillControls(names);
  listen(plot, showTip);
  byId("main").hidden = false;
  byId("status").hidden = true;
  plot.resize();
  changeAxes();
  const rows = front();
  if (rows.length) pick(table.runs.find((run) => run.knee !== null)?.knee ?? rows[rows.length >> 1]);
}

function fillControls(names) {
  for (const [id, key] of [["axis-x", "x"], ["axis-y", "y"]]) {
    const select = byId(id);
    select.append(...names.map((name) => new Option(axisLabel(table.metric.get(name), ""), name)));
    select.addEventListener("change", () => {
      const other = key === "x" ? "y" : "x";
      // Choosing the other axis' metric swaps the two.
      if (chosen[other] === select.value) chosen[other] = chosen[key];
      chosen[key] = select.value;
      changeAxes();
    });
  }
  const epochs = byId("epochs");
  epochs.append(...table.budgets.map((budget) => new Option(budget, budget)));
  epochs.addEventListener("change", () => {
    chosen.epochs = Number(epochs.value);
    changeAxes();
  });
  for (let v = 2; v <= table.vertices; v++) byId("filter-vertices").append(checkbox(v, true, changeCells));
  for (const name of table.cell.operations) {
    const options = [["with or without", "any"], ["with", "with"], ["without", "without"]];
    const select = element("select", { "data-operator": name }, ...options.map((pair) => new Option(...pair)));
    select.addEventListener("change", changeCells);
    byId("filter-operators").append(element("label", {}, `${OPERATOR[name].text} `, select));
  }
  byId("filter-reset").addEventListener("click", () => {
    for (const box of byId("filters").querySelectorAll("input")) box.checked = true;
    for (const select of byId("filters").querySelectorAll("select")) select.value = "any";
    changeCells();
  });
  byId("stretch").addEventListener("change", changeAxes);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("zoom-in").addEventListener("click", () => plot.zoom(1.6));
  byId("zoom-out").addEventListener("click", () => plot.zoom(1 / 1.6));
  byId("zoom-home").addEventListener("click", () => plot.home());
  byId("go").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("go-row").value.replace(/[,\s]/g, "");
    const good = /^\d+$/.test(text) && Number(text) < table.cells;
    byId("go-says").textContent = good ? "" : `rows go from 0 to ${counted(table.cells - 1)}`;
    if (good) pick(Number(text));
  });
}

function axis(name) {
  const index = columnOf(name);
  const { log, step } = table.columns[index];
  const stretched = byId("stretch").checked && stretchable(name);
  const scale = stretched ? SCALES.stretched : log ? SCALES.log : SCALES.linear;
  return new Axis(table.metric.get(name), scale, stretched ? 0 : step, table.places(index, scale));
}

/** Whether an axis can be stretched: it shows a share, and no value is 1. */
function stretchable(name) {
  return table.metric.get(name).fraction && !table.places(columnOf(name), SCALES.linear).some((v) => v >= 1);
}

function changeAxes() {
  byId("stretch-label").hidden = ![chosen.x, chosen.y].some(stretchable);
  byId("axis-x").value = chosen.x;
  byId("axis-y").value = chosen.y;
  byId("epochs").value = chosen.epochs;
  plot.axes(axis(chosen.x), axis(chosen.y));
  changeCells();
  fillFront();
}

/** Draw the cells that pass the filters. */
function changeCells() {
  const [px, py] = [plot.x.place, plot.y.place];
  const vertices = Array.from(byId("filter-vertices").querySelectorAll(":checked"), (box) => Number(box.value));
  const wanted = Array.from(byId("filter-operators").querySelectorAll("select"), (select) => select.value);
  const passes = Uint8Array.from({ length: 64 }, (_, trait) => {
    const has = (label) => ((trait >> (3 + label)) & 1 ? "with" : "without");
    return vertices.includes(trait & 7) && wanted.every((want, label) => want === "any" || want === has(label));
  });
  const rows = new Int32Array(table.cells);
  let [n, held] = [0, 0];
  for (let row = 0; row < table.cells; row++) {
    if (px[row] !== px[row] || py[row] !== py[row]) continue;
    held++;
    if (passes[traits[row]]) rows[n++] = row;
  }
  plot.cells(rows.slice(0, n));
  const text = `${counted(n)} of ${counted(held)} cells`;
  const lacking = table.cells - held;
  byId("shown").textContent = `${text} shown${lacking ? `; the table has no values for ${counted(lacking)} more` : ""}.`;
  byId("filter-count").textContent = n < held ? `(${text})` : "";
  changeMarks();
}

/** Draw the true front and the runs over the cells. */
function changeMarks() {
  const marked = [{ rows: front(), colour: plot.ink.front, shape: "circle", size: 2.6, stepped: true }];
  for (const { runs, epochs, objectives, shape, colour } of groups.filter((g) => g.shown)) {
    const axes = objectives.length === 2 && [chosen.x, chosen.y].every((name) => objectives.includes(name));
    const here = axes && epochs === chosen.epochs;
    const look = { colour: colourOf(colour), shape };
    for (const run of runs) marked.push({ ...look, rows: run.front, size: 3.4, stepped: here && runs.length < 4 });
    if (here) marked.push({ ...look, rows: runs.map((run) => run.knee).filter((row) => row !== null), size: 7 });
  }
  plot.marked = marked;
  plot.request();
  fillLegend();
}

function fillLegend() {
  const legend = byId("legend");
  const boxes = groups.map((group) => {
    const n = group.runs.length;
    const box = checkbox(`${group.name}${n > 1 ? `, ${n} runs` : ""}: front, knee marked larger`, group.shown, (on) => {
      group.shown = on;
      changeMarks();
      drawCurves(byId("curves"), groups, table);
    });
    box.firstChild.after(swatch(group.shape, colourOf(group.colour)));
    return box;
  });
  // Keep the focus of the checkbox that was just changed.
  const focused = [...legend.querySelectorAll("input")].indexOf(document.activeElement);
  legend.replaceChildren(
    element("span", {}, swatch("square", plot.ink["cloud-deep"]), " cells, darker where there are more"),
    element("span", {}, swatch("circle", plot.ink.front), ` true front (${front().length})`),
    ...boxes,
  );
  if (focused >= 0) legend.querySelectorAll("input")[focused].focus();
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

/** Select a cell: draw it and show its metrics at every budget. */
function pick(row) {
  plot.picked = row;
  plot.request();
  const cell = table.cellOf(row);
  byId("picked-title").textContent = `Cell ${counted(row)}`;
  byId("go-row").value = row;
  byId("drawing").replaceChildren(drawCell(cell));
  fillCosts(row, cell);
  const says = valuesOf(row).map((value, i) => `${metrics()[i].about} ${value}`);
  byId("picked-says").textContent = `Row ${row}, ${cell.vertices} vertices: ${says.join(", ")}`;
}

function fillCosts(row, cell) {
  let rounded = false;
  const lines = table.metrics.map((metric) => {
    const all = table.budgets.map((epochs) => table.value(row, table.columnOf(metric.name, epochs)));
    // One unit for the line, suited to its largest value.
    const { factor, unit } = readingUnit(metric, Math.max(...all.map(({ value }) => value)));
    const whole = metric.fraction || unit === "million";
    const kind = element("span", { class: `kind kind-${metric.kind}`, title: metric.origin }, metric.kind);
    const name = element("span", {}, axisLabel(metric, whole ? "" : unit), " ", kind);
    const values = all.map(({ value, exact }) => {
      rounded ||= !exact;
      return `${exact ? "" : "≈"}${whole ? shown(metric, value) : plain(value * factor)}`;
    });
    // Metrics that follow from the cell alone are the same at every budget.
    const fixed = table.column.has(`${metric.name}@`);
    return [name, ...(fixed ? [{ content: values[0], span: values.length }] : values)];
  });
  const costs = element("table", {});
  fillTable(costs, ["Epochs", ...table.budgets], lines, table.budgets.map((_, i) => i + 1));
  const region = { class: "scroll", tabindex: 0, role: "region", "aria-label": "Metrics of the selected cell" };
  const note = rounded
    ? "≈: rounded on this page; the table below gives the precision."
    : "These values are exact, apart from the digits shown.";
  byId("costs").replaceChildren(
    element("div", region, costs),
    element("p", { class: "quiet" }, note),
    element("code", { class: "cell-text" }, cellText(cell)),
  );
}

function showTip(row, point) {
  const tip = byId("tip");
  tip.hidden = row === null;
  if (row === null) return;
  const { x, y } = point;
  tip.textContent = `Cell ${counted(row)}: ${valuesOf(row).join(", ")}`;
  const right = x > plot.width / 2;
  tip.style.left = right ? "" : `${x + 14}px`;
  tip.style.right = right ? `${plot.width - x + 14}px` : "";
  tip.style.top = `${Math.max(0, y - 32)}px`;
}

function fillRuns() {
  byId("runs").hidden = table.runs.length === 0;
  drawCurves(byId("curves"), groups, table);
  fillRunTable(byId("run-table"), groups, pick);
}

/** For tests and the browser's console: resolves when the page is drawn. */
window.ecnasReport = {
  ready: (async () => {
    try {
      const data = byId("data");
      table = new Table(await unpacked(data.textContent.trim()));
      data.remove(); // a second copy of the table, as text
      start();
      fillRuns();
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
        changeMarks();
        fillRuns();
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
