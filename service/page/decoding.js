// What happened while an answer was decoded: segments of tokens, and the lookups between them.
import { codePointsOf } from "./codepoints.js";

/**
 * A trace is a list of steps in order:
 * `{kind: "tokens", passage, pieces}`, where `passage` is the number of the cited passage or null for the model's own text;
 * `{kind: "lookup", passage, found}`, where `passage` is null for a lookup that was not used.
 */
export class Trace {
  steps = [];
  numbers = new Map(); // passage id to its number in the answer

  token(text) {
    this.#open().pieces.push(text);
  }

  retrieval(passages) {
    const [best] = passages;
    if (!this.numbers.has(best.id)) this.numbers.set(best.id, this.numbers.size + 1);
    const passage = this.numbers.get(best.id);
    this.steps.push({ kind: "lookup", passage, found: passages });
    this.steps.push({ kind: "tokens", passage, pieces: [] });
    return passage;
  }

  citation() {
    this.steps.push({ kind: "tokens", passage: null, pieces: [] });
  }

  /** Add the lookups that were not used, of which a stream says nothing until its end. */
  done(lookups) {
    for (const { at, used, passages } of lookups) {
      if (!used) this.#insert(at, { kind: "lookup", passage: null, found: passages });
    }
    this.steps = this.steps.filter((step) => step.kind === "lookup" || step.pieces.length);
  }

  #open() {
    const last = this.steps.at(-1);
    if (last?.kind === "tokens") return last;
    this.citation();
    return this.steps.at(-1);
  }

  #insert(at, lookup) {
    let written = 0;
    for (const [place, step] of this.steps.entries()) {
      if (step.kind !== "tokens") continue;
      for (const [count, piece] of step.pieces.entries()) {
        if (written >= at) return this.#split(place, count, lookup);
        written += codePointsOf(piece);
      }
    }
    this.steps.push(lookup);
  }

  #split(place, count, lookup) {
    const { passage, pieces } = this.steps[place];
    const [before, after] = [pieces.slice(0, count), pieces.slice(count)];
    this.steps.splice(
      place,
      1,
      { kind: "tokens", passage, pieces: before },
      lookup,
      { kind: "tokens", passage, pieces: after },
    );
  }
}
