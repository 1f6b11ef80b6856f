// What belongs to one passage lights up together: its cited spans, its card, its bars in the strip.

/** Wire hover, focus and clicks of everything below `root` that carries `data-passage`. */
export function tieTogether(root) {
  const light = (target) => {
    const number = target instanceof Element ? target.closest("[data-passage]")?.dataset.passage : undefined;
    for (const node of root.querySelectorAll("[data-passage]")) {
      node.classList.toggle("active", node.dataset.passage === number);
    }
  };
  root.addEventListener("pointerover", (event) => light(event.target));
  root.addEventListener("pointerleave", () => light(document.activeElement));
  root.addEventListener("focusin", (event) => light(event.target));
  root.addEventListener("focusout", (event) => light(event.relatedTarget));
  root.addEventListener("click", (event) => {
    const from = event.target.closest("mark, .reference, rect, g.lookup, .cited-for a");
    const number = from?.closest("[data-passage]")?.dataset.passage;
    if (!number || selecting()) return;
    event.preventDefault();
    goTo(root.querySelector(`#passage-${number}`));
  });
}

function selecting() {
  return !window.getSelection().isCollapsed;
}

function goTo(card) {
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  card?.focus({ preventScroll: true });
  card?.scrollIntoView({ block: "nearest", behavior: still ? "auto" : "smooth" });
}
