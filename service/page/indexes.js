// Which index is asked: a chooser where the service has several, a line at the foot of the page in any case.
import { element, isolated, plural } from "./dom.js";

export class IndexChooser {
  onchange = () => {};
  #label;
  #select;
  #line;
  #indexes = new Map(); // name to what the service says of it
  #name = null;

  constructor(label, line) {
    this.#label = label;
    this.#select = label.querySelector("select");
    this.#line = line;
    this.#select.addEventListener("change", () => this.#choose(this.#select.value));
  }

  /** Name of the index that requests are about; null while the service has not said which it has. */
  get chosen() {
    return this.#name;
  }

  /** Take the list of `GET /indexes`. */
  offer({ default: preferred, indexes }) {
    this.#indexes = new Map(indexes.map((index) => [index.name, index]));
    this.#select.replaceChildren(...indexes.map(({ name }) => element("option", { value: name }, name)));
    this.#label.hidden = indexes.length < 2;
    if (preferred === null) {
      this.#line.textContent = "There is no index that this key may read.";
      return;
    }
    this.#select.value = preferred;
    this.#choose(preferred);
  }

  /** Take the name and version that an answer came from. */
  served({ name, version }) {
    this.#indexes.set(name, { ...this.#indexes.get(name), name, version });
    if (name === this.#name) this.#show();
    else if (this.#name === null) this.#choose(name);
  }

  #choose(name) {
    this.#name = name;
    this.#show();
    this.onchange();
  }

  #show() {
    const { version, passages } = this.#indexes.get(this.#name);
    const count = passages === undefined ? "" : `, ${passages.toLocaleString("en")} ${plural(passages, "passage").split(" ")[1]}`;
    this.#line.replaceChildren("Index ", isolated(this.#name), `, version ${version}${count}`);
  }
}
