"use strict";
// The page: what the user chose, and everything that depends on it.

const byId = (id) => document.getElementById(id);

/** The current choices. */
const chosen = { x: null, y: null, epochs: null, vertices: new Set(), operators: new Map(), row: null };
let table;
let plot;
let groups;
let traits;

function start() {
  chosen.epochs = table.epochs;
  const names = table.metrics.map((m) => m.name);
  chosen.x = names.includes("energy_kwh") ? "energy_kwh" : names[0];
  const accuracies = ["validation_accuracy", "test_accuracy"].filter((n) => names.includes(n));
  chosen.y = accuracies[0] ?? names.find((n) => n !== chosen.x);
  traits = table.traits();
  groups = grouped(table.runs);
  plot = new Scatter(byId("scatter"), pick);
  fillControls(names);
  listen(plot, showTip);
  byId("main").hidden = false;
  byId("status").hidden = true;
  plot.resize();
  changeAxes();
  const front = table.frontOf(chosen.x, chosen.y, chosen.epochs);
  if (front.length) pick(table.runs.length ? table.runs[0].knee : front[front.length >> 1]);
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
  epochs.append(...table.budgets.map((b) => new Option(String(b), String(b))));
  epochs.addEventListener("change", () => {
    chosen.epochs = Number(epochs.value);
    changeAxes();
  });
  for (let v = 2; v <= table.vertices; v++) {
    chosen.vertices.add(v);
    const box = checkbox(String(v), true, (on) => {
      if (on) chosen.vertices.add(v);
      else chosen.vertices.delete(v);
      changeCells();
    });
    byId("filter-vertices").append(box);
  }
  table.cell.operations.forEach((name, label) => {
    const select = document.createElement("select");
    select.dataset.operator = name;
    select.append(new Option("with or without", "any"), new Option("with", "with"), new Option("without", "without"));
    select.addEventListener("change", () => {
      chosen.operators.set(label, select.value);
      changeCells();
    });
    const host = document.createElement("label");
    host.append(`${OPERATOR[name].text} `, select);
    byId("filter-operators").append(host);
  });
  byId("filter-reset").addEventListener("click", () => {
    for (const box of byId("filter-vertices").querySelectorAll("input")) {
      box.checked = true;
      chosen.vertices.add(Number(box.value));
    }
    for (const select of byId("filter-operators").querySelectorAll("select")) select.value = "any";
    chosen.operators.clear();
    changeCells();
  });
  byId("stretch").addEventListener("change", changeAxes);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  const centre = () => [plot.inner.left + plot.inner.width / 2, plot.inner.top + plot.inner.height / 2];
  byId("zoom-in").addEventListener("click", () => plot.zoom(1.6, ...centre()));
  byId("zoom-out").addEventListener("click", () => plot.zoom(1 / 1.6, ...centre()));
  byId("zoom-home").addEventListener("click", () => plot.home());
  byId("go").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = byId("go-row").value.replace(/[,\s]/g, "");
    const row = Number(text);
    const good = /^\d+$/.test(text) && row < table.cells;
    byId("go-says").textContent = good ? "" : `rows go from 0 to ${(table.cells - 1).toLocaleString("en")}`;
    if (good) pick(row);
  });
}

function checkbox(text, on, onChange) {
  const label = document.createElement("label");
  const box = document.createElement("input");
  box.type = "checkbox";
  box.value = text;
  box.checked = on;
  box.addEventListener("change", () => onChange(box.checked));
  label.append(box, ` ${text}`);
  return label;
}

function axis(name) {
  const index = table.columnOf(name, chosen.epochs);
  const metric = table.metric.get(name);
  let scale = table.columns[index].log ? SCALES.log : SCALES.linear;
  if (byId("stretch").checked && stretchable(name)) scale = SCALES.stretched;
  const step = scale === SCALES.stretched ? 0 : table.columns[index].step;
  return { metric, scale, step, place: table.places(index, scale) };
}

