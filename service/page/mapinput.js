// Pointer, wheel and keys on the map, said as what they ask for: zoom, pan, fit, point at a pixel, step in a direction.

const STEP = 1.3; // one notch of zoom
const ARROWS = {
  ArrowLeft: { dx: -1, dy: 0 },
  ArrowRight: { dx: 1, dy: 0 },
  ArrowUp: { dx: 0, dy: 1 },
  ArrowDown: { dx: 0, dy: -1 },
};

export function wireChart(canvas, buttons, ask) {
  wirePointers(canvas, ask);
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      ask.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), pixelOf(event));
    },
    { passive: false },
  );
  canvas.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrow) ask.step(arrow);
    else if (event.key === "+" || event.key === "=") ask.zoom(STEP);
    else if (event.key === "-") ask.zoom(1 / STEP);
    else if (event.key === "0") ask.fit();
    else if (event.key === "Escape") ask.point(null);
    else return;
    event.preventDefault();
  });
  buttons.addEventListener("click", (event) => {
    const wish = event.target.dataset.zoom;
    if (wish === "fit") ask.fit();
    else if (wish) ask.zoom(wish === "in" ? STEP : 1 / STEP);
  });
}

/** One pointer drags; two pinch; one that does not press points. */
function wirePointers(canvas, ask) {
  const down = new Map();
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, pixelOf(event));
    ask.point(pixelOf(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = pixelOf(event);
    const before = down.get(event.pointerId);
    if (!before) return ask.point(now);
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    down.set(event.pointerId, now);
    if (other) ask.zoom(distance(now, other) / Math.max(distance(before, other), 1), middle(now, other));
    else ask.pan(now.x - before.x, now.y - before.y);
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, (event) => down.delete(event.pointerId));
  }
  canvas.addEventListener("pointerleave", () => ask.point(null));
}

function pixelOf(event) {
  const { left, top } = event.currentTarget.getBoundingClientRect();
  return { x: event.clientX - left, y: event.clientY - top };
}

function distance(a, b) {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function middle(a, b) {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}
