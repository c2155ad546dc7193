// Lets sliders hear the arrow keys: Notebook 7 would take them for shortcuts of its own.

function keep(event) {
  const handle = event.target.closest?.(".smotext-panel .noUi-handle");
  handle?.setAttribute("data-lm-suppress-shortcuts", "true");
}

function render() {
  document.addEventListener("focusin", keep);
  if (document.activeElement) keep({ target: document.activeElement });
  return () => document.removeEventListener("focusin", keep);
}

export default { render };
