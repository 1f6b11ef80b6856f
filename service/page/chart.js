// Drawing the map: points of a plane on a canvas, with pan and zoom. Knows nothing of passages.

const MARGIN = 36; // pixels round what is fitted
const [SMALLEST_DOT, LARGEST_DOT] = [1.3, 4];
const SMALLEST = 1e-9;

/** The view of a plane: pixel = (point - centre) * scale + middle, with y upwards. */
export class Camera {
  centre = { x: 0, y: 0 };
  scale = 1;
  size = { width: 1, height: 1 };

  fit(points) {
    if (!points.length) return;
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (const { x, y } of points) {
      [left, right, low, high] = [Math.min(left, x), Math.max(right, x), Math.min(low, y), Math.max(high, y)];
    }
    this.centre = { x: (left + right) / 2, y: (low + high) / 2 };
    const [wide, tall] = [Math.max(right - left, SMALLEST), Math.max(high - low, SMALLEST)];
    const { width, height } = this.size;
    this.scale = Math.min(Math.max(width - 2 * MARGIN, 1) / wide, Math.max(height - 2 * MARGIN, 1) / tall);
  }

  toPixel({ x, y }) {
    const { width, height } = this.size;
    return { x: (x - this.centre.x) * this.scale + width / 2, y: height / 2 - (y - this.centre.y) * this.scale };
  }

  /** Zoom so that what is under a pixel stays there. */
  zoom(factor, at = { x: this.size.width / 2, y: this.size.height / 2 }) {
    const [dx, dy] = [at.x - this.size.width / 2, this.size.height / 2 - at.y];
    const change = 1 / this.scale - 1 / (this.scale * factor);
    this.centre = { x: this.centre.x + dx * change, y: this.centre.y + dy * change };
    this.scale *= factor;
  }

  pan(dx, dy) {
    this.centre = { x: this.centre.x - dx / this.scale, y: this.centre.y + dy / this.scale };
  }
}

/** The number of the point nearest to a pixel and at most `reach` pixels away, or -1. */
export function nearest(points, camera, pixel, reach) {
  let [best, least] = [-1, reach * reach];
  for (let number = 0; number < points.length; number += 1) {
    const { x, y } = camera.toPixel(points[number]);
    const distance = (x - pixel.x) ** 2 + (y - pixel.y) ** 2;
    if (distance <= least) [best, least] = [number, distance];
  }
  return best;
}

/** The number of the nearest point that lies mainly in a direction from the point `from`, or -1. */
export function neighbour(points, from, { dx, dy }) {
  let [best, least] = [-1, Infinity];
  const origin = points[from];
  for (let number = 0; number < points.length; number += 1) {
    const [x, y] = [points[number].x - origin.x, points[number].y - origin.y];
    const [along, across] = [x * dx + y * dy, Math.abs(x * dy - y * dx)];
    if (along <= 0 || across > along) continue;
    const cost = along + 2 * across;
    if (cost < least) [best, least] = [number, cost];
  }
  return best;
}

/** One dot, drawn once and stamped for each of `count` points: thousands of stamps take a few milliseconds. */
export function stampOf(colour, count, { width, height }, ratio) {
  const radius = Math.min(Math.max(Math.sqrt((width * height) / Math.max(count, 1)) / 6, SMALLEST_DOT), LARGEST_DOT);
  const size = Math.ceil((2 * radius + 2) * ratio);
  const stamp = new OffscreenCanvas(size, size);
  const pen = stamp.getContext("2d");
  pen.fillStyle = colour;
  pen.arc(size / 2, size / 2, radius * ratio, 0, 2 * Math.PI);
  pen.fill();
  return stamp;
}

export function drawDots(pen, points, camera, stamp, ratio) {
  const { width, height } = camera.size;
  const half = stamp.width / 2;
  for (const point of points) {
    const { x, y } = camera.toPixel(point);
    if (x < -9 || y < -9 || x > width + 9 || y > height + 9) continue;
    pen.drawImage(stamp, x * ratio - half, y * ratio - half);
  }
}

export function drawLink(pen, from, to, colour, dashed) {
  pen.beginPath();
  pen.setLineDash(dashed ? [5, 4] : []);
  pen.lineWidth = dashed ? 1.2 : 1.8;
  pen.strokeStyle = colour;
  pen.moveTo(from.x, from.y);
  pen.lineTo(to.x, to.y);
  pen.stroke();
  pen.setLineDash([]);
}

/** A passage that a lookup found and did not use. */
export function drawFound(pen, { x, y }, colour) {
  pen.beginPath();
  pen.arc(x, y, 4, 0, 2 * Math.PI);
  pen.fillStyle = colour;
  pen.fill();
}

/** A disc (a passage) or a diamond (a query state) with a short label in it. */
export function drawMark(pen, shape, { x, y }, label, fill, ink, rim) {
  const r = 10;
  pen.beginPath();
  if (shape === "diamond") {
    for (const [dx, dy] of [[0, -r - 3], [r + 3, 0], [0, r + 3], [-r - 3, 0]]) pen.lineTo(x + dx, y + dy);
    pen.closePath();
  } else pen.arc(x, y, r, 0, 2 * Math.PI);
  pen.fillStyle = fill;
  pen.fill();
  pen.lineWidth = 2;
  pen.strokeStyle = rim;
  pen.stroke();
  pen.fillStyle = ink;
  pen.font = "600 11px system-ui, sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText(label, x, y + 0.5);
}

export function drawRing(pen, { x, y }, colour) {
  pen.beginPath();
  pen.arc(x, y, 7, 0, 2 * Math.PI);
  pen.lineWidth = 2;
  pen.strokeStyle = colour;
  pen.stroke();
}
