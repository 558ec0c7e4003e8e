// The run's data, packed in the page, and the two ways anything of it reaches the page.
// Text from the run becomes text content or attributes alone: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function draw(tag, attributes = {}, text = "") {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.textContent = text;
  return node;
}

async function unpack(id) {
  const packed = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
  const unzip = new DecompressionStream("gzip");
  const writer = unzip.writable.getWriter();
  // a failure shows where the stream is read
  writer.write(bytes).catch(() => {});
  writer.close().catch(() => {});
  return JSON.parse(await new Response(unzip.readable).text());
}

// Pictures stay one long text of lines; only the line of a picture that is looked at is read.
let pictureLines = null;

function pictureAt(number) {
  pictureLines ??= document.getElementById("pictures").textContent.split("\n");
  const found = JSON.parse(pictureLines[number]);
  return typeof found === "string" ? { reason: found } : { width: found[0], height: found[1], uri: found[2] };
}

function counted(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}
