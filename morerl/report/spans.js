// Text with its spans, and what an extraction states in it: arcs between spans, gold beside predicted.

// A text cut where spans begin and end; a piece within several spans carries the marks of all.
// Spans: { start, end, kind, type }; returns the paragraph, and each span's pieces in `span.nodes`.
function textOf(text, spans) {
  const cuts = new Set([0, text.length]);
  for (const { start, end } of spans) cuts.add(start).add(end);
  const places = [...cuts].sort((a, b) => a - b);
  const starts = new Map(places.map((place, i) => [place, i]));
  const nodes = places.slice(0, -1).map((place, i) => document.createTextNode(text.slice(place, places[i + 1])));
  const over = nodes.map(() => []);
  for (const span of spans) for (let i = starts.get(span.start); places[i] < span.end; i++) over[i].push(span);
  const paragraph = make("p", { class: "text", dir: "auto", tabindex: "0" });
  nodes.forEach((node, i) => paragraph.append(over[i].length ? marked(node, over[i], places[i + 1]) : node));
  return paragraph;
}

function marked(node, spans, end) {
  const mark = make("mark", { class: [...new Set(spans.map((span) => span.kind))].join(" ") }, node);
  for (const { type, kind } of spans.filter((span) => span.end === end && span.type)) {
    // drawn by the stylesheet, so that a type is never taken for a word of the text
    mark.append(make("i", { class: kind, "data-type": type }));
  }
  for (const span of spans) (span.nodes ??= []).push(mark);
  return mark;
}

// ---- gold and predicted, laid over each other

const STATUS = { right: "right", missed: "missed", made: "made up", given: "predicted", gold: "gold" };

function spanKey([start, end, type, words]) {
  return start === null ? `?${words}/${type}` : `${start}-${end}/${type}`;
}

function endOf(found, end) {
  return typeof end === "number" ? found.entities[end] : [null, null, "", end];
}

// An argument is compared by its place alone: its type is the entity's business.
function placeKey([start, end, , words]) {
  return start === null ? `?${words}` : `${start}-${end}`;
}

function merged(gold, given, items, key) {
  const all = new Map();
  for (const [found, side] of [[gold, "gold"], [given, "given"]]) {
    for (const item of found ? items(found) : []) {
      const name = key(item);
      if (!all.has(name)) all.set(name, { item, gold: false, given: false });
      all.get(name)[side] = true;
    }
  }
  return [...all.values()].map((one) => ({ ...one, kind: kindOf(one, gold, given) }));
}

function kindOf(one, gold, given) {
  if (!gold) return "given";
  if (!given) return "gold";
  return one.gold ? (one.given ? "right" : "missed") : "made";
}

function entitiesOf(gold, given) {
  return merged(gold, given, (found) => found.entities, spanKey);
}

