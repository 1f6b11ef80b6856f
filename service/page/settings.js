// The settings dialog: what a request carries beside its question, remembered in the browser.
import { accessKey } from "./api.js";
import { element } from "./dom.js";
import { remember, remembered } from "./storage.js";

const NAME = "cosup.settings";
const NUMBERS = ["max_retrievals", "top_k", "min_score", "search_top_k", "temperature", "seed", "max_new_tokens"];

export class Settings {
  onkey = () => {}; // called when another access key was given
  #dialog;
  #form;
  #key;

  constructor(dialog, opener) {
    this.#dialog = dialog;
    this.#form = dialog.querySelector("form");
    this.#key = dialog.querySelector("#key");
    this.#restore();
    opener.addEventListener("click", () => this.open());
    this.#form.addEventListener("input", () => this.#changed());
    dialog.querySelector("#defaults").addEventListener("click", () => {
      this.#form.reset();
      this.#key.value = accessKey.get();
      this.#changed();
    });
    dialog.addEventListener("close", () => this.#keep(this.#key.value.trim()));
    if (accessKey.get()) this.#showKey();
  }

  /** What is set, under the names of the HTTP API; what is empty is left to the service. */
  values() {
    const set = { retrieval: this.#form.elements.retrieval.value };
    for (const name of NUMBERS) {
      const field = this.#form.elements[name];
      if (field.value !== "" && field.validity.valid) set[name] = field.valueAsNumber;
    }
    return set;
  }

  open(field = null) {
    if (!this.#dialog.open) this.#dialog.showModal();
    field?.focus();
  }

  /** Ask for an access key; the service wants one. */
  askForKey() {
    this.#showKey();
    this.open(this.#key);
  }

  /** Mark the field that a refusal points to, and give it; null where the pointer is to no setting. */
  mark(pointer, message) {
    const field = this.#form.elements.namedItem(pointer.slice(2));
    if (!pointer.startsWith("#/") || !field?.labels) return null;
    const id = `${field.id}-error`;
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-describedby", id);
    document.getElementById(id)?.remove();
    field.after(element("p", { id, class: "error" }, message));
    return field;
  }

  #keep(key) {
    if (key === accessKey.get()) return;
    accessKey.set(key);
    this.onkey();
  }

  #showKey() {
    this.#dialog.querySelector("#key-field").hidden = false;
    this.#key.value = accessKey.get();
  }

  #changed() {
    for (const field of this.#form.querySelectorAll("[aria-invalid]")) {
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
    }
    for (const message of this.#form.querySelectorAll(".error")) message.remove();
    remember("localStorage", NAME, JSON.stringify(this.values()));
  }

  #restore() {
    let kept;
    try {
      kept = JSON.parse(remembered("localStorage", NAME) ?? "{}");
    } catch {
      return; // written by something else; the defaults hold
    }
    for (const name of ["retrieval", ...NUMBERS]) {
      const field = this.#form.elements[name];
      if (kept[name] !== undefined) field.value = kept[name];
      if (field.value === "" && name === "retrieval") field.value = "auto";
    }
  }
}
