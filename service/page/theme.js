// Runs before the first paint, so that a page whose reader chose dark never flashes light. Not a module: those run late.
try {
  const chosen = localStorage.getItem("cosup.theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
} catch {
  // Storage can be forbidden; the system's preference holds then.
}
