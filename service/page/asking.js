// Asking: one question at a time, answered with a stream or with passages alone.
import { postEvents, postJson } from "./api.js";
import { AnswerText } from "./answer.js";
import { Trace } from "./decoding.js";
import { element, isolated, plural } from "./dom.js";
import { passageCard, showCitation, titleOf } from "./passages.js";
import { showProblem } from "./problems.js";
import { Strip } from "./strip.js";

const $ = (id) => document.getElementById(id);

const ENDINGS = {
  length: "The answer was cut off: it reached the limit of its tokens, or of the model’s context.",
  no_evidence: "No passage scored high enough to be cited, so this is the model’s own text.",
};

export class Asking {
  #settings;
  #indexName;
  #told;
  #text = new AnswerText($("answer-text"));
  #strip = new Strip($("strip"));
  #list = $("passages").querySelector("ol");
  #stopper = null;
  #titles = new Map();
  #trace = new Trace();

  /** `told` hears of `begun()` and of `answered(response, trace)`, without trace for a search. */
  constructor(settings, indexName, told) {
    this.#settings = settings;
    this.#indexName = indexName;
    this.#told = told;
    const form = $("asking");
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#run();
    });
    $("question").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    for (const choice of form.elements.task) {
      choice.addEventListener("change", () => ($("submit").textContent = this.#searches() ? "Search" : "Ask"));
    }
    $("stop").addEventListener("click", () => this.#stopper?.abort());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !$("settings").open) this.#stopper?.abort();
    });
  }

  /** Ask this question as if it had been typed. */
  ask(question) {
    $("question").value = question;
    this.#run();
  }

  async #run() {
    const question = $("question").value.trim();
    if (!question) return;
    this.#stopper?.abort();
    const stopper = (this.#stopper = new AbortController());
    this.#begin();
    try {
      if (this.#searches()) await this.#search(question, stopper.signal);
      else await this.#answer(question, stopper.signal);
    } catch (error) {
      if (stopper.signal.aborted) {
        if (this.#stopper === stopper) this.#finish("Stopped before its end.");
      } else this.#failed(error);
    } finally {
      if (this.#stopper === stopper) this.#end();
    }
  }

  async #answer(question, signal) {
    const { search_top_k: _, ...set } = this.#settings.values();
    const body = { question, ...this.#scope(), ...set, stream: true, lookups: true };
    $("answer").hidden = false;
    for await (const [event, data] of postEvents("generate", body, signal)) {
      if (event === "token") this.#token(data.text);
      else if (event === "retrieval") this.#retrieval(data.passages);
      else if (event === "citation") this.#citation(data);
      else if (event === "done") this.#done(data);
    }
  }

  async #search(query, signal) {
    const top_k = this.#settings.values().search_top_k;
    const found = await postJson("retrieve", { query, ...this.#scope(), ...(top_k && { top_k }) }, signal);
    const cards = found.passages.map((passage, place) => passageCard(passage, place + 1, { colour: false }));
    this.#list.replaceChildren(...cards);
    $("answer").hidden = true;
    $("passages").hidden = false;
    $("results").hidden = false;
    $("passages-heading").textContent = `${plural(cards.length, "passage")}, nearest first`;
    say(`${plural(cards.length, "passage")} found.`);
    this.#told.answered(found, null);
  }

  #token(text) {
    this.#trace.token(text);
    this.#text.token(text);
    this.#strip.show(this.#trace);
    $("results").hidden = false;
  }

  #retrieval(passages) {
    const trace = this.#trace;
    const [best, ...also] = passages;
    const isNew = !trace.numbers.has(best.id);
    const number = trace.retrieval(passages);
    this.#titles.set(best.id, titleOf(best));
    if (isNew) this.#list.append(passageCard(best, number, { also }));
    this.#text.retrieval(number, titleOf(best));
    this.#strip.show(trace);
    $("passages").hidden = $("results").hidden = false;
    say(`Reading passage ${number}: ${titleOf(best)}`);
  }

  #citation(citation) {
    this.#trace.citation();
    this.#text.citation();
    showCitation($(`passage-${this.#trace.numbers.get(citation.passage_id)}`), citation);
  }

  #done(response) {
    const trace = this.#trace;
    trace.done(response.lookups);
    this.#text.done(response, trace.numbers, this.#titles);
    this.#strip.show(trace);
    $("results").hidden = false;
    this.#finish(ENDINGS[response.finish_reason] ?? "");
    $("facts").replaceChildren(...facts(response));
    say(`Answer, citing ${plural(response.passages.length, "passage")}: ${response.answer}`);
    this.#told.answered(response, trace);
  }

  #begin() {
    if (!this.#searches()) this.#told.begun();
    $("problem").hidden = $("welcome").hidden = true;
    $("results").hidden = $("answer").hidden = $("passages").hidden = true;
    this.#finish("");
    $("facts").replaceChildren();
    this.#list.replaceChildren();
    this.#titles.clear();
    this.#trace = new Trace();
    this.#text.begin();
    this.#strip.show(null);
    $("passages-heading").textContent = "Passages";
    $("stop").hidden = false;
    $("asking").setAttribute("aria-busy", "true");
    say(this.#searches() ? "Searching." : "Asking.");
  }

  #end() {
    this.#stopper = null;
    if (document.activeElement === $("stop")) $("question").focus();
    $("stop").hidden = true;
    $("asking").removeAttribute("aria-busy");
    this.#text.end();
    this.#strip.tell(this.#trace, this.#titles);
  }

  #finish(how) {
    $("finish").textContent = how;
    $("finish").hidden = !how;
    if (how) say(how);
  }

  #failed(error) {
    say("");
    showProblem($("problem"), error, this.#settings, () => this.#run());
  }

  #searches() {
    return $("asking").elements.task.value === "search";
  }

  #scope() {
    const index = this.#indexName();
    return index === null ? {} : { index };
  }
}

function say(text) {
  $("status").textContent = text;
}

function facts({ index, usage, timings }) {
  const items = [
    plural(usage.completion_tokens, "token"),
    plural(usage.retrievals, "lookup"),
    `${timings.total.toFixed(2)} s`,
  ];
  return [isolated(index.name), ` version ${index.version}`, ...items].map((item, place) =>
    place < 2 ? item : element("span", {}, item),
  );
}
