// The sample browser: list, filters, keys. Follows sample.js in one script.

// ---- the list, the filters, the keys

const state = { shown: [], at: 0, parts: {} };

function plain(sample) {
  return sample.pieces.map(([piece]) => piece).join("");
}

function haystack(sample) {
  const answers = sample.answers.filter(Boolean).map((a) => [a.answer, a.rest, ...a.steps.flat()].join(" "));
  return [sample.id, sample.gold, plain(sample), ...answers].join(" ").toLowerCase();
}

function fits(sample) {
  const { outcome, gold, predicted, search } = state.parts;
  const want = outcome.value;
  const answer = sample.answers[last];
  const kinds = { right: ["right", "fixed"], wrong: ["wrong", "broken"] }[want] ?? [want];
  if (want === "unreadable" ? !answer || answer.answer !== null : want && !kinds.includes(sample.state)) return false;
  if (gold.value && sample.gold !== gold.value.slice(1)) return false;
  if (predicted.value && (!answer || (answer.answer ?? "") !== predicted.value.slice(1))) return false;
  return !search.value || sample.haystack.includes(search.value.toLowerCase());
}

function filter() {
  const current = state.shown[state.at];
  state.shown = data.samples.filter(fits);
  state.parts.list.replaceChildren(...state.shown.map(entry));
  show(Math.max(state.shown.indexOf(current), 0), false);
}

function entry(sample, i) {
  const mark = make("span", { class: `mark ${sample.state}`, title: sample.state }, MARKS[sample.state]);
  const button = make("button", { type: "button" }, mark, make("bdi", {}, plain(sample).slice(0, 90)));
  button.addEventListener("click", () => show(i));
  return make("li", {}, button);
}

function show(i, remember = true) {
  const { list, stage, answers, place } = state.parts;
  state.at = i;
  const sample = state.shown[i];
  place.textContent = sample ? `${i + 1} of ${state.shown.length}` : "none";
  answers.replaceChildren();
  if (!sample) {
    stage.replaceChildren(make("p", { class: "gap" }, "No sample embedded here fits these filters."));
    return;
  }
  stage.replaceChildren(...[pictureOf(sample), relationOf(sample), textOf(sample)].filter(Boolean), draw("svg", { class: "link", "aria-hidden": "true" }), make("p", { class: "hint" }, sample.id));
  answers.append(...data.stages.map((_, k) => answerOf(sample, k)));
  list.querySelector("[aria-current]")?.removeAttribute("aria-current");
  const button = list.children[i].firstChild;
  button.setAttribute("aria-current", "true");
  reveal(list, button);
  reveal(stage.querySelector(".text"), stage.querySelector(".text [id]"));
  stage.querySelector(".text").addEventListener("scroll", () => link(stage));
  link(stage);
  if (remember) history.replaceState(null, "", `#sample=${encodeURIComponent(sample.id)}`);
}

// scrolls inside the box only: scrollIntoView would move the page under the reader
function reveal(box, node) {
  if (!node) return;
  const outer = box.getBoundingClientRect();
  const inner = node.getBoundingClientRect();
  if (inner.top < outer.top || inner.bottom > outer.bottom) box.scrollTop += inner.top - outer.top - outer.height / 3;
}

function move(by) {
  if (state.shown.length) show((state.at + by + state.shown.length) % state.shown.length);
}

function onKey(event) {
  if (event.target.closest("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  const inList = event.target.closest(".list");
  const by = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1, ...(inList && { ArrowDown: 1, ArrowUp: -1 }) }[event.key];
  if (!by) return;
  event.preventDefault();
  move(by);
  if (inList) state.parts.list.querySelector("[aria-current]")?.focus();
}

function choice(label, options) {
  // a value is prefixed, so that an empty answer is not taken for "any"
  const select = make("select", { "aria-label": label }, ...options.map(([value, text]) => make("option", { value }, text)));
  select.addEventListener("change", filter);
  return select;
}

function labelChoice(label, any, values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  return choice(label, [["", any], ...sorted.map(([value, n]) => [`=${value}`, `${value || "no answer"} (${n})`])]);
}

function outcomeChoice() {
  const count = (...kinds) => data.samples.filter((sample) => kinds.includes(sample.state)).length;
  const unreadable = data.samples.filter((sample) => sample.answers[last] && sample.answers[last].answer === null).length;
  const options = [
    ["right", "Right", count("right", "fixed")],
    ["wrong", "Wrong", count("wrong", "broken")],
    ["fixed", `Fixed by ${data.stages[last]}`, count("fixed")],
    ["broken", `Broken by ${data.stages[last]}`, count("broken")],
    ["unreadable", "No readable answer", unreadable],
    ["unknown", "Not known", count("unknown")],
  ].filter(([, , n]) => n);
  return choice("Outcome", [["", `All (${data.samples.length})`], ...options.map(([value, text, n]) => [value, `${text} (${n})`])]);
}

function build(root) {
  const button = (text, by, label) => {
    const node = make("button", { type: "button", "aria-label": label }, text);
    node.addEventListener("click", () => move(by));
    return node;
  };
  const predicted = data.samples.map((sample) => sample.answers[last]).filter(Boolean);
  const parts = {
    outcome: outcomeChoice(),
    gold: labelChoice("Gold label", "Any gold label", data.samples.map((sample) => sample.gold).filter((gold) => gold !== null)),
    predicted: labelChoice("Predicted label", "Any predicted label", predicted.map((answer) => answer.answer ?? "")),
    search: make("input", { type: "search", placeholder: "Search text and reasoning", "aria-label": "Search" }),
    place: make("output", {}),
    list: make("ul", { class: "list" }),
    stage: make("div", { class: "stage" }),
    answers: make("div", { class: "answers" }),
  };
  state.parts = parts;
  parts.search.addEventListener("input", filter);
  const steps = make("span", { class: "turn" }, button("←", -1, "Previous sample"), parts.place, button("→", 1, "Next sample"));
  root.append(make("div", { class: "filters" }, parts.outcome, parts.gold, parts.predicted, parts.search, steps));
  root.append(make("div", { class: "panes" }, parts.list, parts.stage, parts.answers));
  root.append(make("p", { class: "hint" }, "Next and previous: j and k, or the arrow keys."));
}

// a count of the confusion matrix leads to its samples
function jump(event) {
  const cell = event.target.closest(".jump");
  if (!cell) return;
  const { outcome, gold, predicted, search } = state.parts;
  const pick = (select, label) => {
    const value = `=${label}`;
    // none of the embedded samples may have it; the filter must say so, not fall back to "any"
    if (![...select.options].some((option) => option.value === value)) select.append(make("option", { value }, `${label} (0)`));
    select.value = value;
  };
  outcome.value = search.value = "";
  pick(gold, cell.dataset.gold);
  pick(predicted, cell.dataset.predicted);
  filter();
  document.getElementById("browser").scrollIntoView();
}

function showLinked() {
  const id = location.hash.startsWith("#sample=") && decodeURIComponent(location.hash.slice(8));
  const i = state.shown.findIndex((sample) => sample.id === id);
  if (i >= 0) show(i);
}

function startBrowser() {
  const root = document.getElementById("samples");
  if (!root) return;
  for (const sample of data.samples) sample.haystack = haystack(sample);
  root.hidden = false;
  build(root);
  filter();
  showLinked();
  addEventListener("hashchange", showLinked);
  addEventListener("keydown", onKey);
  document.getElementById("confusion").addEventListener("click", jump);
  document.documentElement.classList.add("scripted");
  new ResizeObserver(() => state.shown.length && link(state.parts.stage)).observe(state.parts.stage);
}

startBrowser();
