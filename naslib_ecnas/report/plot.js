"use strict";
// The scatter plot: for every frame, hundreds of thousands of cells are counted into pixels.

const MARGIN = { left: 54, right: 12, top: 44, bottom: 62 };
const SHADES = 256;

class Scatter {
  /**
   * @param canvas the canvas to draw on
   * @param onPick callback(row) when a cell is selected
   */
  constructor(canvas, onPick) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.onPick = onPick;
    this.marked = [];
    this.frames = [];
    this.picked = null;
    this.cross = null;
    this.raster = document.createElement("canvas");
    this.theme();
    new ResizeObserver(() => this.resize()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.theme();
      this.request();
    });
  }

  /** Colours of the current colour scheme. */
  theme() {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue(name).trim();
    this.ink = Object.fromEntries(
      ["ink", "quiet", "line", "paper", "front", "picked"].map((name) => [name, get(`--${name}`)]),
    );
    this.font = getComputedStyle(document.body).fontFamily;
    const [pale, deep] = [get("--cloud-pale"), get("--cloud-deep")].map((hex) =>
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
    const { place: px } = this.x;
    const { place: py } = this.y;
    const xs = new Float32Array(rows.length);
    const ys = new Float32Array(rows.length);
    for (let i = 0; i < rows.length; i++) {
      xs[i] = px[rows[i]];
      ys[i] = py[rows[i]];
    }
    this.xs = xs;
    this.ys = ys;
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
    const ratio = Math.min(3, window.devicePixelRatio || 1);
    const { clientWidth, clientHeight } = this.canvas;
    this.ratio = ratio;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.width = clientWidth;
    this.height = clientHeight;
    this.inner = {
      left: MARGIN.left,
      top: MARGIN.top,
      width: Math.max(20, clientWidth - MARGIN.left - MARGIN.right),
      height: Math.max(20, clientHeight - MARGIN.top - MARGIN.bottom),
    };
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
    const { context, inner, view, ink } = this;
    const bottom = inner.top + inner.height;
    const right = inner.left + inner.width;
    context.font = `12px ${this.font}`;
    context.lineWidth = 1;
    const { whole } = this;
    const across = axisTicks(this.x, [whole.x0, whole.x1], [view.x0, view.x1], inner.width / 62);
    const up = axisTicks(this.y, [whole.y0, whole.y1], [view.y0, view.y1], inner.height / 44);
    context.strokeStyle = ink.line;
    context.globalAlpha = 0.55;
    context.beginPath();
    for (const { place } of across.ticks) {
      const x = Math.round(this.toX(place)) + 0.5;
      context.moveTo(x, inner.top);
      context.lineTo(x, bottom);
    }
    for (const { place } of up.ticks) {
      const y = Math.round(this.toY(place)) + 0.5;
      context.moveTo(inner.left, y);
      context.lineTo(right, y);
    }
    context.stroke();
    context.globalAlpha = 1;
    context.strokeStyle = ink.quiet;
    context.beginPath();
    context.moveTo(inner.left - 0.5, inner.top);
    context.lineTo(inner.left - 0.5, bottom + 0.5);
    context.lineTo(right, bottom + 0.5);
    context.stroke();
    context.fillStyle = ink.quiet;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const { place, text } of up.ticks) context.fillText(text, inner.left - 7, this.toY(place));
    context.textBaseline = "top";
    context.textAlign = "center";
    for (const { place, text } of across.ticks) {
      const half = context.measureText(text).width / 2;
      const x = Math.min(this.toX(place), this.width - half - 1);
      context.fillText(text, x, bottom + 6);
    }
    this.noteRounding();
    this.label(up, this.y.metric, 2, "left", 4);
    this.label(across, this.x.metric, bottom + 25, "right", this.width - MARGIN.right);
  }

  /** Add a note if the rounding of the page's values is visible. */
  noteRounding() {
    const { context, inner, view, ink } = this;
    const across = ((this.x.step ?? 0) / (view.x1 - view.x0)) * inner.width;
    const up = ((this.y.step ?? 0) / (view.y1 - view.y0)) * inner.height;
    if (Math.max(across, up) < 4) return;
    context.textAlign = "left";
    context.textBaseline = "bottom";
    context.fillStyle = ink.quiet;
    const says = "Cells lie on a grid here: this page rounds values.";
    context.fillText(says, inner.left + 6, inner.top + inner.height - 5, inner.width - 12);
  }

  /** Name of an axis and, below it, the origin of its values. */
  label({ unit }, metric, y, align, x) {
    const { context, ink } = this;
    context.textAlign = align;
    context.textBaseline = "top";
    context.fillStyle = ink.ink;
    context.font = `600 13px ${this.font}`;
    context.fillText(axisLabel(metric, unit), x, y, this.width - 16);
    context.fillStyle = ink.quiet;
    context.font = `12px ${this.font}`;
    context.fillText(originShort(metric), x, y + 18, this.width - 16);
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

  /** Draw marked cells, such as a front: `{ rows, colour, shape, size, stepped, quiet }`. */
  drawLayer({ rows, colour, shape, size = 3, stepped = false, quiet = false }) {
    const { context } = this;
    const points = Array.from(rows, (row) => this.point(row)).filter(([x, y]) => x === x && y === y);
    if (stepped && points.length > 1) {
      points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
      context.strokeStyle = colour;
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(...points[0]);
      for (let i = 1; i < points.length; i++) {
        // Between two points of a front, the one that is better in x is attained.
        const [x, y] = points[i];
        if (this.x.metric.maximise) context.lineTo(points[i - 1][0], y);
        else context.lineTo(x, points[i - 1][1]);
        context.lineTo(x, y);
      }
      context.stroke();
    }
    context.globalAlpha = quiet ? 0.75 : 1;
    for (const [x, y] of points) this.mark(x, y, size, shape, colour);
    context.globalAlpha = 1;
  }

  mark(x, y, size, shape, colour) {
    const { context, ink } = this;
    context.beginPath();
    tracePath(context, x, y, size, shape);
    context.fillStyle = colour;
    context.fill();
    context.lineWidth = 0.8;
    context.strokeStyle = ink.paper;
    context.stroke();
  }

  drawPicked() {
    const { context, ink, cross } = this;
    if (cross && document.activeElement === this.canvas && this.keyed) {
      context.strokeStyle = ink.picked;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(cross.x - 14, cross.y);
      context.lineTo(cross.x + 14, cross.y);
      context.moveTo(cross.x, cross.y - 14);
      context.lineTo(cross.x, cross.y + 14);
      context.stroke();
    }
    if (this.picked === null) return;
    const [x, y] = this.point(this.picked);
    for (const [width, colour] of [[5, ink.paper], [2.5, ink.picked]]) {
      context.beginPath();
      context.arc(x, y, 9, 0, 2 * Math.PI);
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
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
      if (distance < best) {
        best = distance;
        found = this.rows[i];
      }
    }
    return found;
  }

  pan(dx, dy) {
    const { view, inner } = this;
    const x = (dx / inner.width) * (view.x1 - view.x0);
    const y = (dy / inner.height) * (view.y1 - view.y0);
    view.x0 -= x;
    view.x1 -= x;
    view.y0 += y;
    view.y1 += y;
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
