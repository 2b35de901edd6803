"use strict";
// The scatter plot: for every frame, hundreds of thousands of cells are counted into pixels.

const MARGIN = { left: 54, right: 12, top: 44, bottom: 62 };
const SHADES = 256;

class Scatter {
  /** A plot on a canvas; `onPick(row)` is called when a cell is selected. */
  constructor(canvas, onPick) {
    const [context, raster] = [canvas.getContext("2d"), document.createElement("canvas")];
    Object.assign(this, { canvas, context, raster, onPick, marked: [], frames: [], picked: null, cross: null });
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

  /** Show other axes: `{ metric, scale, step, place }` each, `place` a Float32Array over all cells. */
  axes(x, y) {
    this.x = x;
    this.y = y;
    this.home();
  }

  /** Show other cells, by their rows. */
  cells(rows) {
    this.rows = rows;
    const at = ({ place }) => {
      const out = new Float32Array(rows.length);
      for (let i = 0; i < rows.length; i++) out[i] = place[rows[i]];
      return out;
    };
    [this.xs, this.ys] = [at(this.x), at(this.y)];
    this.request();
  }

  home() {
    const range = (place) => {
      let low = Infinity;
      let high = -Infinity;
      for (const v of place) {
        if (v < low) low = v;
        if (v > high) high = v;
      }
      const pad = (high - low) * 0.035 || Math.abs(high) * 0.1 || 1;
      return [low - pad, high + pad];
    };
    const [x0, x1] = range(this.x.place);
    const [y0, y1] = range(this.y.place);
    this.whole = { x0, x1, y0, y1 };
    this.view = { ...this.whole };
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
    const began = performance.now();
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
    this.frames.push(performance.now() - began);
    if (this.frames.length > 240) this.frames.shift();
  }

  /** Count cells into device pixels, then colour the counts on a logarithmic ramp. */
  drawCells() {
    const { ratio, inner, view, xs, ys, raster } = this;
    const width = Math.round(inner.width * ratio);
    const height = Math.round(inner.height * ratio);
    if (raster.width !== width || raster.height !== height || !this.counts) {
      raster.width = width;
      raster.height = height;
      this.counts = new Uint32Array(width * height);
      this.image = raster.getContext("2d").createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    const { counts, pixels, shades } = this;
    counts.fill(0);
    const sx = width / (view.x1 - view.x0);
    const sy = height / (view.y1 - view.y0);
    const { x0, y1 } = view;
    const size = this.dotSize(sx, sy, width, height);
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
      const left = Math.max(0, (px | 0) - before);
      const top = Math.max(0, (py | 0) - before);
      const right = Math.min(width, left + size);
      const bottom = Math.min(height, top + size);
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
    for (let i = 0; i < counts.length; i++) {
      const n = counts[i];
      pixels[i] = n === 0 ? 0 : shades[ramp[n < top ? n : top]];
    }
    raster.getContext("2d").putImageData(this.image, 0, 0);
    this.context.drawImage(raster, Math.round(inner.left * ratio), Math.round(inner.top * ratio));
  }

  /** Side of a cell's square in device pixels; larger if fewer cells are visible. */
  dotSize(sx, sy, width, height) {
    const { view, xs, ys } = this;
    let seen = 0;
    for (let i = 0; i < xs.length; i++) {
      if (xs[i] >= view.x0 && xs[i] < view.x1 && ys[i] >= view.y0 && ys[i] < view.y1) seen++;
    }
    this.seen = seen;
    const css = seen > 60000 ? 1 : seen > 8000 ? 1.5 : seen > 1000 ? 2.5 : seen > 200 ? 4 : 5;
    return Math.max(1, Math.round(css * this.ratio));
  }

  drawAxes() {
    const { context, inner, view, whole, ink } = this;
    const { left, right, top, bottom } = inner;
    context.font = `12px ${this.font}`;
    const across = axisTicks(this.x, [whole.x0, whole.x1], [view.x0, view.x1], inner.width / 62);
    const up = axisTicks(this.y, [whole.y0, whole.y1], [view.y0, view.y1], inner.height / 44);
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
    const rounded = ((this.x.step ?? 0) / (view.x1 - view.x0)) * inner.width;
    const roundedUp = ((this.y.step ?? 0) / (view.y1 - view.y0)) * inner.height;
    if (Math.max(rounded, roundedUp) >= 4) {
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
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    for (const points of lines) points.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](x, y));
    context.stroke();
  }

  text(text, x, y, align, baseline, colour, most) {
    const { context } = this;
    context.textAlign = align;
    context.textBaseline = baseline;
    context.fillStyle = colour;
    context.fillText(text, x, y, most);
  }

  centre() {
    return { x: this.inner.left + this.inner.width / 2, y: this.inner.top + this.inner.height / 2 };
  }

  toX(place) {
    return this.inner.left + ((place - this.view.x0) / (this.view.x1 - this.view.x0)) * this.inner.width;
  }

  toY(place) {
    return this.inner.top + ((this.view.y1 - place) / (this.view.y1 - this.view.y0)) * this.inner.height;
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
    for (const [x, y] of points) {
      const mark = markPath(x, y, size, shape);
      context.fillStyle = colour;
      context.fill(mark);
      context.lineWidth = 0.8;
      context.strokeStyle = ink.paper;
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
    for (const [width, colour] of [[5, ink.paper], [2.5, ink.picked]]) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke(ring);
    }
  }

  /** Row of the cell nearest to a point of the canvas, marked cells first; null if none is near. */
  nearest(px, py, radius = Infinity) {
    const { inner, view } = this;
    let best = Math.min(radius, 9) ** 2;
    let found = null;
    for (const { rows } of this.marked) {
      for (const row of rows) {
        const [x, y] = this.point(row);
        const distance = (x - px) ** 2 + (y - py) ** 2;
        if (distance < best) [best, found] = [distance, row];
      }
    }
    if (found !== null) return found;
    const sx = inner.width / (view.x1 - view.x0);
    const sy = inner.height / (view.y1 - view.y0);
    const x = view.x0 + (px - inner.left) / sx;
    const y = view.y1 - (py - inner.top) / sy;
    best = radius ** 2;
    for (let i = 0; i < this.xs.length; i++) {
      const dx = (this.xs[i] - x) * sx;
      const dy = (this.ys[i] - y) * sy;
      const distance = dx * dx + dy * dy;
      if (distance < best) [best, found] = [distance, this.rows[i]];
    }
    return found;
  }

  pan(dx, dy) {
    const { view, inner } = this;
    const x = (dx / inner.width) * (view.x1 - view.x0);
    const y = (dy / inner.height) * (view.y1 - view.y0);
    this.view = { x0: view.x0 - x, x1: view.x1 - x, y0: view.y0 + y, y1: view.y1 + y };
    this.request();
  }

  /** Zoom around a point of the canvas; a factor above 1 zooms in. */
  zoom(factor, px, py) {
    const { view, inner, whole } = this;
    const fx = (px - inner.left) / inner.width;
    const fy = (py - inner.top) / inner.height;
    const wide = (whole.x1 - whole.x0) / (view.x1 - view.x0);
    // Limits: slightly more than all cells, and where only the rounding would be visible.
    const by = Math.min(500 / wide, Math.max(0.8 / wide, factor));
    const x = view.x0 + fx * (view.x1 - view.x0);
    const y = view.y1 - fy * (view.y1 - view.y0);
    const width = (view.x1 - view.x0) / by;
    const height = (view.y1 - view.y0) / by;
    this.view = { x0: x - fx * width, x1: x + (1 - fx) * width, y1: y + fy * height, y0: y - (1 - fy) * height };
    this.request();
  }
}
