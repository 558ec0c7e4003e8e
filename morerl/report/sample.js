// One sample as a person sees it: picture with boxes, text with spans, what links them, answers with steps.

const MARKS = { right: "✓", wrong: "✗", fixed: "▲", broken: "▼", unknown: "?" };

// ---- picture

function pictureOf(sample) {
  if (sample.pic === null) return null;
  const picture = pictureAt(sample.pic);
  if (picture.reason) return make("p", { class: "gap picture" }, `This picture is not shown. ${picture.reason}`);
  // thumbnails are small: somewhat larger is still sharp enough to recognise an object
  const scale = Math.min(1.5, 480 / Math.max(picture.width, picture.height * 1.3));
  const size = { width: Math.round(picture.width * Math.max(scale, 1)), height: Math.round(picture.height * Math.max(scale, 1)) };
  const image = make("img", { ...size, src: picture.uri, alt: altOf(sample) });
  return make("div", { class: "picture" }, image, boxesOf(sample), ...tagsOf(sample));
}

// where head and tail are, for those who do not see the boxes
function altOf(sample) {
  const at = (x, y) => `(${Math.round(x * 100)}%, ${Math.round(y * 100)}%)`;
  const ends = ["head", "tail"].map((role) => {
    const box = sample.boxes.find((one) => one[5] === role);
    if (box) return `; ${role}: the object from ${at(box[0], box[1])} to ${at(box[2], box[3])}`;
    const mark = sample.marks.find(([, , kind]) => kind === role);
    return mark ? `; ${role}, in the text: ${sample.text.slice(mark[0], mark[1])}` : "";
  });
  return `the sample's picture${ends.join("")}`;
}

