// The sample browser: the sample on the stage, keys, addresses. Last of the scripts that make up the page's one.

let data = { stages: [], samples: [] };
let told = null; // what every stage wrote of every sample; the larger part, unpacked after the first sample is shown
const state = { set: 0, shown: [], at: 0, stage: 0, parts: {}, view: null };

function filter() {
  narrow(true);
}

function narrow(remember) {
  const current = state.shown[state.at];
  state.shown = data.samples.filter(fits);
  setRows(state.rows, state.shown);
  show(Math.max(state.shown.indexOf(current), 0), remember);
}

// ---- one sample on the stage

function show(i, remember = true) {
  const { stage, answers, place } = state.parts;
  state.at = i;
  const sample = state.shown[i];
  place.textContent = sample ? `${i + 1} of ${state.shown.length}` : "none";
  state.view = null;
  if (remember) address(sample);
  selectRow(state.rows, sample ? i : 0);
  if (!sample) {
    answers.replaceChildren();
    stage.replaceChildren(make("p", { class: "gap" }, "No sample on this page fits these filters."));
    return;
  }
  stage.classList.toggle("extraction", sample.task !== "pair");
  stage.replaceChildren(...(sample.task === "pair" ? pairParts(sample) : extractionParts(sample)), make("p", { class: "hint id" }, sample.id));
  showAnswers(sample);
  reveal(stage);
  lines();
}

// what is looked at is what the address sends to somebody else
function address(sample) {
  state.parts.notice.hidden = true;
  history.replaceState(null, "", sample ? `#sample=${encodeURIComponent(sample.id)}` : "#browser");
}

function showAnswers(sample) {
  state.parts.answers.replaceChildren(...data.stages.map((_, k) => answerOf(sample, k)));
}

function pairParts(sample) {
  return [pictureOf(sample), relationOf(sample), pairTextOf(sample), draw("svg", { class: "link", "aria-hidden": "true" })].filter(Boolean);
}

function extractionParts(sample) {
  const { parts, view } = extractionOf(sample, sample.answers[state.stage]);
  state.view = view;
  return [pictureOf(sample), stageChoice(), ...parts].filter(Boolean);
}

// whose answer is laid over gold
function stageChoice() {
  if (data.stages.length < 2) return null;
  const buttons = data.stages.map((name, k) => {
    const button = make("button", { type: "button", "aria-pressed": String(k === state.stage) }, name);
    button.addEventListener("click", () => {
      state.stage = k;
      show(state.at, false);
    });
    return button;
  });
  return make("div", { class: "stages", role: "group", "aria-label": "Whose answer is shown" }, ...buttons);
}

function lines() {
  if (state.view) drawArcs(state.view);
  else link(state.parts.stage);
}

// ---- keys and addresses

function move(by) {
  if (state.shown.length) show((state.at + by + state.shown.length) % state.shown.length);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && event.target === state.parts.search) return event.target.blur();
  if (event.target.closest?.("input, select, textarea")) return;
  if (event.key === "/") {
    event.preventDefault();
    return state.parts.search.focus();
  }
  const inList = event.target.closest?.(".list");
  const by = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1, ...(inList && { ArrowDown: 1, ArrowUp: -1 }) }[event.key];
  if (!by) return;
  event.preventDefault();
  move(by);
}

function build(root) {
  const button = (text, by, label) => {
    const node = make("button", { type: "button", "aria-label": label }, text);
    node.addEventListener("click", () => move(by));
    return node;
  };
  const search = make("input", { type: "search", placeholder: "Search text and reasoning", "aria-label": "Search" });
  search.addEventListener("input", filter);
  state.rows = rowsOf(show);
  state.parts = { search, place: make("output", {}), notice: make("p", { class: "gap", role: "status", hidden: "" }), stage: make("div", { class: "stage" }), answers: make("div", { class: "answers" }), filters: make("div", { class: "filters" }) };
  const turn = make("span", { class: "turn" }, button("←", -1, "Previous sample"), state.parts.place, button("→", 1, "Next sample"));
  state.parts.turn = turn;
  root.append(state.parts.notice, state.parts.filters, make("div", { class: "panes" }, state.rows.list, state.parts.stage, state.parts.answers));
  root.append(make("p", { class: "hint" }, "✓ right, ✗ wrong, ▲ fixed, ▼ broken. Next and previous: j and k, or the arrow keys; / to search. Difficulty: how many of all completions of a sample, of every column, are right; of rated samples, the rating."));
}

function choose(set, remember = false) {
  state.set = set;
  for (const part of document.querySelectorAll(".of")) part.hidden = Number(part.dataset.set) !== set;
  const picker = document.getElementById("set");
  if (picker) picker.value = String(set);
  if (!state.rows) return;
  Object.assign(state.parts, choices());
  const { outcome, error, gold, predicted, hard, search, turn, filters } = state.parts;
  filters.replaceChildren(outcome, error, gold, predicted, hard, search, turn);
  narrow(remember);
}

// a count of the confusion matrix leads to its samples
function jump(event) {
  const cell = event.target.closest(".jump");
  if (!cell || !state.rows) return;
  const pick = (select, label) => {
    if (label === undefined) return;
    const value = `=${label}`;
    // no sample of the page may have it; the filter must say so, not fall back to "any"
    if (![...select.options].some((option) => option.value === value)) select.append(make("option", { value }, `${label} (0)`));
    select.value = value;
  };
  for (const part of ["outcome", "error", "gold", "predicted", "hard", "search"]) state.parts[part].value = "";
  if (cell.dataset.gold) pick(state.parts.gold, cell.dataset.gold);
  pick(state.parts.error, cell.dataset.error);
  pick(state.parts.predicted, cell.dataset.predicted);
  filter();
  document.getElementById("browser").scrollIntoView();
  state.rows.list.focus({ preventScroll: true });
}

function showLinked() {
  if (!location.hash.startsWith("#sample=")) return;
  const asked = location.hash.slice("#sample=".length);
  const ids = [asked, decoded(asked)];
  const sample = data.samples.find((one) => ids.includes(one.id));
  const { notice } = state.parts;
  notice.hidden = Boolean(sample);
  notice.textContent = `The sample ${ids[1].slice(0, 200)} is not on this page, which holds ${data.samples.length}; below stands another.`;
  if (sample) {
    if (sample.set !== state.set || !state.shown.includes(sample)) choose(sample.set);
    show(state.shown.indexOf(sample), false);
  }
  document.getElementById("samples").scrollIntoView();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function complete(all) {
  told = all;
  for (const sample of data.samples) delete sample.haystack;
  if (state.parts.search.value) filter();
  else if (state.shown.length) showAnswers(state.shown[state.at]);
}

async function startBrowser() {
  const picker = document.getElementById("set");
  if (picker) {
    picker.hidden = false;
    picker.addEventListener("change", () => choose(Number(picker.value), true));
  }
  choose(0);
  const root = document.getElementById("samples");
  if (!root) return;
  data = await unpack("data");
  data.samples.forEach((sample, number) => (sample.number = number));
  state.stage = data.stages.length - 1;
  root.hidden = false;
  build(root);
  choose(0);
  for (const button of document.querySelectorAll(".jump button")) button.disabled = false;
  showLinked();
  unpack("told").then(complete);
  addEventListener("hashchange", showLinked);
  addEventListener("keydown", onKey);
  document.getElementById("confusion")?.addEventListener("click", jump);
  document.documentElement.classList.add("scripted");
  new ResizeObserver(lines).observe(state.parts.stage);
}

startBrowser();