/** Whether an axis can be stretched: it shows a share, and no value is 1. */
function stretchable(name) {
  return table.metric.get(name).fraction && table.largest(table.columnOf(name, chosen.epochs)) < 1;
}

function changeAxes() {
  byId("stretch-label").hidden = ![chosen.x, chosen.y].some(stretchable);
  byId("axis-x").value = chosen.x;
  byId("axis-y").value = chosen.y;
  byId("epochs").value = String(chosen.epochs);
  plot.axes(axis(chosen.x), axis(chosen.y));
  changeCells();
  fillFront();
}

/** Draw the cells that pass the filters. */
function changeCells() {
  const [px, py] = [plot.x.place, plot.y.place];
  const passes = new Uint8Array(64);
  for (let t = 0; t < 64; t++) {
    const operators = [...chosen.operators].every(
      ([label, want]) => want === "any" || Boolean((t >> (3 + label)) & 1) === (want === "with"),
    );
    passes[t] = chosen.vertices.has(t & 7) && operators ? 1 : 0;
  }
  const rows = new Int32Array(table.cells);
  let n = 0;
  let held = 0;
  for (let row = 0; row < table.cells; row++) {
    if (px[row] !== px[row] || py[row] !== py[row]) continue;
    held++;
    if (passes[traits[row]]) rows[n++] = row;
  }
  plot.cells(rows.slice(0, n));
  const text = `${n.toLocaleString("en")} of ${held.toLocaleString("en")} cells`;
  byId("shown").textContent = `${text} shown${held < table.cells ? `; the table has no values for ${(table.cells - held).toLocaleString("en")} more` : ""}.`;
  byId("filter-count").textContent = n < held ? `(${text})` : "";
  changeMarks();
}

/** Draw the true front and the runs over the cells. */
function changeMarks() {
  const front = table.frontOf(chosen.x, chosen.y, chosen.epochs);
  const marked = [{ rows: front, colour: plot.ink.front, shape: "circle", size: 2.6, stepped: true }];
  for (const group of groups.filter((g) => g.shown)) {
    const here =
      group.epochs === chosen.epochs &&
      group.objectives.length === 2 &&
      [chosen.x, chosen.y].every((name) => group.objectives.includes(name));
    const look = { colour: groupColour(group), shape: group.shape };
    for (const run of group.runs) {
      marked.push({ ...look, rows: run.front, size: 3.4, stepped: here && group.runs.length < 4 });
    }
    if (here) marked.push({ ...look, rows: group.runs.map((r) => r.knee), size: 7 });
  }
  plot.marked = marked;
  plot.request();
  fillLegend(front.length);
}

function fillLegend(frontSize) {
  const legend = byId("legend");
  const entry = (mark, text) => {
    const span = document.createElement("span");
    span.append(mark, ` ${text}`);
    return span;
  };
  const entries = [
    entry(swatch("square", getComputedStyle(document.documentElement).getPropertyValue("--cloud-deep")), "cells, darker where there are more"),
    entry(swatch("circle", plot.ink.front), `true front (${frontSize})`),
  ];
  for (const group of groups) {
    const n = group.runs.length;
    const box = checkbox(`${group.name}${n > 1 ? `, ${n} runs` : ""}: front, knee marked larger`, group.shown, (on) => {
      group.shown = on;
      changeMarks();
      drawCurves(byId("curves"), groups, table);
    });
    box.firstChild.after(swatch(group.shape, groupColour(group)));
    entries.push(box);
  }
  // Keep the focus of the checkbox that was just changed.
  const focused = [...legend.querySelectorAll("input")].indexOf(document.activeElement);
  legend.replaceChildren(...entries);
  if (focused >= 0) legend.querySelectorAll("input")[focused].focus();
}

