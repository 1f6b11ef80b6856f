// Questions to begin with, for the index that the demo builds; an index of other documents gets none.
import { element } from "./dom.js";

const QUESTIONS = new Map([
  [
    "python",
    [
      "What does statistics.median do?",
      "What is the difference between os.path.getsize and os.path.getmtime?",
      "Which function returns the current working directory?",
      "What does json.dumps do?",
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
