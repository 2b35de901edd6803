"use strict";
// Mouse, touch and keyboard on the scatter plot.

const STILL = 5; // pixels that the pointer may move during a click

/** Pan, zoom and select in a scatter plot; `tip(row, point)` shows the cell under the mouse. */
function listen(plot, tip) {
  const { canvas } = plot;
  const held = new Map();
  let moved = 0;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
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

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held.set(event.pointerId, place(event));
    if (held.size === 1) moved = 0;
    plot.keyed = false;
    tip(null);
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event);
    if (!held.has(event.pointerId)) {
      if (event.pointerType === "mouse") hover(now);
      return;
    }
    const before = grip();
    held.set(event.pointerId, now);
    const after = grip();
    const [dx, dy] = [after.x - before.x, after.y - before.y];
    moved += held.size > 1 ? Infinity : Math.hypot(dx, dy);
    if (moved > STILL) plot.pan(dx, dy);
    if (held.size === 2) plot.zoom(after.apart / (before.apart || after.apart), after);
  });
  const release = (event) => {
    if (!held.delete(event.pointerId) || held.size) return;
    if (event.type === "pointerup" && moved <= STILL) {
      const row = pickNear(place(event), 24);
      // A finger cannot hover, and on a narrow screen the drawing is further down.
      if (event.pointerType !== "mouse") tip(row, place(event));
    }
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && tip(null));

  let asked = null;
  const hover = (now) => {
    if (asked === null) {
      requestAnimationFrame(() => {
        tip(plot.nearest(asked, 10), asked);
        asked = null;
      });
    }
    asked = now;
  };

  // The wheel scrolls the page unless the plot has the focus.
  canvas.addEventListener(
    "wheel",
    (event) => {
      if (document.activeElement !== canvas && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 16 : 1;
      plot.zoom(Math.exp(-event.deltaY * lines * 0.0018), place(event));
      tip(null);
    },
    { passive: false },
  );
  canvas.addEventListener("dblclick", (event) => plot.zoom(2, place(event)));

  const zoomed = (factor) => (at) => plot.zoom(factor, at);
  const crossed = (dx, dy) => ({ x, y }, step) => {
    moveCross(plot, x + dx * step, y + dy * step);
    pickNear(plot.cross);
  };
  const [nearer, farther, home] = [zoomed(1.4), zoomed(1 / 1.4), () => plot.home()];
  const keys = {
    ...{ ArrowLeft: crossed(-1, 0), ArrowRight: crossed(1, 0), ArrowUp: crossed(0, -1), ArrowDown: crossed(0, 1) },
    ...{ "+": nearer, "=": nearer, "-": farther, _: farther, 0: home, Home: home },
  };
  canvas.addEventListener("keydown", (event) => {
    const act = event.ctrlKey || event.metaKey || event.altKey ? null : keys[event.key];
    if (!act) return;
    plot.keyed = true;
    act(plot.cross ?? plot.centre(), event.shiftKey ? 2 : 16);
    event.preventDefault();
    plot.request();
  });
  for (const kind of ["focus", "blur"]) canvas.addEventListener(kind, () => plot.request());
}

/** Move the cross to a point; at the edge of the plot, pan instead. */
function moveCross(plot, toX, toY) {
  const { left, right, top, bottom } = plot.inner;
  const x = Math.min(right, Math.max(left, toX));
  const y = Math.min(bottom, Math.max(top, toY));
  plot.pan(x - toX, y - toY);
  plot.cross = { x, y };
}
