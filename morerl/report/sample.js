"use strict";
// One sample as a person sees it: picture with boxes, relation, text with spans, answers with steps.
// Text from the run reaches the page by textContent alone: nothing here parses HTML.

const data = JSON.parse(document.getElementById("data").textContent);
const SVG = "http://www.w3.org/2000/svg";
const MARKS = { right: "✓", wrong: "✗", fixed: "▲", broken: "▼", unknown: "?" };
const last = data.stages.length - 1;

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function draw(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

// ---- one sample

function pictureOf(sample) {
  if (sample.picture === null) return null;
  const picture = data.pictures[sample.picture];
  if (picture.reason) return make("p", { class: "gap picture" }, `This picture is not shown. ${picture.reason}`);
  // thumbnails are small: half as large again is still sharp enough to recognise an object
  const size = { width: Math.round(picture.width * 1.5), height: Math.round(picture.height * 1.5) };
  const image = make("img", { ...size, src: picture.uri, alt: "the sample's picture" });
  return make("div", { class: "picture" }, image, boxesOf(sample), ...tagsOf(sample));
}

function boxesOf(sample) {
  const layer = draw("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
  // what the question is about lies on top
  const boxes = [...sample.boxes].sort((a, b) => (a.role !== "") - (b.role !== ""));
  for (const { id, box, type, role } of boxes) {
    const [x1, y1, x2, y2] = box;
    for (const kind of ["halo", "box"]) {
      const rect = draw("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: `${kind} ${role}` });
      if (kind === "box" && role) rect.id = `arg-${role}`;
      const title = draw("title", {});
      title.textContent = [id, type, role].filter(Boolean).join(" · ");
      rect.append(title);
      layer.append(rect);
    }
  }
  return layer;
}

function tagsOf(sample) {
  return sample.boxes.filter((box) => box.role).map(({ box, role }) => {
    const tag = make("span", { class: `tag ${role}` }, role);
    // through the object model: the page's policy refuses style attributes
    tag.style.left = `${box[0] * 100}%`;
    tag.style.top = `${box[1] * 100}%`;
    return tag;
  });
}

function textOf(sample) {
  const text = make("p", { class: "text", dir: "auto", tabindex: "0" });
  for (const [piece, kind] of sample.pieces) {
    if (!kind) {
      text.append(piece);
      continue;
    }
    const mark = make("mark", { class: kind }, piece);
    if (kind !== "other" && !text.querySelector(`#arg-${kind}`)) mark.id = `arg-${kind}`;
    text.append(mark);
  }
  return text;
}

function verdict(answer, gold) {
  if (!answer || gold === null) return "unknown";
  return answer.right ? "right" : "wrong";
}

function said(answer) {
  if (!answer) return "no prediction";
  return answer.answer ?? "no readable answer";
}

function relationOf(sample) {
  const row = (who, kind, mark, label) =>
    make("div", { class: `row ${kind}` }, make("span", { class: "who" }, who), make("span", { class: "mark" }, mark), make("bdi", {}, label));
  const card = make("div", { class: `relation ${verdict(sample.answers[last], sample.gold)}` });
  card.append(row("gold", "gold", "", sample.gold ?? "not known"));
  data.stages.forEach((stage, i) => {
    const kind = verdict(sample.answers[i], sample.gold);
    card.append(row(stage, kind, MARKS[kind], said(sample.answers[i])));
  });
  return card;
}

function answerOf(sample, i) {
  const answer = sample.answers[i];
  const kind = verdict(answer, sample.gold);
  const head = make("h3", {}, make("span", { class: "who" }, data.stages[i]), make("span", { class: `verdict ${kind}` }, `${MARKS[kind]} `, make("bdi", {}, said(answer))));
  const box = make("article", { class: "answer" }, head);
  if (!answer) return box;
  if (answer.problems.length) box.append(make("p", { class: "gap" }, `Problems: ${answer.problems.join(", ")}`));
  const list = make("ol", { class: "steps" });
  for (const [title, body] of answer.steps) list.append(make("li", { dir: "auto" }, make("b", {}, title), ` ${body}`));
  if (answer.steps.length) box.append(list);
  box.append(make("pre", { dir: "auto" }, answer.rest || "(nothing outside the reasoning)"));
  if (answer.drawn > 1) box.append(make("p", { class: "hint" }, `The first of ${answer.drawn} completions.`));
  return box;
}

// ---- the line from head to relation to tail

function link(stage) {
  const layer = stage.querySelector("svg.link");
  const card = stage.querySelector(".relation");
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
