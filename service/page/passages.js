// Passage cards: those that an answer used, numbered as in the answer, or those that a search found.
import { element, isolated, plural } from "./dom.js";

const HUES = 6;
const FOLDED_CHARACTERS = 420;
const FOLDED_LINES = 6;

export function hueOf(number) {
  return `hue-${((number - 1) % HUES) + 1}`;
}

export function titleOf(passage) {
  return passage.title || passage.id;
}

/** The card of a passage; `also` are others that the same lookup reported. */
export function passageCard(passage, number, { colour = true, also = [] } = {}) {
  const id = `passage-${number}`;
  const card = element(
    "article",
    {
      id,
      class: colour ? `passage ${hueOf(number)}` : "passage",
      tabindex: "-1",
      "aria-labelledby": `${id}-title`,
      "data-passage": number,
    },
    element(
      "header",
      {},
      element("span", { class: "number", "aria-hidden": "true" }, `${number}`),
      element("h3", { id: `${id}-title` }, element("span", { class: "unseen" }, `${number}: `), isolated(titleOf(passage))),
    ),
    element("p", { class: "source" }, isolated(passage.source ?? passage.id)),
    ...foldable(passage.text, `${id}-text`),
    element("dl", { class: "scores" }, ...measure("Score", passage.score.toFixed(3))),
  );
  if (also.length) card.append(alsoFound(also));
  return element("li", {}, card);
}

/** Show how far the passage stood out in its lookup, and what it is cited for. */
export function showCitation(card, citation) {
  const share = `${Math.round(citation.probability * 100)} %`;
  const bar = element("span", { class: "share", "aria-hidden": "true" });
  bar.style.setProperty("--share", citation.probability);
  const scores = card.querySelector(".scores");
  if (scores.children.length > 1) return; // cited again: the probability is that of the first lookup
  scores.append(...measure("Probability", share, bar));
}

function measure(name, value, ...more) {
  return [element("div", {}, element("dt", {}, name), element("dd", {}, value, ...more))];
}

function foldable(text, id) {
  const body = element("p", { class: "text", id, dir: "auto" }, text);
  const long = text.length > FOLDED_CHARACTERS || text.split("\n").length > FOLDED_LINES;
  if (!long) return [body];
  body.classList.add("folded");
  const button = element("button", { type: "button", class: "link", "aria-expanded": "false", "aria-controls": id }, "Show all");
  button.addEventListener("click", () => {
    const open = !body.classList.toggle("folded");
    button.setAttribute("aria-expanded", String(open));
    button.textContent = open ? "Show less" : "Show all";
  });
  return [body, button];
}

function alsoFound(passages) {
  const items = passages.map((passage) =>
    element("li", {}, isolated(titleOf(passage)), element("span", { class: "score" }, passage.score.toFixed(3))),
  );
  const summary = element("summary", {}, `The lookup found ${plural(passages.length, "more passage")}`);
  return element("details", { class: "also" }, summary, element("ol", {}, ...items));
}
