// Talking to the service: JSON in, JSON or events out, refusals as `Refusal`.
import { eventsOf } from "./events.js";
import { remember, remembered } from "./storage.js";

const KEY = "cosup.key"; // in the tab's own storage, never for longer

/** What the service refused, as it said it (RFC 9457). */
export class Refusal extends Error {
  constructor(problem, retryAfterS = null) {
    super(problem.detail);
    this.problem = problem;
    this.retryAfterS = retryAfterS;
  }
}

/** The service could not be reached, or broke off. */
export class Unreachable extends Error {}

export const accessKey = {
  get: () => remembered("sessionStorage", KEY) ?? "",
  set: (key) => remember("sessionStorage", KEY, key || null),
};

export async function getJson(path, signal) {
  return (await request(path, { signal })).json();
}

export async function postJson(path, body, signal) {
  return (await request(path, posted(body, signal))).json();
}

/** The events of an answer as `[name, data]`, up to `done`. Raises the `error` event, and the lack of an end. */
export async function* postEvents(path, body, signal) {
  const response = await request(path, posted(body, signal));
  try {
    for await (const { event, data } of eventsOf(response.body)) {
      const value = JSON.parse(data);
      if (event === "error") throw new Refusal(value);
      yield [event, value];
      if (event === "done") return;
    }
  } catch (error) {
    throw error instanceof TypeError ? new Unreachable("The connection broke off in the middle of the answer.") : error;
  }
  throw new Unreachable("The answer broke off before its end.");
}

function posted(body, signal) {
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), signal };
}

async function request(path, options) {
  const headers = new Headers(options.headers);
  if (accessKey.get()) headers.set("Authorization", `Bearer ${accessKey.get()}`);
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error instanceof TypeError) throw new Unreachable("The service does not answer. Is it still running?");
    throw error;
  }
  if (!response.ok) throw await refusalOf(response);
  return response;
}

async function refusalOf(response) {
  const retryAfterS = Number.parseInt(response.headers.get("Retry-After"), 10) || null;
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  const problem = isProblem
    ? await response.json()
    : { status: response.status, title: `Status ${response.status}`, detail: "The service, or a proxy before it, refused." };
  return new Refusal(problem, retryAfterS);
}
