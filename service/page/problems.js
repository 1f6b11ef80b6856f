// What went wrong, shown where it is read aloud.
import { Refusal } from "./api.js";
import { element } from "./dom.js";

const LATER = [429, 503];
const NO_KEY = 401;

/** Show an error in an alert; `settings` marks the fields it points to, `again` repeats what failed. */
export function showProblem(place, error, settings, again = null) {
  const known = error instanceof Refusal;
  const { title = "No answer", detail = error.message, request_id, errors = [], status } = known ? error.problem : {};
  const wait = LATER.includes(status) && error.retryAfterS ? ` Try again in ${error.retryAfterS} s.` : "";
  const fields = errors.map((wrong) => settings.mark(wrong.pointer, wrong.detail)).filter(Boolean);
  place.replaceChildren(element("p", { class: "title" }, title), element("p", { dir: "auto" }, `${detail}${wait}`));
  const actions = element("p", { class: "ways" });
  if (status === NO_KEY) actions.append(button("Enter a key", () => settings.askForKey()));
  else if (fields.length) actions.append(button("Open settings", () => settings.open(fields[0])));
  else if (again && (!known || status >= 500 || LATER.includes(status))) actions.append(button("Try again", again));
  if (request_id) actions.append(element("span", { class: "request" }, `Request ${request_id}`));
  if (actions.children.length) place.append(actions);
  place.hidden = false;
}

function button(text, act) {
  const node = element("button", { type: "button" }, text);
  node.addEventListener("click", act);
  return node;
}
