// The map: an index's passages in the plane, with the lookups of the last answer drawn in it.
import { getJson } from "./api.js";
import { Camera, drawDots, drawFound, drawLink, drawMark, drawRing, nearest, neighbour, stampOf } from "./chart.js";
import { lookupItem } from "./lookups.js";
import { wireChart } from "./mapinput.js";
import { hueOf } from "./passages.js";
import { showProblem } from "./problems.js";
import { colourOf } from "./colours.js";

const $ = (id) => document.getElementById(id);

const REACH = 14; // pixels from a point at which the pointer means it

export class MapView {
  #section;
  #settings;
  #indexName;
  #camera = new Camera();
  #map = null; // the document of GET /indexes/{name}/map
  #loading = null;
  #answer = null; // {index, lookups} of the last answer, lookups as `drawnLookups` gives them
  #at = -1; // number of the point under the pointer or the keyboard
  #waiting = false;

  constructor(section, settings, indexName) {
    this.#section = section;
    this.#settings = settings;
    this.#indexName = indexName;
    wireChart($("canvas"), section.querySelector(".zoom"), {
      zoom: (factor, pixel) => this.#moved(() => this.#camera.zoom(factor, pixel)),
      pan: (dx, dy) => this.#moved(() => this.#camera.pan(dx, dy)),
      fit: () => this.#moved(() => this.#fit()),
      point: (pixel) => this.#select(pixel ? nearest(this.#points(), this.#camera, pixel, REACH) : -1),
      step: (direction) => this.#step(direction),
    });
    new ResizeObserver(() => this.#resize()).observe($("canvas"));
  }

  /** The view has come to the front. */
  async shown() {
    const name = this.#indexName();
    if (name === null || this.#loading === name) return;
    this.#loading = name;
    try {
      this.#map = await getJson(`indexes/${encodeURIComponent(name)}/map`);
      if (this.#loading !== name) return;
      $("map-problem").hidden = true;
      this.#describe();
      this.#fit();
    } catch (error) {
      this.#loading = null;
      $("map-about").textContent = "";
      showProblem($("map-problem"), error, this.#settings, () => this.shown());
    }
    this.redraw();
  }

  indexChanged() {
    this.#map = this.#loading = null;
    this.#select(-1);
    if (!this.#section.hidden) this.shown();
    this.redraw();
  }

  forget() {
    this.#answer = null;
    this.#list();
  }

  /** Draw the lookups of an answer from now on. */
  remember(response, trace) {
    const { index, lookups } = response;
    this.#answer = { index, lookups: drawnLookups(lookups, trace) };
    // A new version of the index has another plane.
    if (this.#map && this.#map.index.version !== index.version) this.indexChanged();
    this.#list();
    if (this.#map) this.#fit();
    this.redraw();
  }

  redraw() {
    if (this.#waiting || this.#section.hidden) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      this.#draw();
    });
  }

  #lookups() {
    return this.#answer && this.#answer.index.name === this.#indexName() ? this.#answer.lookups : [];
  }

  /** Everything that can be pointed at: query states first, then passages of lookups, then those of the map. */
  #points() {
    const lookups = this.#lookups();
    const queries = lookups.filter(({ query }) => query).map(({ query, name }) => ({ ...query, title: name }));
    const found = lookups.flatMap(({ passages }) => passages.filter(({ point }) => point));
    const mapped = this.#map?.passages ?? [];
    return [...queries, ...found.map(placed), ...mapped.map(placed)];
  }

  #fit() {
    this.#camera.fit(this.#points());
  }

  #resize() {
    const canvas = $("canvas");
    const { clientWidth: width, clientHeight: height } = canvas;
    if (!width || !height) return;
    const first = this.#camera.size.width === 1;
    const ratio = window.devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    this.#camera.size = { width, height };
    if (first) this.#fit();
    this.redraw();
  }

  #moved(move) {
    move();
    this.#select(this.#at);
    this.redraw();
  }

  #step(direction) {
    const points = this.#points();
    if (!points.length) return;
    const next = this.#at < 0 ? 0 : neighbour(points, this.#at, direction);
    if (next >= 0) this.#select(next, { aloud: true });
  }

