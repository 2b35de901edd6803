// Charts: axes, lines and marks as SVG; the cells of the scatter plot are counted into pixels for every frame.

/** Marks of the one or two cells of the card. */
const RINGS = ["circle", "square"];
/** Space around the axes, in CSS pixels. */
const MARGIN = { left: 74, right: 12, top: 8, bottom: 50 };

/** A chart in an element, between an `Axis` x and an `Axis` y; points are counted from the top left of these. */
class Plot {
  constructor(host, onView = () => {}) {
    Object.assign(this, { host, onView, svg: svg("svg", { class: "chart" }), outline: null, frames: 0 });
    host.append(this.svg);
    new ResizeObserver(() => this.request()).observe(host);
  }

  request() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      if (this.x) this.draw();
    });
  }

  draw() {
    const { clientWidth, clientHeight } = this.host;
    const width = Math.max(1, clientWidth - MARGIN.left - MARGIN.right);
    const height = Math.max(1, clientHeight - MARGIN.top - MARGIN.bottom);
    this.inner = { width, height, centre: { x: width / 2, y: height / 2 } };
    const frame = svg("g", { transform: `translate(${MARGIN.left} ${MARGIN.top})` }, ...this.frame());
    const layers = svg("svg", { x: MARGIN.left, y: MARGIN.top, width, height }, ...this.layers());
    if (this.outline) {
      const corners = this.outline.map(([x, y]) => this.pointAt(x, y));
      layers.append(path(`${lineData(corners)}Z`, "", "picked", { "stroke-width": 1.5, "stroke-dasharray": "5 4" }));
    }
    this.svg.replaceChildren(frame, layers);
    this.frames++;
    this.onView();
  }

  /** Grid, ticks and labels. */
  frame() {
    const { x, y, inner: { width, height } } = this;
    const grid = (d) => svg("path", { d, class: "grid" });
    const label = (axis, length, transform) =>
      svg("text", { class: "label", "text-anchor": "middle", transform }, axis.label(length / 6.8));
    return [
      ...x.ticks(width / 62).flatMap(({ text, place }) => {
        const [at] = this.pointAt(place, 0);
        return [grid(`M${at} 0v${height}`), svg("text", { x: at, y: height + 18, "text-anchor": "middle" }, text)];
      }),
      ...y.ticks(height / 44).flatMap(({ text, place }) => {
        const [, at] = this.pointAt(0, place);
        return [grid(`M0 ${at}h${width}`), svg("text", { x: -8, y: at, dy: "0.35em", "text-anchor": "end" }, text)];
      }),
      label(x, width, `translate(${width / 2} ${height + 42})`),
      label(y, height, `translate(-60 ${height / 2}) rotate(-90)`),
    ];
  }

  /** The point of two places. */
  pointAt(placeX, placeY) {
    const { x, y, inner } = this;
    return [((placeX - x.low) / x.span) * inner.width, ((y.high - placeY) / y.span) * inner.height];
  }

  /** The places of a point. */
  placesAt(point) {
    const { x, y, inner } = this;
    return [x.low + (point.x / inner.width) * x.span, y.high - (point.y / inner.height) * y.span];
  }

  home() {
    this.show([...this.x.whole, ...this.y.whole]);
  }

  pan(dx, dy) {
    const { x, y, inner } = this;
    const [right, up] = [(-dx / inner.width) * x.span, (dy / inner.height) * y.span];
    this.show([x.low + right, x.high + right, y.low + up, y.high + up]);
  }

  /** Zoom around a point; a factor above 1 zooms in. */
  zoom(factor, point = this.inner.centre) {
    const { x, y, inner } = this;
    const wide = (x.whole[1] - x.whole[0]) / x.span;
    // Limits: slightly more than all cells, and where only the rounding would be visible.
    const by = Math.min(500 / wide, Math.max(0.8 / wide, factor));
    const ends = ({ low, high, span }, share) => [low + share * span * (1 - 1 / by), high - (1 - share) * span * (1 - 1 / by)];
    this.show([...ends(x, point.x / inner.width), ...ends(y, 1 - point.y / inner.height)]);
  }

  /** Show a part of the axes, given by their places; what spans nothing stays. */
  show([x0, x1, y0, y1]) {
    for (const [axis, low, high] of [[this.x, x0, x1], [this.y, y0, y1]]) if (high > low) Object.assign(axis, { low, high });
    this.request();
  }
}

/** The cells of the table, and marks over them. */
class Scatter extends Plot {
  /** `onPick(row)` is called when a cell is selected, `onView()` after each drawing. */
  constructor(host, onPick, onView) {
    super(host, onView);
    Object.assign(this, { onPick, raster: element("canvas", {}), marked: [], chosen: new Int32Array(), picked: [], cross: null });
    host.prepend(this.raster);
    this.theme();
  }

