// A list of thousands: only the rows in view exist.

const ROW = 46; // pixels; two lines of the title

function rowsOf(open) {
  const sizer = make("div", { class: "sizer" });
  const list = make("div", { class: "list", role: "listbox", "aria-label": "Samples", tabindex: "-1" }, sizer);
  const state = { list, sizer, samples: [], at: 0, open };
  list.addEventListener("scroll", () => fillRows(state), { passive: true });
  new ResizeObserver(() => fillRows(state)).observe(list);
  return state;
}

function setRows(state, samples) {
  state.samples = samples;
  state.sizer.style.height = `${samples.length * ROW}px`;
}

function fillRows(state) {
  const { list, sizer, samples } = state;
  const focused = list.contains(document.activeElement) && document.activeElement !== list;
  const first = Math.max(0, Math.floor(list.scrollTop / ROW) - 3);
  const count = Math.ceil(list.clientHeight / ROW) + 6;
  const rows = samples.slice(first, first + count).map((sample, k) => entry(state, sample, first + k));
  sizer.replaceChildren(...rows);
  if (focused) (sizer.querySelector("[aria-selected=true]") ?? list).focus({ preventScroll: true });
}

function entry(state, sample, i) {
  const mark = make("span", { class: `mark ${sample.state}`, title: sample.state }, MARKS[sample.state]);
  const title = make("bdi", {}, sample.text.slice(0, 120).replace(/[\uD800-\uDBFF]$/, "") || sample.id);
  const attributes = { type: "button", role: "option", "aria-selected": String(i === state.at), "aria-posinset": i + 1, "aria-setsize": state.samples.length };
  const row = make("button", attributes, mark, title);
  row.style.top = `${i * ROW}px`;
  row.addEventListener("click", () => state.open(i));
  return row;
}

// scrolls the list only: scrollIntoView would move the page under the reader
function selectRow(state, i) {
  state.at = i;
  const { list } = state;
  const top = i * ROW;
  if (top < list.scrollTop || top + ROW > list.scrollTop + list.clientHeight) list.scrollTop = top - list.clientHeight / 3;
  fillRows(state);
}