  #select(number, { aloud = false } = {}) {
    const changed = number !== this.#at;
    this.#at = number;
    const [tip, point] = [$("tip"), this.#points()[number]];
    tip.hidden = !point;
    if (point) {
      const { x, y } = this.#camera.toPixel(point);
      const { width } = this.#camera.size;
      tip.textContent = point.title;
      tip.style.setProperty("--x", `${Math.min(Math.max(x, 0), width)}px`);
      tip.style.setProperty("--y", `${y}px`);
      tip.style.setProperty("--shift", `${Math.round((-100 * x) / Math.max(width, 1))}%`);
      if (aloud) $("map-told").textContent = point.title;
    }
    if (changed) this.redraw();
  }

  #describe() {
    const { passages, count, share } = this.#map;
    const shown = passages.length === count ? `all ${count.toLocaleString("en")}` : `${passages.length.toLocaleString("en")} of ${count.toLocaleString("en")}`;
    $("map-about").textContent =
      `Each dot is a passage (${shown}), where near means alike. The plane shows the two directions in which their ` +
      `vectors differ most: ${Math.round(share * 100)} % of their variance, so what lies close here may still be far apart.`;
    $("canvas").setAttribute("aria-label", `Map of ${passages.length} passages`);
  }

  #list() {
    const lookups = this.#lookups();
    $("no-lookups").hidden = lookups.length > 0;
    const show = (point) => {
      this.#select(this.#points().findIndex(({ x, y }) => x === point.x && y === point.y));
      $("canvas").scrollIntoView({ block: "nearest" });
    };
    $("lookups").replaceChildren(...lookups.map((lookup) => lookupItem(lookup, show)));
  }

  #draw() {
    const canvas = $("canvas");
    const ratio = canvas.width / (canvas.clientWidth || 1);
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const dots = (this.#map?.passages ?? []).map(({ point }) => point);
    const stamp = stampOf(colourOf("dot").ink, dots.length, this.#camera.size, ratio);
    drawDots(pen, dots, this.#camera, stamp, ratio);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    for (const lookup of this.#lookups()) this.#drawLookup(pen, lookup);
    const point = this.#points()[this.#at];
    if (point) drawRing(pen, this.#camera.toPixel(point), colourOf("ring").ink);
  }

  #drawLookup(pen, { query, passages, number, used, order }) {
    if (!query) return;
    const at = (point) => this.#camera.toPixel(point);
    const hue = colourOf(used ? hueOf(number) : "unused");
    for (const [place, { point }] of passages.entries()) {
      const taken = used && place === 0;
      drawLink(pen, at(query), at(point), hue.ink, !taken);
      if (!taken) drawFound(pen, at(point), hue.ink);
    }
    if (used) drawMark(pen, "disc", at(passages[0].point), `${number}`, hue.fill, hue.rim, colourOf("ring").rim);
    drawMark(pen, "diamond", at(query), `${order}`, colourOf("query").fill, colourOf("query").ink, hue.ink);
  }
}

function placed({ id, point, title }) {
  return { ...point, title: title || id };
}

/** The lookups of a response with what the map shows of them: order, passage number, titles. */
function drawnLookups(lookups, trace) {
  const titles = new Map(trace.steps.flatMap(({ found = [] }) => found.map(({ id, title }) => [id, title || id])));
  return lookups.map(({ query, used, passages }, place) => ({
    query,
    used: used && passages.length > 0,
    order: place + 1,
    name: `Query state ${place + 1}`,
    number: used ? trace.numbers.get(passages[0].id) : null,
    passages: passages.map(({ id, score, point }) => ({ id, score, point, title: titles.get(id) ?? id })),
  }));
}
