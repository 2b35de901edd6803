"use strict";
// The scatter plot: for every frame, hundreds of thousands of cells are counted into pixels.

const MARGIN = { left: 54, right: 12, top: 44, bottom: 62 };
const SHADES = 256;

/** An axis: the `place` of each cell on a `scale` of `SCALES`, rounded to `step`; `low` to `high` is visible. */
class Axis {
  constructor(metric, scale, step, place) {
    let [low, high] = [Infinity, -Infinity];
    for (const v of place) {
      if (v < low) low = v;
      if (v > high) high = v;
    }
    const pad = (high - low) * 0.035 || Math.abs(high) * 0.1 || 1;
    Object.assign(this, { metric, scale, step, place, whole: [low - pad, high + pad] });
    this.home();
  }

  home() {
    [this.low, this.high] = this.whole;
  }

  get span() {
    return this.high - this.low;
  }

  /** Where a place lies in the visible part: 0 at its start, 1 at its end. */
  share(place) {
    return (place - this.low) / this.span;
  }

  pan(share) {
    const by = share * this.span;
    this.low += by;
    this.high += by;
  }

  /** Zoom around a share of the visible part. */
  zoom(factor, share) {
    const at = this.low + share * this.span;
    const span = this.span / factor;
    this.low = at - share * span;
    this.high = at + (1 - share) * span;
  }
}

