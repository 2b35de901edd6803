// Mouse, touch and keyboard on a plot.

const STILL = 5; // pixels that the pointer may move during a click

/** Corners of the rectangle between two opposite ones. */
const boxOf = ([x0, y0], [x1, y1]) => [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];

/** Pan, zoom and select; `tip(row, point)` shows what `plot.nearest` finds, `onOutline(places)` receives a box or lasso. */
function listen(plot, tip, onOutline) {
  const { host } = plot;
  const held = new Map();
  let [moved, asked, corner] = [0, null, null];
  const on = (kinds, act, options) => kinds.split(" ").forEach((kind) => host.addEventListener(kind, act, options));
  const place = (event) => {
    const box = host.getBoundingClientRect();
    return { x: event.clientX - box.left - MARGIN.left, y: event.clientY - box.top - MARGIN.top };
  };
  const pickNear = (point, radius) => {
    const row = plot.nearest(point, radius);
    if (row !== null) plot.onPick(row);
    return row;
  };
  /** Middle of the one or two pointers, and how far apart they are. */
  const grip = () => {
    const [a, b = a] = held.values();
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) };
  };

  on("pointerdown", (event) => {
    host.setPointerCapture(event.pointerId);
    held.set(event.pointerId, place(event));
    if (held.size === 1) [moved, corner, plot.tracing] = [0, plot.placesAt(place(event)), false];
    plot.keyed = false;
    tip(null);
  });
  on("pointermove", (event) => {
    const now = place(event);
    if (!held.has(event.pointerId)) {
      if (event.pointerType !== "mouse") return;
      if (!asked) requestAnimationFrame(() => (tip(plot.nearest(asked, 10), asked), (asked = null)));
      asked = now;
      return;
    }
    const before = grip();
    held.set(event.pointerId, now);
    const after = grip();
    const [dx, dy] = [after.x - before.x, after.y - before.y];
    moved += held.size > 1 ? Infinity : Math.hypot(dx, dy);
    if (moved <= STILL) return;
    if (held.size === 2) plot.zoom(after.apart / (before.apart || after.apart), after);
    if (held.size === 2 || plot.mode === "move") return plot.pan(dx, dy);
    const [at, path] = [plot.placesAt(now), plot.tracing ? plot.outline : [corner]];
    plot.outline = plot.mode === "box" ? boxOf(corner, at) : [...path, at];
    plot.tracing = true;
    plot.request();
  });
  on("pointerup pointercancel", (event) => {
    if (!held.delete(event.pointerId) || held.size) return;
    if (plot.tracing) onOutline(plot.outline);
    plot.tracing = false;
    if (event.type === "pointercancel" || moved > STILL) return;
    const row = pickNear(place(event), 24);
    // A finger cannot hover, and on a narrow screen the drawing is further down.
    if (event.pointerType !== "mouse") tip(row, place(event));
  });
  on("pointerleave", (event) => event.pointerType === "mouse" && tip(null));
  on("focus blur", () => plot.request());
  on("dblclick", () => plot.home());
  // The wheel scrolls the page unless the plot has the focus.
  on("wheel", (event) => {
    if (document.activeElement !== host && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    plot.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 16 : 1) * 0.0018), place(event));
    tip(null);
  }, { passive: false });

  const zoomed = (factor) => (at) => plot.zoom(factor, at);
  const crossed = (dx, dy) => (at, step) => {
    // At the edge of the plot, pan instead.
    const [x, y] = [at.x + dx * step, at.y + dy * step];
    plot.cross = { x: Math.min(plot.inner.width, Math.max(0, x)), y: Math.min(plot.inner.height, Math.max(0, y)) };
    plot.pan(plot.cross.x - x, plot.cross.y - y);
    if (plot.tracing) plot.outline = boxOf(corner, plot.placesAt(plot.cross));
    pickNear(plot.cross);
  };
  const boxed = (at) => {
    if (plot.tracing) onOutline(plot.outline);
    else corner = plot.placesAt(at);
    plot.tracing = !plot.tracing;
  };
  const [nearer, farther, home] = [zoomed(1.4), zoomed(1 / 1.4), () => plot.home()];
  const keys = {
    ...{ ArrowLeft: crossed(-1, 0), ArrowRight: crossed(1, 0), ArrowUp: crossed(0, -1), ArrowDown: crossed(0, 1) },
    ...{ "+": nearer, "=": nearer, "-": farther, _: farther, 0: home, Home: home, b: boxed },
  };
  on("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
    if (!act) return;
    plot.keyed = true;
    act(plot.cross ?? plot.inner.centre, event.shiftKey ? 2 : 16);
    event.preventDefault();
    plot.request();
  });
}
