// The strip under an answer: a bar for each token, as high as the token is long, and a diamond for each lookup.
import { element, isolated, plural, svgElement } from "./dom.js";
import { hueOf, titleOf } from "./passages.js";

const BAR = 5; // pixels, all of these
const GAP = 3;
const DIAMOND = 24; // wide, with the space around it
const ROW = 44;
const BASE = 26; // from a row's top down to the feet of its bars
const HIGHEST = 20;

export class Strip {
  #figure;
  #trace = null;
  #waiting = false;

  constructor(figure) {
    this.#figure = figure;
    new ResizeObserver(() => this.show(this.#trace)).observe(figure.querySelector(".drawing"));
  }

  /** Draw a trace with the next frame; null hides the strip. */
  show(trace) {
    this.#trace = trace;
    this.#figure.hidden = !trace?.steps.length;
    if (this.#waiting || this.#figure.hidden) return;
    this.#waiting = true;
    requestAnimationFrame(() => {
      this.#waiting = false;
      if (this.#trace) this.#draw();
    });
  }

  /** Say in words what the strip shows; once, when the answer has ended. */
  tell(trace, titles) {
    const items = trace.steps.map((step) => element("li", {}, ...inWords(step, titles)));
    this.#figure.querySelector("details ol").replaceChildren(...items);
  }

  #draw() {
    const drawing = this.#figure.querySelector(".drawing");
    const width = drawing.clientWidth;
    if (!width) return;
    const marks = laidOut(this.#trace.steps, width);
    const height = (marks.at(-1)?.row ?? 0) * ROW + ROW;
    const svg = svgElement("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
    svg.append(...marks.map((mark) => (mark.piece === undefined ? diamond(mark) : bar(mark))));
    drawing.replaceChildren(svg);
  }
}

/** Where each bar and diamond stands, row under row like text: `{x, row, passage, piece}`, without piece for a lookup. */
export function laidOut(steps, width) {
  const marks = [];
  let [x, row] = [0, 0];
  const place = (mark, wide) => {
    if (x + wide > width && x > 0) [x, row] = [0, row + 1];
    marks.push({ ...mark, x, row });
    x += wide;
  };
  for (const { kind, passage, pieces } of steps) {
    if (kind === "lookup") place({ passage }, DIAMOND);
    else for (const piece of pieces) place({ passage, piece }, BAR + GAP);
  }
  return marks;
}

function bar({ x, row, passage, piece }) {
  const height = Math.min(HIGHEST, 4 + 2 * piece.trim().length);
  return svgElement(
    "rect",
    {
      class: passage ? `taken ${hueOf(passage)}` : "own",
      "data-passage": passage,
      x,
      y: row * ROW + BASE - height,
      width: BAR,
      height,
      rx: 1,
    },
    svgElement("title", {}, piece),
  );
}

function diamond({ x, row, passage }) {
  const [middle, foot] = [x + (DIAMOND - GAP) / 2, row * ROW + BASE];
  const group = svgElement("g", { class: passage ? `lookup ${hueOf(passage)}` : "lookup unused", "data-passage": passage });
  const d = `M${middle} ${foot - 18}l8 9-8 9-8-9z`;
  group.append(svgElement("path", { d }));
  if (passage) group.append(svgElement("text", { x: middle, y: foot + 13, "text-anchor": "middle" }, `${passage}`));
  return group;
}

function inWords(step, titles) {
  if (step.kind === "lookup") {
    const [best] = step.found;
    const score = best ? ` (score ${best.score.toFixed(3)})` : "";
    if (step.passage) return ["Looked up, and found passage ", `${step.passage}, `, isolated(titles.get(best.id)), `${score}.`];
    if (!best) return ["Looked up, and found no passage."];
    return ["Looked up, and used nothing: the best was ", isolated(best.title ? titleOf(best) : best.id), `${score}.`];
  }
  const tokens = plural(step.pieces.length, "token");
  return [step.passage ? `Wrote ${tokens} taken from passage ${step.passage}.` : `Wrote ${tokens} of its own.`];
}
