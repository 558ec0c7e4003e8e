// The page: form, stage, answers. Last of the scripts; what draws a sample is the report's.

let data = { stages: ["answer"], samples: [] };
let told = null;
MARKS.unknown = ""; // nothing is right or wrong here
const at = { scene: null, chosen: 0, drawn: "", view: null, run: null, picked: "", busy: false };
const part = (id) => document.getElementById(id);
const OWN = document.querySelector(".found").dataset.own;

const editor = boxEditor(part("editor"), part("boxes"), (picture) => {
  part("drop").hidden = !!picture;
  part("drawing").hidden = !picture;
});
const words = wordMarker(part("text"), part("mark"), part("words"));

function complain(message) {
  part("error").hidden = !message;
  part("error").textContent = message;
}

// ---- the picture

async function take(file) {
  if (!file) return;
  complain("");
  try {
    const found = await post("picture", file, "application/octet-stream");
    if (found.error) complain(found.error);
    else editor.set(found);
  } catch (error) {
    complain(`The picture was not taken: ${error.message}`);
  }
}

function startDrop() {
  const target = part("drop");
  part("file").addEventListener("change", (event) => {
    take(event.target.files[0]);
    event.target.value = "";
  });
  // anywhere on the page, or the browser would leave it for the picture
  addEventListener("dragover", (event) => {
    event.preventDefault();
    target.classList.add("over");
  });
  addEventListener("dragleave", () => target.classList.remove("over"));
  addEventListener("drop", (event) => {
    event.preventDefault();
    target.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
}

// ---- asking

function question() {
  const picture = editor.picture();
  return {
    text: part("text").value,
    image: picture ? picture.name : null,
    regions: editor.boxes(),
    mentions: words.marks(),
    schema: part("schema").value,
    types: part("types").value,
    relations: part("relations").value,
    run: at.run,
  };
}

async function send(event) {
  event.preventDefault();
  at.run = crypto.randomUUID();
  complain("");
  running(true);
  part("state").textContent = "reading …";
  part("state").scrollIntoView({ block: "nearest" });
  data.samples = [];
  at.picked = "";
  const picture = editor.picture();
  pictureLines = picture ? [JSON.stringify([picture.width, picture.height, picture.uri])] : [];
  try {
    await ask(question(), heard);
  } catch (error) {
    complain(error.message);
  }
  running(false);
}

function running(on) {
  at.busy = on;
  part("send").disabled = on;
  part("stop").hidden = !on;
  document.querySelector(".found").classList.toggle("running", on);
  if (!on && !part("state").textContent.startsWith("answered")) part("state").textContent = "";
}

function heard({ scene, samples, told: news, error, seconds }) {
  if (error) return complain(error);
  if (scene) return void (at.scene = scene);
  if (seconds !== undefined) at.busy = false;
  told = news.map((one) => [one]);
  if (samples) {
    const first = !data.samples.length;
    data.samples = samples.map((sample, number) => ({ ...sample, number }));
    // a server answers in an order of its own, and the same words may be marked twice
    const isMine = at.picked ? (sample) => idOf(sample) === at.picked : (sample) => sample.related;
    at.chosen = Math.max(samples.findIndex(isMine), 0);
    show();
    if (first) part("stage").scrollIntoView({ block: "nearest" }); // on a narrow screen it is far below
  } else {
    fill(part("answers").children[at.chosen]);
  }
  part("state").textContent = seconds === undefined ? "writing …" : `answered in ${seconds} s`;
}

function idOf({ pair }) {
  return JSON.stringify(pair);
}

// ---- what is shown

function show() {
  showStage(inScene(data.samples[at.chosen]));
  showAnswers();
}

// a sample as the report has it
function inScene(sample) {
  const role = (id) => ["head", "tail"][sample.pair.indexOf(id)];
  const marks = at.scene.marks.map(([start, end, id]) => [start, end, role(id) ?? "other"]);
  const boxes = at.scene.boxes.map(([x1, y1, x2, y2, name, id]) => [x1, y1, x2, y2, name, role(id) ?? ""]);
  return { ...at.scene, ...sample, marks, boxes, gold: null };
}

function showStage(sample) {
  const stage = part("stage");
  const drawn = JSON.stringify([at.run, sample.pair, sample.answers]);
  if (at.drawn === drawn) return; // or a text that a person reads would scroll back
  at.drawn = drawn;
  at.view = null;
  stage.classList.toggle("extraction", sample.task !== "pair");
  stage.replaceChildren(...(sample.task === "pair" ? pairOf(sample) : wholeOf(sample)));
  reveal(stage);
  lines();
}

function pairOf(sample) {
  return [pictureOf(sample), relationOf(sample), pairTextOf(sample), draw("svg", { class: "link", "aria-hidden": "true" })].filter(Boolean);
}

function wholeOf(sample) {
  const found = sample.answers[0].found;
  if (!found) return [pictureOf(sample), textOf(sample.text, [])].filter(Boolean);
  const { parts, view } = extractionOf(sample, sample.answers[0]);
  at.view = view;
  if (!found.entities.length) parts[1] = make("p", { class: "hint" }, "Nothing of what was asked for was found.");
  return [pictureOf(sample), ...parts].filter(Boolean);
}

function lines() {
  if (at.view) drawArcs(at.view);
  else link(part("stage"));
}

function showAnswers() {
  const list = part("answers");
  const held = document.activeElement.closest("#answers .answer")?.dataset.pair;
  const top = list.scrollTop;
  list.replaceChildren(...data.samples.map(cardOf));
  list.scrollTop = top;
  const cards = [...list.children];
  cards.find((card) => card.dataset.pair === held)?.querySelector("button").focus({ preventScroll: true });
  if (!at.picked) within(list, cards[at.chosen]);
}

// scrolls the list, and not the page
function within(list, card) {
  const [room, own] = [list.getBoundingClientRect(), card.getBoundingClientRect()];
  if (own.top < room.top || own.bottom > room.bottom) list.scrollTop += own.top - room.top;
}

function cardOf(sample, number) {
  const chosen = number === at.chosen;
  const [head, tail] = sample.title;
  const name = head === undefined ? ["Reasoning"] : [make("bdi", {}, head), " → ", make("bdi", {}, tail)];
  const label = make("bdi", { class: sample.related ? "label" : "label none" }, sample.task === "pair" ? said(sample.answers[0]) : "");
  const button = make("button", { type: "button", "aria-pressed": chosen }, make("span", { class: "triple" }, ...name), label);
  button.addEventListener("click", () => {
    at.chosen = number;
    at.picked = idOf(sample);
    show();
  });
  const card = make("article", { class: "answer", "data-chosen": chosen, "data-pair": idOf(sample) }, button);
  if (chosen) fill(card);
  return card;
}

// what was said, below a card's own line, which a person may have the focus on
function fill(card) {
  while (card.children.length > 1) card.lastChild.remove();
  const sample = data.samples[at.chosen];
  const whole = answerOf(sample, 0);
  if (at.busy && !told[sample.number][0][1]) whole.querySelector("pre")?.remove(); // it has not come to that yet
  card.append(...whole.children);
}

function startPage() {
  const choose = () => (part("own").hidden = part("schema").value !== OWN);
  part("schema").addEventListener("change", choose);
  choose();
  startDrop();
  part("form").addEventListener("submit", send);
  part("stop").addEventListener("click", stop);
  addEventListener("pagehide", stop);
  new ResizeObserver(lines).observe(part("stage"));
}

function stop() {
  if (at.run) navigator.sendBeacon(`stop?run=${encodeURIComponent(at.run)}`);
}

startPage();
