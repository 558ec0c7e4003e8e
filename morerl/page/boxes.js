// The picture with the boxes that a person draws: mouse, pen or finger; fractions of width and height.

const LEAST = 0.01; // of a side: less is a click
const NUMBERED = 40; // of more boxes the numbers would hide the picture
const LARGEST = 384; // pixels of a side; small pictures are drawn on larger than they are

function boxEditor(root, chips, onChange) {
  let picture = null;
  let boxes = [];
  let layer = null;

  function set(found) {
    picture = found;
    boxes = [];
    root.hidden = !picture;
    root.replaceChildren();
    if (picture) {
      layer = draw("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", "aria-hidden": "true" });
      const scale = Math.min(LARGEST / picture.width, LARGEST / picture.height);
      const size = { width: Math.round(picture.width * scale), height: Math.round(picture.height * scale) };
      root.append(make("img", { ...size, src: picture.uri, alt: "the picture to ask about", draggable: "false" }), layer);
    }
    changed();
  }

  function place(event) {
    const rect = root.getBoundingClientRect();
    const within = (value) => Math.min(Math.max(value, 0), 1);
    return [within((event.clientX - rect.left) / rect.width), within((event.clientY - rect.top) / rect.height)];
  }

  root.addEventListener("pointerdown", (down) => {
    if (!picture || down.button !== 0) return;
    down.preventDefault();
    root.setPointerCapture(down.pointerId);
    const [x, y] = place(down);
    let box = null;
    const move = (event) => {
      const [u, v] = place(event);
      box = [Math.min(x, u), Math.min(y, v), Math.max(x, u), Math.max(y, v)];
      paint([...boxes, box]);
    };
    const end = (event) => {
      for (const [name, listener] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) root.removeEventListener(name, listener);
      if (event.type === "pointerup" && box && box[2] - box[0] > LEAST && box[3] - box[1] > LEAST) boxes.push(box);
      changed();
      chips.scrollTop = chips.scrollHeight; // to the new one
    };
    for (const [name, listener] of [["pointermove", move], ["pointerup", end], ["pointercancel", end]]) root.addEventListener(name, listener);
  });

  function paint(all, lit = -1) {
    if (!layer) return;
    layer.replaceChildren();
    for (const tag of root.querySelectorAll(".tag")) tag.remove();
    all.forEach(([x1, y1, x2, y2], i) => {
      for (const kind of ["halo", "box"]) layer.append(draw("rect", { x: x1, y: y1, width: x2 - x1, height: y2 - y1, class: `${kind}${i === lit ? " on" : ""}` }));
      if (all.length <= NUMBERED || i === lit) root.append(tagAt([x1, y1, x2], "", String(i + 1)));
    });
  }

  function changed() {
    paint(boxes);
    const all = boxes.map((_, i) => chipOf(`box ${i + 1}`, () => { boxes.splice(i, 1); changed(); }, (on) => paint(boxes, on ? i : -1)));
    chips.replaceChildren(...(picture ? [chipOf("picture", () => set(null))] : []), ...all);
    onChange(picture);
  }

  return { set, boxes: () => boxes, picture: () => picture };
}

function chipOf(words, remove, light = () => {}) {
  const cross = make("button", { type: "button", "aria-label": `Remove ${words}` }, "×");
  cross.addEventListener("click", remove);
  const chip = make("span", { class: "chip" }, make("bdi", {}, words), cross);
  chip.addEventListener("pointerenter", () => light(true));
  chip.addEventListener("pointerleave", () => light(false));
  return chip;
}
