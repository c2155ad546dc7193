// The table of SynthesisReview: shows the rows that the kernel sends, and says what is done to
// them. Texts are only ever put into text nodes and values of controls, never into markup.

const KEYS = {
  j: "next", ArrowDown: "next", k: "previous", ArrowUp: "previous",
  a: "accept", r: "reject", e: "edit", l: "relabel", u: "undo",
  n: "forward", PageDown: "forward", p: "back", PageUp: "back",
};
const HELP = "j/k move · a accept · r reject · e edit (Ctrl+Enter saves, Esc leaves) · " +
  "l label · u undo · n/p page";

function element(name, kind, ...children) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.append(...children);
  return made;
}

// [["words", marked?], …] as text, the marked parts set off
function segments(parts) {
  const line = element("bdi");
  for (const [text, marked] of parts) {
    line.append(marked ? element("mark", "", text) : document.createTextNode(text));
  }
  return line;
}

function render({ model, el }) {
  const table = element("div", "smotext-review");
  table.tabIndex = 0;
  table.setAttribute("role", "grid");
  table.setAttribute("aria-label", "texts to review; " + HELP);
  // JupyterLab's own shortcuts (a: a cell above) stay out of here
  table.setAttribute("data-lm-suppress-shortcuts", "true");
  const body = element("div", "smotext-review-rows");
  table.append(body, element("div", "smotext-soft smotext-review-help", HELP));
  el.append(table);
  let editing = null;

  const rows = () => model.get("rows");
  const at = () => Math.min(model.get("cursor"), rows().length - 1);
  const send = (action) => {
    const row = rows()[at()];
    if (row || action === "undo" || action === "forward" || action === "back")
      model.send({ action, id: row ? row.id : null });
  };
  const move = (to) => {
    model.set("cursor", Math.max(0, Math.min(rows().length - 1, to)));
    model.save_changes();
  };
  const goOn = (place) => {
    if (model.get("stays")) move(place + 1);
    else model.set("rows", rows().filter((_, other) => other !== place));
  };
  const leave = () => { editing = null; draw(); table.focus({ preventScroll: true }); };

  function editor(row) {
    const area = element("textarea");
    area.value = row.text;
    area.rows = 3;
    area.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape") leave();
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        model.send({ action: "edit", id: row.id, text: area.value });
        leave();
      }
    });
    return area;
  }

  function labels(row) {
    const choice = element("select");
    model.get("labels").forEach((name, place) => {
      const option = element("option", "", name);
      option.value = String(place);
      option.selected = place === row.label;
      choice.append(option);
    });
    choice.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Escape" || event.key === "Enter") leave();
    });
    choice.addEventListener("change", () => {
      model.send({ action: "relabel", id: row.id, label: Number(choice.value) });
      leave();
    });
    return choice;
  }

  function button(name, sign, place) {
    const made = element("button", "", sign);
    made.type = "button";
    made.tabIndex = -1;
    made.title = name;
    made.addEventListener("click", () => {
      move(place);
      if (name === "edit") { editing = name; draw(); } else send(name);
    });
    return made;
  }

  function line(row, place) {
    const here = place === at();
    const made = element("div", `smotext-review-row smotext-${row.decision}`);
    if (here) made.classList.add("smotext-here");
    made.setAttribute("role", "row");
    made.setAttribute("aria-selected", String(here));
    made.addEventListener("click", () => { if (place !== at()) move(place); });
    const text = element("div", "smotext-review-text");
    text.append(here && editing === "edit" ? editor(row) : segments(row.segments));
    const facts = element("div", "smotext-soft", row.facts);
    const label = element("span", "smotext-review-label");
    label.append(here ? labels(row) : element("bdi", "", model.get("labels")[row.label]));
    const sign = { accepted: "✓ ", rejected: "✗ ", undecided: "" }[row.decision];
    facts.prepend(element("b", "", sign + row.decision), " · ", label, " · ");
    const parents = element("div", "smotext-review-parents");
    for (const parent of row.parents) {
      parents.append(element("div", "", element("span", "smotext-soft", parent.facts + " "),
        segments(parent.segments)));
    }
    const buttons = element("div", "smotext-review-buttons",
      button("accept", "✓", place), button("reject", "✗", place), button("edit", "✎", place));
    made.append(buttons, element("div", "smotext-review-made", text, facts), parents);
    return made;
  }

  function draw() {
    const focused = table.contains(document.activeElement);
    body.replaceChildren(...rows().map(line));
    if (!rows().length) body.append(element("div", "smotext-soft", "No texts like that."));
    const control = editing === "edit" ? body.querySelector("textarea")
      : editing === "relabel" ? body.querySelector(".smotext-here select") : null;
    if (control) control.focus();
    else if (focused) table.focus({ preventScroll: true });
    const here = body.querySelector(".smotext-here");
    if (here && focused) here.scrollIntoView({ block: "nearest" });
  }

  table.addEventListener("keydown", (event) => {
    const action = KEYS[event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey || event.target !== table) return;
    event.preventDefault();
    event.stopPropagation();
    if (action === "next") move(at() + 1);
    else if (action === "previous") move(at() - 1);
    else if (action === "edit" || action === "relabel") { editing = action; draw(); }
    else {
      const place = at();
      send(action);
      // not only when the kernel answers: the next key may come sooner
      if (action === "accept" || action === "reject") goOn(place);
    }
  });
  // an answer to an earlier key must not take away what is being typed
  const renew = () => { if (!editing) draw(); };
  model.on("change:rows", renew);
  model.on("change:cursor", renew);
  draw();
  return () => { model.off("change:rows", renew); model.off("change:cursor", renew); };
}

export default { render };
