// The colours of the canvas, read from the style sheets, so that both themes are said in one place.

/** The colours of a class of `map.css`: `ink` (lines, text), `fill` and `rim`. */
export function colourOf(name) {
  const probe = document.createElement("i");
  probe.className = `probe ${name}`;
  document.body.append(probe);
  const { color, backgroundColor, borderTopColor } = getComputedStyle(probe);
  const colours = { ink: color, fill: backgroundColor, rim: borderTopColor };
  probe.remove();
  return colours;
}