function fillFront() {
  const [mx, my] = [chosen.x, chosen.y].map((n) => table.metric.get(n));
  const front = table.frontOf(chosen.x, chosen.y, chosen.epochs);
  byId("front-says").textContent =
    `${front.length} cells of the whole table that no other one beats in ${mx.about} and ${my.about} ` +
    `at ${chosen.epochs} epochs; filters do not change it.`;
  const [ix, iy] = [chosen.x, chosen.y].map((n) => table.columnOf(n, chosen.epochs));
  const lines = Array.from(front, (row) => [
    rowButton(row, pick),
    shown(mx, table.value(row, ix).value),
    shown(my, table.value(row, iy).value),
    table.cellOf(row).ops.slice(1, -1).map((op) => OPERATOR[op].text).join(", ") || "none",
  ]);
  fillTable(byId("front-table"), ["Row", axisLabel(mx, ""), axisLabel(my, ""), "Operators"], lines, new Set([0, 1, 2]));
}

/** Select a cell: draw it and show its metrics at every budget. */
function pick(row) {
  chosen.row = row;
  plot.picked = row;
  plot.request();
  const cell = table.cellOf(row);
  byId("picked-title").textContent = `Cell ${row.toLocaleString("en")}`;
  byId("go-row").value = String(row);
  byId("drawing").replaceChildren(drawCell(cell));
  fillCosts(row, cell);
  const says = [chosen.x, chosen.y].map((name) => {
    const metric = table.metric.get(name);
    return `${metric.about} ${shown(metric, table.value(row, table.columnOf(name, chosen.epochs)).value)}`;
  });
  byId("picked-says").textContent = `Row ${row}, ${cell.vertices} vertices: ${says.join(", ")}`;
}

function fillCosts(row, cell) {
  let rounded = false;
  const lines = table.metrics.map((metric) => {
    const all = table.budgets.map((epochs) => table.value(row, table.columnOf(metric.name, epochs)));
    // One unit for the line, suited to its largest value.
    const { factor, unit } = readingUnit(metric, Math.max(...all.map(({ value }) => value)));
    const name = document.createElement("span");
    const kind = document.createElement("span");
    kind.className = `kind kind-${metric.kind}`;
    kind.textContent = metric.kind;
    kind.title = metric.origin;
    name.append(axisLabel(metric, metric.fraction || unit === "million" ? "" : unit), " ", kind);
    const values = all.map(({ value, exact }) => {
      rounded ||= !exact;
      const text = unit === "million" || metric.fraction ? shown(metric, value) : plain(value * factor);
      return `${exact ? "" : "≈"}${text}`;
    });
    // Metrics that follow from the cell alone are the same at every budget.
    const fixed = table.column.has(`${metric.name}@`);
    return [name, ...(fixed ? [{ content: values[0], span: values.length }] : values)];
  });
  const costs = document.createElement("table");
  fillTable(costs, ["Epochs", ...table.budgets.map(String)], lines, new Set(table.budgets.map((_, i) => i + 1)));
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "Metrics of the selected cell");
  scroll.append(costs);
  const text = document.createElement("code");
  text.className = "cell-text";
  text.textContent = cellText(cell);
  const note = document.createElement("p");
  note.className = "quiet";
  note.textContent = rounded
    ? "≈: rounded on this page; the table below gives the precision."
    : "These values are exact, apart from the digits shown.";
  byId("costs").replaceChildren(scroll, note, text);
}

function showTip(row, x, y) {
  const tip = byId("tip");
  tip.hidden = row === null;
  if (row === null) return;
  const says = [chosen.x, chosen.y].map((name) => {
    const metric = table.metric.get(name);
    return shown(metric, table.value(row, table.columnOf(name, chosen.epochs)).value);
  });
  tip.textContent = `Cell ${row.toLocaleString("en")}: ${says.join(", ")}`;
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
      const element = byId("data");
      const buffer = await unpacked(element.textContent.trim());
      element.remove(); // a second copy of the table, as text
      table = new Table(buffer);
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