  /** Colours of all and of selected cells in the current colour scheme, as 0xBBGGRR. */
  theme() {
    const number = (name) => parseInt(colourOf(name).replace(/#(..)(..)(..)/, "$3$2$1"), 16);
    this.colours = ["cloud", "chosen"].map(number);
  }

  /** Show other cells, by their rows, and mark some of them as selected. */
  cells(rows, chosen) {
    Object.assign(this, { rows, chosen });
    this.sets = [rows, chosen].map((some) => [this.x, this.y].map(({ place }) => {
      const out = new Float32Array(some.length); // filled by a loop, 50 times as fast as `from`
      for (let i = 0; i < some.length; i++) out[i] = place[some[i]];
      return out;
    }));
    this.request();
  }

  /** Count cells into device pixels, then show the counts by a logarithmic ramp of opacity. */
  drawCells() {
    const { raster, sets, colours, inner } = this;
    const [width, height] = [inner.width, inner.height].map((side) => Math.round(side * devicePixelRatio));
    if (raster.width !== width || raster.height !== height || !this.counts) {
      Object.assign(raster, { width, height });
      const box = { ...MARGIN, width: inner.width, height: inner.height };
      for (const side of ["left", "top", "width", "height"]) raster.style[side] = `${box[side]}px`;
      this.counts = new Uint32Array(raster.width * raster.height);
      this.image = raster.getContext("2d").createImageData(raster.width, raster.height);
      this.pixels = new Uint32Array(this.image.data.buffer);
    }
    this.pixels.fill(0);
    const size = this.dotSize();
    sets.forEach((set, i) => set[0].length && this.paint(...set, size, colours[i]));
    raster.getContext("2d").putImageData(this.image, 0, 0);
  }

  paint(xs, ys, size, colour) {
    const { counts, pixels, raster } = this;
    const { width, height } = raster;
    counts.fill(0);
    const [sx, sy] = [width / this.x.span, height / this.y.span];
    const [x0, y1] = [this.x.low, this.y.high];
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
    const top = Math.min(most, 4095);
    const least = 85 + 130 * (1 - Math.min(1, Math.log(most) / Math.log(30)));
    const scale = (255 - least) / Math.log(Math.max(2, top));
    const ramp = Uint32Array.from({ length: top + 1 }, (_, n) => n && (((least + Math.log(n) * scale) << 24) | colour));
    for (let i = 0; i < counts.length; i++) if (counts[i]) pixels[i] = ramp[Math.min(counts[i], top)];
  }

  /** Side of a cell's square in device pixels; larger if fewer cells are visible. */
  dotSize() {
    const [xs, ys] = this.sets[0];
    const [x0, x1, y0, y1] = [this.x.low, this.x.high, this.y.low, this.y.high];
    let seen = 0;
    for (let i = 0; i < xs.length; i++) if (xs[i] >= x0 && xs[i] < x1 && ys[i] >= y0 && ys[i] < y1) seen++;
    const css = seen > 60000 ? 1 : seen > 8000 ? 1.5 : seen > 1000 ? 2.5 : seen > 200 ? 4 : 5;
    return Math.max(1, Math.round(css * devicePixelRatio));
  }

  /** Rows of the shown cells within the axes. */
  inView() {
    const { x, y } = this;
    const within = ({ place, low, high }, row) => place[row] >= low && place[row] < high;
    return this.rows.filter((row) => within(x, row) && within(y, row));
  }

  /** Lines and marks over the cells, which are drawn as well. */
  layers() {
    this.drawCells();
    const parts = this.marked.flatMap((layer) => this.layer(layer));
    for (const [i, row] of this.picked.entries()) {
      const ring = markData(...this.point(row), 9, RINGS[i]);
      parts.push(path(ring, "", "paper", { "stroke-width": 5 }), path(ring, "", "picked", { "stroke-width": 2.5 }));
    }
    if (this.cross && document.activeElement === this.host && this.keyed) {
      const { x, y } = this.cross;
      parts.push(path(`M${x - 14} ${y}h28M${x} ${y - 14}v28`, "", "picked", {}));
    }
    return parts;
  }

  /** Marked cells, such as a front: `{ rows, colour, shape, size, stepped }`. */
  layer({ rows, colour, shape, size, stepped }) {
    const points = Array.from(rows, (row) => this.point(row)).filter(([x, y]) => x === x && y === y);
    const marks = points.map(([x, y]) => markData(x, y, size, shape)).join("");
    const drawn = path(marks, colour, "paper", { "stroke-width": 1.4, "paint-order": "stroke" });
    if (!stepped) return [drawn];
    points.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    // Between two points of a front, the one that is better in x is attained.
    return [path(stepData(points, this.x.metric.maximise), "", colour, { "stroke-width": 1.5 }), drawn];
  }

  point(row) {
    return this.pointAt(this.x.place[row], this.y.place[row]);
  }

  /** Whether the rounding of the values can be seen, as a grid. */
  get gridded() {
    const { x, y, inner } = this;
    return Math.max((x.step / x.span) * inner.width, (y.step / y.span) * inner.height) >= 4;
  }

  /** Row of the cell nearest to a point, marked cells first; null if none is near. */
  nearest(point, radius = Infinity) {
    const { inner, x, y } = this;
    const [sx, sy] = [inner.width / x.span, inner.height / y.span];
    const [atX, atY] = this.placesAt(point);
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
}
