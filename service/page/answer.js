// The answer: written while it streams, then set once more from the finished response, whose offsets are final.
import { slicesOf } from "./codepoints.js";
import { element } from "./dom.js";
import { hueOf } from "./passages.js";

export class AnswerText {
  #place;
  #line = null; // the text node under way
  #mark = null; // the cited span under way

  constructor(place) {
    this.#place = place;
  }

  begin() {
    this.#place.replaceChildren();
    this.#place.setAttribute("aria-busy", "true");
    this.#line = this.#mark = null;
  }

  token(text) {
    if (!this.#line) {
      this.#line = document.createTextNode("");
      if (this.#mark) this.#mark.prepend(this.#line);
      else this.#place.append(this.#line);
    }
    this.#line.appendData(text);
  }

  /** What follows is taken from this passage. */
  retrieval(number, title) {
    this.#mark = cited(number, title);
    this.#place.append(this.#mark);
    this.#line = null;
  }

  citation() {
    this.#mark = this.#line = null;
  }

  /** Set the finished answer; `numbers` gives a passage's number by its id, `titles` its title. */
  done(response, numbers, titles) {
    const parts = slicesOf(response.answer, response.citations).map(({ text, citation }) => {
      if (!citation) return text;
      const number = numbers.get(citation.passage_id);
      const mark = cited(number, titles.get(citation.passage_id));
      mark.prepend(text);
      return mark;
    });
    this.#place.replaceChildren(...parts);
    this.end();
  }

  end() {
    this.#place.setAttribute("aria-busy", "false");
  }
}

/** A cited span, empty but for the number at its end, which leads to its passage. */
function cited(number, title) {
  const label = `Passage ${number}: ${title}`;
  const reference = element("a", { class: "reference", href: `#passage-${number}`, "aria-label": label }, `${number}`);
  return element("mark", { class: hueOf(number), "data-passage": number }, reference);
}
