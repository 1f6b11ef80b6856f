// A lookup in the list beside the map: the same in words, with buttons that show the points.
import { element, isolated } from "./dom.js";
import { hueOf } from "./passages.js";

export function lookupItem({ query, passages, used, number, order }, show) {
  const found = passages.map(({ title, score, point }, place) => {
    const label = used && place === 0 ? [element("span", { class: "number" }, `${number}`), isolated(title)] : [isolated(title)];
    const button = pointButton(point, show, ...label);
    return element("li", {}, button, element("span", { class: "score" }, score.toFixed(3)));
  });
  const head = pointButton(query, show, `Query state ${order}`);
  const verdict = used ? "" : passages.length ? ", nothing scored high enough" : ", nothing found";
  return element("li", { class: used ? hueOf(number) : "unused" }, head, verdict, element("ul", {}, ...found));
}

function pointButton(point, show, ...label) {
  if (!point) return element("span", {}, ...label);
  const button = element("button", { type: "button", class: "link" }, ...label);
  button.addEventListener("click", () => show(point));
  return button;
}