function boxesOf(sample) {
  const layer = draw("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  // what the question is about lies on top
  const boxes = [...sample.boxes].sort((a, b) => (a[5] !== "") - (b[5] !== ""));
  for (const [x1, y1, x2, y2, name, role] of boxes) {
    for (const kind of ["halo", "box"]) {
      const rect = draw("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: `${kind} ${role}` });
      if (kind === "box" && role) rect.id = `arg-${role}`;
      rect.append(draw("title", {}, [name, role].filter(Boolean).join(" · ")));
      layer.append(rect);
    }
  }
  return layer;
}

function tagsOf(sample) {
  return sample.boxes.filter((box) => box[5]).map(([x1, y1, x2, , , role]) => tagAt([x1, y1, x2], role, role));
}

function tagAt([x1, y1, x2], kind, words) {
  const tag = make("span", { class: `tag ${kind}` }, words);
  // through the object model: the page's policy refuses style attributes
  if (x1 < 0.8) tag.style.left = `${x1 * 100}%`;
  else tag.style.right = `${(1 - x2) * 100}%`; // or it would stand out of the picture
  tag.style.top = `${y1 * 100}%`;
  return tag;
}

// ---- a pair: text with head and tail, and the relation between them

function pairTextOf(sample) {
  // ends past what is shown of a long text were cut to its end, and an empty span marks nothing
  const spans = sample.marks.filter(([start, end]) => start < end).map(([start, end, kind]) => ({ start, end, kind }));
  const text = textOf(sample.text, spans);
  for (const role of ["head", "tail"]) {
    const first = spans.find((span) => span.kind === role)?.nodes?.[0];
    if (first) first.id = `arg-${role}`;
  }
  return text;
}

function verdict(answer) {
  if (!answer || answer.right === null) return "unknown";
  return answer.right ? "right" : "wrong";
}

function said(answer) {
  if (!answer) return "no prediction";
  return answer.answer ?? "no readable answer";
}

function relationOf(sample) {
  const row = (who, kind, mark, label) =>
    make("div", { class: `row ${kind}` }, make("span", { class: "who", title: who }, who), make("span", { class: "mark" }, mark), make("bdi", {}, label));
  const card = make("div", { class: `relation ${verdict(sample.answers.at(-1))}` });
  card.append(row("gold", "gold", "", sample.gold ?? "not known"));
  data.stages.forEach((stage, i) => {
    const kind = verdict(sample.answers[i]);
    card.append(row(stage, kind, MARKS[kind], said(sample.answers[i])));
  });
  return card;
}

// ---- an answer: verdict, reward, steps

function answerOf(sample, i) {
  const answer = sample.answers[i];
  const kind = verdict(answer);
  const outcome = sample.task === "pair" ? said(answer) : { right: "all right", wrong: "not all right", unknown: answer ? "" : "no prediction" }[kind];
  const head = make("h3", {}, make("span", { class: "who" }, data.stages[i]), make("span", { class: `verdict ${kind}` }, `${MARKS[kind]} `, make("bdi", {}, outcome)));
  const box = make("article", { class: "answer" }, head);
  if (!answer) return box;
  const chips = answer.errors.map((error) => make("span", { class: "chip wrong" }, error));
  if (chips.length) box.append(make("p", { class: "chips" }, ...chips));
  if (answer.problems.length) box.append(make("p", { class: "gap" }, `Problems: ${answer.problems.join(", ")}`));
  if (answer.rewards.length) box.append(rewardOf(answer.rewards));
  const [steps, written] = told?.[sample.number][i] ?? [[], "…"];
  const list = make("ol", { class: "steps" });
  for (const [title, body] of steps) list.append(make("li", { dir: "auto" }, make("b", {}, title), ` ${body}`));
  if (steps.length) box.append(list);
  const rest = make("pre", { dir: "auto" }, written || "(nothing outside the reasoning)");
  // of an extraction the spans and arcs say it better
  box.append(answer.found ? make("details", {}, make("summary", {}, "As it was written"), rest) : rest);
  if (answer.drawn > 1) box.append(make("p", { class: "hint" }, `The first of ${answer.drawn} completions, of which ${answer.passed} are right.`));
  return box;
}

function rewardOf(rewards) {
  const number = (value) => String(Math.round(value * 100) / 100).replace("-", "−");
  const total = rewards.reduce((sum, [, value, weight]) => sum + value * weight, 0);
  const part = ([name, value, weight]) => {
    const earned = value * weight;
    const kind = earned > 0 ? "plus" : earned < 0 ? "minus" : "none";
    return make("span", { class: `part ${kind}`, title: `${name}: ${number(value)}, weight ${number(weight)}` }, `${name} `, make("b", {}, number(earned)));
  };
  return make("p", { class: "reward" }, make("span", { class: "who" }, "reward "), make("b", { class: "sum" }, number(total)), ...rewards.map(part));
}

// ---- the line from head to relation to tail

function link(stage) {
  const layer = stage.querySelector("svg.link");
  const card = stage.querySelector(".relation");
  if (!layer || !card) return;
  layer.replaceChildren();
  const base = stage.getBoundingClientRect();
  const target = card.getBoundingClientRect();
  const kind = [...card.classList].find((name) => name !== "relation");
  const ends = { head: anchorOf(stage, "head"), tail: anchorOf(stage, "tail") };
  for (const [role, anchor] of Object.entries(ends)) {
    if (!anchor) continue;
    const other = ends[role === "head" ? "tail" : "head"] ?? target;
    // the two lines leave the card on the sides they go to, or they would cross
    const side = middleOf(anchor) < middleOf(other) ? -14 : 14;
    const d = curve(anchor, target, base, side, role);
    layer.append(draw("path", { d, class: "halo" }), draw("path", { d, class: `line ${kind} ${role}` }));
  }
}

function middleOf(rect) {
  return rect.left + rect.width / 2;
}

// a long text is scrolled to what is asked about, and the lines follow
function reveal(stage) {
  const text = stage.querySelector(".text");
  const first = text?.querySelector("[id]");
  if (!first) return;
  const behind = first.getBoundingClientRect().top - text.getBoundingClientRect().top;
  if (behind > text.clientHeight) text.scrollTop = behind - text.clientHeight / 3;
  text.addEventListener("scroll", () => link(stage), { passive: true });
}

function anchorOf(stage, role) {
  const node = stage.querySelector(`#arg-${role}`) ?? stage.querySelector("p.picture");
  if (!node) return null;
  const rect = node.getClientRects()[0];
  const text = node.closest(".text")?.getBoundingClientRect();
  if (!rect || !text) return rect ?? null;
  const top = Math.min(Math.max(rect.top, text.top), text.bottom);
  return { left: rect.left, width: rect.width, top, bottom: Math.max(Math.min(rect.bottom, text.bottom), top) };
}

function curve(anchor, card, base, side, role) {
  const above = anchor.bottom <= card.top;
  const from = [middleOf(anchor) - base.left, (above ? anchor.bottom : anchor.top) - base.top];
  const to = [middleOf(card) + side - base.left, (above ? card.top : card.bottom) - base.top];
  const middle = (from[1] + to[1]) / 2;
  // the arrow's head is at the end of the path: into the card from the head, out of it to the tail
  const [a, b] = role === "head" ? [from, to] : [to, from];
  return `M${a}C${a[0]},${middle} ${b[0]},${middle} ${b}${arrow(b, b[1] > a[1] ? -1 : 1)}`;
}

function arrow([x, y], up) {
  return `M${x - 4},${y + 7 * up}L${x},${y}L${x + 4},${y + 7 * up}`;
}
