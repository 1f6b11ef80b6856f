// The switch between light and dark. The system's preference holds until the reader chooses the other one.
import { remember } from "./storage.js";

const SYSTEM = window.matchMedia("(prefers-color-scheme: dark)");

export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : SYSTEM.matches;
}

/** Wire the switch; `changed` is called whenever the colours are other ones. */
export function wireTheme(toggle, changed) {
  const show = () => {
    toggle.setAttribute("aria-checked", String(isDark()));
    changed();
  };
  toggle.addEventListener("click", () => {
    const dark = !isDark();
    const root = document.documentElement;
    if (dark === SYSTEM.matches) delete root.dataset.theme;
    else root.dataset.theme = dark ? "dark" : "light";
    remember("localStorage", "cosup.theme", root.dataset.theme ?? null);
    show();
  });
  SYSTEM.addEventListener("change", show);
  show();
}