class Scatter {
  /** A plot on a canvas; `onPick(row)` is called when a cell is selected. */
  constructor(canvas, onPick) {
    const [context, raster] = [canvas.getContext("2d"), document.createElement("canvas")];
    Object.assign(this, { canvas, context, raster, onPick, marked: [], frames: 0, picked: null, cross: null });
    this.theme();
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.theme();
      this.request();
    });
  }

  /** Colours of the current colour scheme. */
  theme() {
    const names = ["ink", "quiet", "line", "paper", "front", "picked", "cloud-pale", "cloud-deep"];
    this.ink = Object.fromEntries(names.map((name) => [name, colourOf(name)]));
    this.font = getComputedStyle(document.body).fontFamily;
    const [pale, deep] = [this.ink["cloud-pale"], this.ink["cloud-deep"]].map((hex) =>
      [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)),
    );
    this.shades = new Uint32Array(SHADES);
    for (let i = 1; i < SHADES; i++) {
      const [r, g, b] = pale.map((p, c) => Math.round(p + ((deep[c] - p) * (i - 1)) / (SHADES - 2)));
      this.shades[i] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
  }

  axes(x, y) {
    Object.assign(this, { x, y });
    this.request();
  }

  /** Show other cells, by their rows. */
  cells(rows) {
    this.rows = rows;
    [this.xs, this.ys] = [this.x, this.y].map(({ place }) => {
      const out = new Float32Array(rows.length); // filled by a loop, 50 times as fast as `from`
      for (let i = 0; i < rows.length; i++) out[i] = place[rows[i]];
      return out;
    });
    this.request();
  }

  home() {
    this.x.home();
    this.y.home();
    this.request();
  }

  resize() {
    const { left, right, top, bottom } = MARGIN;
    const { clientWidth, clientHeight } = this.canvas;
    this.ratio = Math.min(3, window.devicePixelRatio || 1);
    this.canvas.width = Math.round(clientWidth * this.ratio);
    this.canvas.height = Math.round(clientHeight * this.ratio);
    this.width = clientWidth;
    const [width, height] = [Math.max(20, clientWidth - left - right), Math.max(20, clientHeight - top - bottom)];
    this.inner = { left, top, width, height, right: left + width, bottom: top + height };
    this.request();
  }

  request() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    if (!this.rows || !this.inner) return;
    const { context, ratio, inner } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.drawCells();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.drawAxes();
    context.save();
    context.beginPath();
    context.rect(inner.left, inner.top, inner.width, inner.height);
    context.clip();
    for (const layer of this.marked) this.drawLayer(layer);
    this.drawPicked();
    context.restore();
    this.frames++;
  }

  /** Count cells into device pixels, then colour the counts on a logarithmic ramp. */
  drawCells() {
    const { ratio, inner, xs, ys, raster } = this;
    const [width, height] = [inner.width, inner.height].map((side) => Math.round(side * ratio));
    if (raster.width !== width || raster.height !== height || !this.counts) {
      Object.assign(raster, { width, height });
      this.counts = new Uint32Array(width * height);
      this.image = raster.getContext("2d").createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const { counts, pixels, shades } = this;
    counts.fill(0);
    const [sx, sy] = [width / this.x.span, height / this.y.span];
    const [x0, y1] = [this.x.low, this.y.high];
    const size = this.dotSize();
    const before = size >> 1;
    let most = 1;
    for (let i = 0; i < xs.length; i++) {
      const px = (xs[i] - x0) * sx;
      const py = (y1 - ys[i]) * sy;
      // A NaN fails every comparison, so cells without a value are left out here.
      if (!(px >= 0 && px < width && py >= 0 && py < height)) continue;
      if (size === 1) {
        const n = ++counts[(py | 0) * width + (px | 0)];
        if (n > most) most = n;
        continue;
      }
      const [left, top] = [Math.max(0, (px | 0) - before), Math.max(0, (py | 0) - before)];
      const [right, bottom] = [Math.min(width, left + size), Math.min(height, top + size)];
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) {
          const n = ++counts[y * width + x];
          if (n > most) most = n;
        }
      }
    }
    // A single cell must be visible: it starts at a third of the ramp, higher in a sparse plot.
    const ramp = new Uint8Array(Math.min(most, 4095) + 1);
    const least = 85 + 130 * (1 - Math.min(1, Math.log(most) / Math.log(30)));
    const scale = (SHADES - 1 - least) / Math.log(Math.max(2, ramp.length - 1));
    for (let n = 1; n < ramp.length; n++) ramp[n] = least + Math.log(n) * scale;
    const top = ramp.length - 1;
    // The first entries of ramp and shades are 0, transparent.
    for (let i = 0; i < counts.length; i++) pixels[i] = shades[ramp[Math.min(counts[i], top)]];
    raster.getContext("2d").putImageData(this.image, 0, 0);
    this.context.drawImage(raster, Math.round(inner.left * ratio), Math.round(inner.top * ratio));
  }

  /** Side of a cell's square in device pixels; larger if fewer cells are visible. */
  dotSize() {
    const { x, y, xs, ys } = this;
    const [x0, x1, y0, y1] = [x.low, x.high, y.low, y.high];
    let seen = 0;
    for (let i = 0; i < xs.length; i++) if (xs[i] >= x0 && xs[i] < x1 && ys[i] >= y0 && ys[i] < y1) seen++;
    const css = seen > 60000 ? 1 : seen > 8000 ? 1.5 : seen > 1000 ? 2.5 : seen > 200 ? 4 : 5;
    return Math.max(1, Math.round(css * this.ratio));
  }

  drawAxes() {
    const { context, inner, ink } = this;
    const { left, right, top, bottom } = inner;
    context.font = `12px ${this.font}`;
    const across = axisTicks(this.x, inner.width / 62);
    const up = axisTicks(this.y, inner.height / 44);
    const columns = across.ticks.map(({ place }) => Math.round(this.toX(place)) + 0.5);
    const lines = up.ticks.map(({ place }) => Math.round(this.toY(place)) + 0.5);
    context.globalAlpha = 0.55;
    this.stroke(ink.line, 1, ...columns.map((x) => [[x, top], [x, bottom]]), ...lines.map((y) => [[left, y], [right, y]]));
    context.globalAlpha = 1;
    this.stroke(ink.quiet, 1, [[left - 0.5, top], [left - 0.5, bottom + 0.5], [right, bottom + 0.5]]);
    for (const { place, text } of up.ticks) this.text(text, left - 7, this.toY(place), "right", "middle", ink.quiet);
    for (const { place, text } of across.ticks) {
      const x = Math.min(this.toX(place), this.width - context.measureText(text).width / 2 - 1);
      this.text(text, x, bottom + 6, "center", "top", ink.quiet);
    }
    if (Math.max((this.x.step / this.x.span) * inner.width, (this.y.step / this.y.span) * inner.height) >= 4) {
      const says = "Cells lie on a grid here: this page rounds values.";
      this.text(says, left + 6, bottom - 5, "left", "bottom", ink.quiet, inner.width - 12);
    }
    // The name of an axis and, below it, the origin of its values.
    for (const [{ unit }, { metric }, y, align, x] of [
      [up, this.y, 2, "left", 4],
      [across, this.x, bottom + 25, "right", this.width - MARGIN.right],
    ]) {
      context.font = `600 13px ${this.font}`;
      this.text(axisLabel(metric, unit), x, y, align, "top", ink.ink, this.width - 16);
      context.font = `12px ${this.font}`;
      this.text(originShort(metric), x, y + 18, align, "top", ink.quiet, this.width - 16);
    }
  }

  /** Stroke lines, each through a list of points. */
  stroke(colour, width, ...lines) {
    const context = Object.assign(this.context, { strokeStyle: colour, lineWidth: width });
    context.beginPath();
    for (const points of lines) points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x, y));
    context.stroke();
  }

  text(text, x, y, textAlign, textBaseline, fillStyle, most) {
    Object.assign(this.context, { textAlign, textBaseline, fillStyle }).fillText(text, x, y, most);
  }

  centre() {
    const { left, right, top, bottom } = this.inner;
    return { x: (left + right) / 2, y: (top + bottom) / 2 };
  }

  toX(place) {
    return this.inner.left + this.x.share(place) * this.inner.width;
  }

  toY(place) {
    return this.inner.bottom - this.y.share(place) * this.inner.height;
  }

  point(row) {
    return [this.toX(this.x.place[row]), this.toY(this.y.place[row])];
  }

  /** Draw marked cells, such as a front: `{ rows, colour, shape, size, stepped }`. */
  drawLayer({ rows, colour, shape, size, stepped }) {
    const { context, ink } = this;
    const points = Array.from(rows, (row) => this.point(row)).filter(([x, y]) => x === x && y === y);
    if (stepped) {
      points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      // Between two points of a front, the one that is better in x is attained.
      const turns = points.flatMap(([x, y], i) => {
        const [beforeX, beforeY] = points[i - 1] ?? [x, y];
        return [this.x.metric.maximise ? [beforeX, y] : [x, beforeY], [x, y]];
      });
      this.stroke(colour, 1.5, turns);
    }
    Object.assign(context, { fillStyle: colour, lineWidth: 0.8, strokeStyle: ink.paper });
    for (const [x, y] of points) {
      const mark = markPath(x, y, size, shape);
      context.fill(mark);
      context.stroke(mark);
    }
  }

  drawPicked() {
    const { context, ink, cross } = this;
    if (cross && document.activeElement === this.canvas && this.keyed) {
      const { x, y } = cross;
      this.stroke(ink.picked, 1, [[x - 14, y], [x + 14, y]], [[x, y - 14], [x, y + 14]]);
    }
    if (this.picked === null) return;
    const ring = markPath(...this.point(this.picked), 9, "circle");
    for (const [lineWidth, strokeStyle] of [[5, ink.paper], [2.5, ink.picked]]) {
      Object.assign(context, { lineWidth, strokeStyle }).stroke(ring);
    }
  }

  /** Row of the cell nearest to a point of the canvas, marked cells first; null if none is near. */
  nearest(point, radius = Infinity) {
    const { inner, x, y } = this;
    const [sx, sy] = [inner.width / x.span, inner.height / y.span];
    const [atX, atY] = [x.low + (point.x - inner.left) / sx, y.high - (point.y - inner.top) / sy];
    const nearestOf = (rows, most) => {
      let [best, found] = [most ** 2, null];
      for (let i = 0; i < rows.length; i++) {
        const dx = (x.place[rows[i]] - atX) * sx;
        const dy = (y.place[rows[i]] - atY) * sy;
        const distance = dx * dx + dy * dy;
        if (distance < best) [best, found] = [distance, rows[i]];
      }
      return found;
    };
    const marked = this.marked.flatMap(({ rows }) => [...rows]);
    return nearestOf(marked, Math.min(radius, 9)) ?? nearestOf(this.rows, radius);
  }

  pan(dx, dy) {
    this.x.pan(-dx / this.inner.width);
    this.y.pan(dy / this.inner.height);
    this.request();
  }

  /** Zoom around a point of the canvas; a factor above 1 zooms in. */
  zoom(factor, point = this.centre()) {
    const { x, y, inner } = this;
    const wide = (x.whole[1] - x.whole[0]) / x.span;
    // Limits: slightly more than all cells, and where only the rounding would be visible.
    const by = Math.min(500 / wide, Math.max(0.8 / wide, factor));
    x.zoom(by, (point.x - inner.left) / inner.width);
    y.zoom(by, (inner.bottom - point.y) / inner.height);
    this.request();
  }
}
