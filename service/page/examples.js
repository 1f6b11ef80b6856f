// Questions to begin with, for the index that the demo builds; an index of other documents gets none.
import { element } from "./dom.js";

const QUESTIONS = new Map([
  [
    "python",
    [
      "What does textwrap.dedent do?",
      "What is the difference between copy.copy and copy.deepcopy?",
      "Which function returns the median of data?",
      "What does heapq.heappop do?",
    ],
  ],
]);

export function showExamples(place, index, ask) {
  const questions = QUESTIONS.get(index) ?? [];
  place.hidden = questions.length === 0;
  const items = questions.map((question) => {
    const button = element("button", { type: "button" }, question);
    button.addEventListener("click", () => ask(question));
    return element("li", {}, button);
  });
  place.querySelector("ul").replaceChildren(...items);
}
