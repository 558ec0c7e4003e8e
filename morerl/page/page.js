// The page: form, stage, answers. Last of the scripts; what draws a sample is the report's.

let data = { stages: ["answer"], samples: [] };
let told = null;
MARKS.unknown = ""; // nothing is right or wrong here
const at = { chosen: 0, view: null, run: null, picked: false, busy: false };
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
  at.picked = false;
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

function heard({ samples, told: news, error, seconds }) {
  if (error) return complain(error);
  if (seconds !== undefined) at.busy = false;
  told = news.map((one) => [one]);
  if (samples) {
    const first = !data.samples.length;
    data.samples = samples.map((sample, number) => ({ ...sample, number }));
    // a server answers in an order of its own, so that a pair is known by its names
    const isMine = at.picked ? (sample) => String(sample.title) === at.picked : (sample) => sample.related;
    at.chosen = Math.max(samples.findIndex(isMine), 0);
    show();
    if (first) part("stage").scrollIntoView({ block: "nearest" }); // on a narrow screen it is far below
  } else {
    showAnswers();
  }
  part("state").textContent = seconds === undefined ? "writing …" : `answered in ${seconds} s`;
}

// ---- what is shown

function show() {
  const stage = part("stage");
  const sample = data.samples[at.chosen];
  at.view = null;
  stage.classList.toggle("extraction", sample.task !== "pair");
  stage.replaceChildren(...(sample.task === "pair" ? pairOf(sample) : wholeOf(sample)));
  showAnswers();
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
  part("answers").replaceChildren(...data.samples.map(cardOf));
}

function cardOf(sample, number) {
  const card = answerOf(sample, 0);
  card.dataset.chosen = String(number === at.chosen);
  const [head, tail] = sample.title;
  const name = head === undefined ? "Reasoning" : [make("bdi", {}, head), " → ", make("bdi", {}, tail)];
  const label = make("bdi", { class: sample.related ? "label" : "label none" }, sample.task === "pair" ? said(sample.answers[0]) : "");
  if (at.busy && !told[number][0][1]) card.querySelector("pre")?.remove(); // it has not come to that yet
  const button = make("button", { type: "button", "aria-pressed": card.dataset.chosen }, make("span", { class: "triple" }, ...[name].flat()), label);
  button.addEventListener("click", () => {
    at.chosen = number;
    at.picked = String(sample.title);
    show();
  });
  card.prepend(button);
  return card;
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
