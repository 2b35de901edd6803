"use strict";
// Mouse, touch and keyboard on the scatter plot.

const STILL = 5; // pixels that the pointer may move during a click

/** Pan, zoom and select in a scatter plot; `tip(row, x, y)` shows the cell under the mouse. */
function listen(plot, tip) {
  const { canvas } = plot;
  const held = new Map();
  let moved = 0;
  let spread = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const middle = () => {
    const [a, b = a] = held.values();
    return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
  };
  const apart = () => {
    const [a, b] = held.values();
    return Math.hypot(a.x - b.x, a.y - b.y);
  };

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, place(event));
    if (held.size === 1) moved = 0;
    if (held.size === 2) spread = apart();
    plot.keyed = false;
    tip(null);
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event);
    if (!held.has(event.pointerId)) {
      if (event.pointerType === "mouse") hover(now);
      return;
    }
    const before = middle();
    held.set(event.pointerId, now);
    const after = middle();
    moved += Math.hypot(after.x - before.x, after.y - before.y);
    if (moved > STILL || held.size > 1) plot.pan(after.x - before.x, after.y - before.y);
    if (held.size === 2) {
      const wide = apart();
      plot.zoom(wide / (spread || wide), after.x, after.y);
      spread = wide;
      moved = Infinity;
    }
  });
  const release = (event) => {
    if (!held.delete(event.pointerId) || held.size) return;
    if (event.type === "pointerup" && moved <= STILL) {
      const { x, y } = place(event);
      const row = plot.nearest(x, y, 24);
      if (row !== null) plot.onPick(row);
      // A finger cannot hover, and on a narrow screen the drawing is further down.
      if (event.pointerType !== "mouse") tip(row, x, y);
    }
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && tip(null));

  let asked = null;
  const hover = (now) => {
    const waits = asked !== null;
    asked = now;
    if (waits) return;
    requestAnimationFrame(() => {
      const { x, y } = asked;
      asked = null;
      tip(plot.nearest(x, y, 10), x, y);
    });
  };

  // The wheel scrolls the page unless the plot has the focus.
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const { x, y } = place(event);
      const lines = event.deltaMode === 1 ? 16 : 1;
      plot.zoom(Math.exp(-event.deltaY * lines * 0.0018), x, y);
      tip(null);
    },
    { passive: false },
  );
  canvas.addEventListener("dblclick", (event) => {
    const { x, y } = place(event);
    plot.zoom(2, x, y);
  });

  const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const centre = plot.cross ?? plot.centre();
    plot.keyed = true;
    if (steps[event.key]) {
      const [dx, dy] = steps[event.key];
      moveCross(plot, centre, dx * (event.shiftKey ? 2 : 16), dy * (event.shiftKey ? 2 : 16));
      const row = plot.nearest(plot.cross.x, plot.cross.y);
      if (row !== null) plot.onPick(row);
    } else if (event.key === "+" || event.key === "=") plot.zoom(1.4, centre.x, centre.y);
    else if (event.key === "-" || event.key === "_") plot.zoom(1 / 1.4, centre.x, centre.y);
    else if (event.key === "0" || event.key === "Home") plot.home();
    else {
      plot.keyed = false;
      return;
    }
    event.preventDefault();
    plot.request();
  });
  for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => plot.request());
}

/** Move the cross; at the edge of the plot, pan instead. */
function moveCross(plot, from, dx, dy) {
  const { inner } = plot;
  const x = Math.min(inner.left + inner.width, Math.max(inner.left, from.x + dx));
  const y = Math.min(inner.top + inner.height, Math.max(inner.top, from.y + dy));
  plot.pan(x - from.x - dx, y - from.y - dy);
  plot.cross = { x, y };
}
