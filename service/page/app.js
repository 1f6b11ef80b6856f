// The page: wires its parts together. Each part is a module of its own and knows nothing of the others.
import { getJson, Refusal } from "./api.js";
import { wireTheme } from "./appearance.js";
import { Asking } from "./asking.js";
import { showExamples } from "./examples.js";
import { tieTogether } from "./highlight.js";
import { IndexChooser } from "./indexes.js";
import { MapView } from "./mapview.js";
import { showProblem } from "./problems.js";
import { Settings } from "./settings.js";

const $ = (id) => document.getElementById(id);

const settings = new Settings($("settings"), $("open-settings"));
const indexes = new IndexChooser(document.querySelector(".chooser"), $("serving"));
const map = new MapView($("map"), settings, () => indexes.chosen);
const asking = new Asking(settings, () => indexes.chosen, {
  begun: () => map.forget(),
  answered: (response, trace) => {
    indexes.served(response.index);
    if (trace) map.remember(response, trace);
  },
});

wireTheme($("theme"), () => map.redraw());
tieTogether($("results"));
indexes.onchange = () => {
  showExamples($("examples"), indexes.chosen, (question) => asking.ask(question));
  map.indexChanged();
};

function route() {
  const shown = location.hash === "#map" ? "map" : "ask";
  for (const name of ["ask", "map"]) {
    $(name).hidden = name !== shown;
    const link = document.querySelector(`nav a[href="#${name}"]`);
    if (name === shown) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = shown === "map" ? "Map · Cosup" : "Cosup";
  window.scrollTo(0, 0);
  if (shown === "map") map.shown();
}

window.addEventListener("hashchange", route);

route();

async function load() {
  try {
    indexes.offer(await getJson("indexes"));
    $("problem").hidden = true;
  } catch (error) {
    if (error instanceof Refusal && error.problem.status === 401) settings.askForKey();
    else showProblem($("problem"), error, settings, load);
  }
}

settings.onkey = load;
await load();
