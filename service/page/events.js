// Server-sent events from a stream of bytes that may be cut anywhere (WHATWG HTML, 9.2.6).

export class EventParser {
  #held = ""; // the line under way
  #event = "";
  #data = [];
  #begun = false;

  /** The events that are complete with this text, as `{event, data}`; an event without its blank line is not. */
  push(text) {
    if (!this.#begun && text) {
      this.#begun = true;
      if (text.startsWith("\uFEFF")) text = text.slice(1);
    }
    const whole = this.#held + text;
    // A carriage return at the end may be half of a line end, so its line waits for what follows.
    const cut = whole.endsWith("\r") ? whole.length - 1 : whole.length;
    const lines = whole.slice(0, cut).split(/\r\n|\n|\r/);
    this.#held = lines.pop() + whole.slice(cut);
    return lines.flatMap((line) => this.#take(line));
  }

  #take(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return []; // a comment: the service sends some to keep the connection open
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") this.#event = value;
    else if (field === "data") this.#data.push(value);
    return [];
  }

  #dispatch() {
    const complete = this.#data.length ? [{ event: this.#event || "message", data: this.#data.join("\n") }] : [];
    this.#event = "";
    this.#data = [];
    return complete;
  }
}

/** The events of a response's body. Leaving the loop early cancels the request. */
export async function* eventsOf(body) {
  const parser = new EventParser();
  const reader = body.pipeThrough(new TextDecoderStream("utf-8", { ignoreBOM: true })).getReader();
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      yield* parser.push(value);
    }
  } finally {
    await reader.cancel().catch(() => {}); // it has ended by itself, or was aborted
  }
}
