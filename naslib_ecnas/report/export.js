// Files of what the page shows: tables as CSV and JSON, charts and drawings as PNG and SVG.

/** Let the user save a file. */
function save(name, type, parts) {
  const href = URL.createObjectURL(new Blob(parts, { type }));
  element("a", { href, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60000);
}

/** Lines of a CSV file; texts with a comma, a quote or a line break are quoted. */
function csvLines(heads, lines) {
  const quoted = (value) => {
    const text = String(value ?? "");
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [heads, ...lines].map((line) => `${line.map(quoted).join(",")}\n`);
}

/** Lines of a legend below a chart of a width, as SVG elements, and their height; entries are `{ text, shape, colour }`. */
function legendSvg(entries, width) {
  let [x, y] = [12, 14];
  const parts = entries.flatMap(({ text, shape, colour }) => {
    const long = 26 + 7.2 * text.length;
    if (x + long > width) [x, y] = [12, y + 20];
    const name = svg("text", { x: x + 9, y }, text);
    const mark = path(markData(x, y - 4, 4, shape), colour, "", {});
    x += long;
    return [mark, name];
  });
  return { parts, height: y + 10 };
}

/** A chart with a legend as a picture. */
function chartSvg({ svg: drawn, raster, inner, host }, entries) {
  const { clientWidth: width, clientHeight: height } = host;
  const box = { x: MARGIN.left, y: MARGIN.top, width: inner.width, height: inner.height };
  const cells = raster ? [svg("image", { ...box, href: raster.toDataURL() })] : [];
  const legend = legendSvg(entries, width);
  const below = svg("g", { class: "chart", transform: `translate(0 ${height})` }, ...legend.parts);
  return plainSvg([0, 0, width, height + legend.height], ...cells, drawn.cloneNode(true), below);
}

/** Styles that a picture keeps. */
const KEPT = "fill fill-opacity stroke stroke-width stroke-dasharray font-size font-family font-weight marker-end".split(" ");

/** A picture of a box that needs no style sheet. */
function plainSvg([x, y, width, height], ...parts) {
  const back = path(`M${x} ${y}h${width}v${height}h${-width}Z`, "paper", "", {});
  const picture = svg("svg", { xmlns: SVG, viewBox: [x, y, width, height].join(" "), width, height }, back, ...parts);
  document.body.append(picture); // only then it has styles
  for (const part of picture.querySelectorAll("rect, path, text")) {
    const style = getComputedStyle(part);
    for (const name of KEPT) part.setAttribute(name, style.getPropertyValue(name).replaceAll('"', ""));
  }
  picture.remove();
  return picture;
}

/** Save an SVG element as it is, or as a picture of twice its size. */
async function saveSvg(name, drawing, format) {
  const text = new XMLSerializer().serializeToString(drawing);
  if (format === "svg") return save(`${name}.svg`, "image/svg+xml", [text]);
  const image = new Image();
  image.src = `data:image/svg+xml,${encodeURIComponent(text)}`;
  await image.decode();
  const [width, height] = ["width", "height"].map((side) => Math.ceil(2 * drawing.getAttribute(side)));
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").drawImage(image, 0, 0, width, height);
  save(`${name}.png`, "image/png", [await new Promise((done) => canvas.toBlob(done))]);
}

/** Save a file of what was chosen. */
function exported(what, format) {
  const name = `${table.table}-${what}`.replace(/[^\w.-]+/g, "-");
  if (format === "png" || format === "svg") {
    const entries = groups.filter((group) => group.shown).map((group) => ({ ...group, text: group.name }));
    const cells = { text: "cells", shape: "square", colour: "cloud" };
    const best = { text: "true front", shape: "circle", colour: "front" };
    const pictures =
      what === "card" ? Array.from(byId("drawing").cloneNode(true).childNodes, (drawing) =>
        plainSvg(drawing.getAttribute("viewBox").split(" ").map(Number), ...drawing.childNodes))
      : what === "runs" ? charts.map((chart) => chartSvg(chart, entries))
      : [chartSvg(plot, [cells, best, ...entries])];
    return pictures.forEach((picture) => saveSvg(name, picture, format));
  }
  const about = { table: table.table, checksum: table.checksum, what, address: location.hash };
  const [heads, lines] = what === "runs" ? runLines() : cellLines(what);
  if (format === "csv") save(`${name}.csv`, "text/csv", csvLines(heads, lines));
  else {
    const objects = lines.map((line) => Object.fromEntries(heads.map((head, k) => [head, line[k]])));
    save(`${name}.json`, "application/json", [JSON.stringify({ ...about, lines: objects }, null, 1)]);
  }
}

/** Headings and lines of the runs that the table shows. */
function runLines() {
  const { find, sort } = settings();
  const heads = "run method seed evaluations front hypervolume energy_kwh training_time_s knee objectives epochs reference";
  const lines = foundRuns(groups, find, Number(sort)).map(({ run, values }) => [
    ...[...values.slice(0, -1), run.costs.training_time_s.at(-1), run.knee],
    ...[run.objectives.join(" "), run.epochs, referenceText(run, table)],
  ]);
  return [heads.split(" "), lines];
}

/** Headings and lines of cells, at the chosen budget; those of the card at every budget. */
function cellLines(what) {
  const rows = { view: () => plot.inView(), selection: () => plot.chosen, front, card: () => card }[what]();
  const budgets = what === "card" ? table.budgets : [chosen.epochs];
  const held = (name) => table.columnOf(name, chosen.epochs) !== undefined;
  const names = table.metrics.flatMap(({ name }) => [name, `${name}_std`].filter(held));
  const lines = [];
  for (const row of rows) {
    const text = cellText(table.cellOf(row));
    for (const epochs of budgets) {
      let rounded = false;
      const values = table.metrics.flatMap(({ name }) => {
        const found = [table.value(row, table.columnOf(name, epochs)), table.std(row, name, epochs)].filter(Boolean);
        rounded ||= found.some(({ exact }) => !exact);
        return found.map(({ value, exact }) => (Number.isFinite(value) ? Number(value.toPrecision(exact ? 15 : 6)) : null));
      });
      lines.push([row, text, epochs, rounded, ...values]);
    }
  }
  return [["row", "cell", "epochs", "rounded", ...names], lines];
}