function relationsOf(gold, given) {
  const items = (found) => found.relations.map(([head, tail, label]) => ({ head: endOf(found, head), tail: endOf(found, tail), label }));
  const order = ["right", "missed", "made", "given", "gold"];
  return merged(gold, given, items, ({ head, tail, label }) => JSON.stringify([placeKey(head), placeKey(tail), label]))
    .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

// ---- the stage of an extraction

function extractionOf(sample, answer) {
  const gold = sample.gold;
  const given = answer?.found ?? (answer ? { entities: [], relations: [] } : null);
  const entities = entitiesOf(gold, given);
  const placed = entities.filter(({ item }) => item[0] !== null && item[0] < item[1]);
  const spans = placed.map(({ item, kind }) => ({ start: item[0], end: item[1], type: item[2], kind, key: placeKey(item) }));
  const text = textOf(sample.text, spans);
  const layer = draw("svg", { class: "arcs", "aria-hidden": "true" });
  const flow = make("div", { class: "flow" }, text, layer);
  const relations = relationsOf(gold, given);
  const rows = relations.map((relation) => rowOf(relation));
  const nowhere = entities.filter(({ item }) => item[0] === null);
  const parts = [make("div", { class: "scroller" }, flow), legendOf([...entities, ...relations])];
  if (nowhere.length) parts.push(nowhereOf(nowhere));
  if (rows.length) parts.push(make("ul", { class: "relations" }, ...rows));
  const view = { flow, layer, relations, rows, spans };
  rows.forEach((row, i) => {
    for (const event of ["pointerenter", "focus"]) row.addEventListener(event, () => light(view, i));
    for (const event of ["pointerleave", "blur"]) row.addEventListener(event, () => light(view, -1));
  });
  return { parts, view };
}

function rowOf({ item, kind }) {
  const words = ([, , , text]) => make("bdi", { class: "argument" }, text);
  const label = make("b", {}, item.label);
  return make("li", { class: kind, tabindex: "0" }, make("span", { class: "status" }, STATUS[kind]), make("span", { class: "triple" }, words(item.head), " → ", label, " → ", words(item.tail)));
}

function legendOf(items) {
  const counts = counted(items.map((one) => one.kind));
  const entries = Object.keys(STATUS).filter((kind) => counts.has(kind));
  if (!entries.length) return make("p", { class: "hint" }, "Nothing in gold, and nothing predicted.");
  return make("p", { class: "key" }, ...entries.map((kind) => make("span", { class: kind }, `${STATUS[kind]} ${counts.get(kind)}`)));
}

function nowhereOf(entities) {
  const chips = entities.map(({ item, kind }) => make("bdi", { class: `chip ${kind}` }, item[2] ? `${item[3]} [${item[2]}]` : item[3]));
  return make("p", { class: "nowhere" }, "Not in the text: ", ...chips);
}

function light(view, chosen) {
  view.layer.classList.toggle("one", chosen >= 0);
  for (const node of view.layer.children) node.classList.toggle("on", Number(node.dataset.relation) === chosen);
}

// ---- arcs

const LABELLED = 10; // with more arcs their labels would lie over each other; the list below names them
const MOST = 80; // characters of a label over an arc

function drawArcs(view) {
  const { flow, layer, relations, spans } = view;
  const base = flow.getBoundingClientRect();
  layer.replaceChildren();
  const places = new Map(spans.map((span) => [span.key, anchorAbove(span, base)]));
  const arcs = relations
    .map(({ item, kind }, i) => ({ i, kind, label: item.label, head: places.get(placeKey(item.head)), tail: places.get(placeKey(item.tail)) }))
    .filter((arc) => arc.head && arc.tail);
  spread(arcs);
  layer.classList.toggle("many", arcs.length > LABELLED);
  const room = { width: base.width, measure: widthIn(layer), taken: [] };
  // labels last, or the arcs behind theirs would be drawn over them
  layer.append(...arcs.map(arcNode), ...arcs.map((arc) => labelNode(arc, arcs.length <= LABELLED, room)));
}

function anchorAbove(span, base) {
  const rect = span.nodes[0].getClientRects()[0];
  return rect ? { left: rect.left - base.left, width: rect.width, y: rect.top - base.top, used: [] } : null;
}

// arcs that leave the same span stand side by side, in the order of where they go
function spread(arcs) {
  for (const arc of arcs) {
    arc.head.used.push({ arc, end: "from", to: arc.tail.left });
    arc.tail.used.push({ arc, end: "to", to: arc.head.left });
  }
  for (const { head, tail } of arcs) {
    for (const place of [head, tail]) {
      place.used.sort((a, b) => a.to - b.to);
      place.used.forEach(({ arc, end }, k) => (arc[end] = [place.left + (place.width * (k + 1)) / (place.used.length + 1), place.y]));
    }
  }
}

function riseOf([x1, y1], [x2, y2]) {
  return y1 === y2 ? Math.min(30, 12 + Math.abs(x2 - x1) / 10) : 26;
}

function arcNode({ i, kind, from, to }) {
  const [[x1, y1], [x2, y2]] = [from, to];
  const rise = riseOf(from, to);
  const d = `M${x1},${y1}C${x1},${y1 - rise} ${x2},${y2 - rise} ${x2},${y2}M${x2 - 3.5},${y2 - 6}L${x2},${y2}L${x2 + 3.5},${y2 - 6}`;
  const group = draw("g", { class: kind, "data-relation": i });
  group.append(draw("path", { d, class: "halo" }), draw("path", { d, class: "line" }));
  return group;
}

function labelNode({ i, kind, label, from, to }, labelled, room) {
  const rise = riseOf(from, to);
  const along = (t) => bezier([from, [from[0], from[1] - rise], [to[0], to[1] - rise], to], t);
  const words = cut(label, room);
  const [x, y] = freePlace(along, room.measure(words) / 2 + 1, from[1] === to[1] ? [0.5, 0.35, 0.65, 0.2, 0.8] : [0.88, 0.12, 0.8, 0.2, 0.5], room);
  return draw("text", { x, y: y - 3, "text-anchor": "middle", class: `${kind}${labelled ? " labelled" : ""}`, "data-relation": i }, words);
}

// how wide words are as a label, shown or not
function widthIn(layer) {
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `600 11px ${getComputedStyle(layer).fontFamily}`;
  return (words) => pen.measureText(words).width;
}

// a label as far as it has room; the list below has all of it
function cut(label, { width, measure }) {
  if (measure(label.slice(0, MOST)) <= width - 2 && label.length <= MOST) return label;
  const letters = [...label.slice(0, MOST)];
  while (letters.length && measure(`${letters.join("")}…`) > width - 2) letters.pop();
  return `${letters.join("")}…`;
}

function bezier([a, b, c, d], t) {
  const u = 1 - t;
  return [0, 1].map((k) => u ** 3 * a[k] + 3 * u * u * t * b[k] + 3 * u * t * t * c[k] + t ** 3 * d[k]);
}

// the first place along an arc where its label is within the text's sides and over no other; ends first between lines,
// for there no words stand
function freePlace(along, half, tries, { width, taken }) {
  const within = ([x, y]) => [Math.max(Math.min(x, width - half), half), y];
  const clear = ([x, y]) => taken.every((one) => Math.abs(one.x - x) > one.half + half || Math.abs(one.y - y) > 11);
  const places = tries.map(along).map(within);
  const [x, y] = places.find(clear) ?? places[0];
  taken.push({ x, y, half });
  return [x, y];
}
