// Words of the text that a person marks. Places count as JavaScript does until they are sent.

function wordMarker(field, button, chips) {
  let text = field.value;
  let marks = []; // [start, end]

  function selected() {
    const whole = field.value.slice(field.selectionStart, field.selectionEnd);
    const start = field.selectionStart + whole.length - whole.trimStart().length;
    return [start, start + whole.trim().length];
  }

  function offer() {
    const [start, end] = selected();
    button.disabled = start >= end || marks.some((mark) => mark[0] === start && mark[1] === end);
  }

  button.addEventListener("click", () => {
    marks = [...marks, selected()].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    show();
    field.focus();
  });
  for (const event of ["select", "keyup", "pointerup", "focus", "blur"]) field.addEventListener(event, offer);
  document.addEventListener("selectionchange", offer);
  field.addEventListener("input", () => {
    marks = moved(marks, text, field.value);
    text = field.value;
    show();
  });

  function show() {
    chips.replaceChildren(...marks.map((mark) => chipOf(text.slice(...mark), () => { marks = marks.filter((one) => one !== mark); show(); })));
    offer();
  }

  return { marks: () => marks.map((mark) => mark.map((place) => [...text.slice(0, place)].length)) };
}

// Marks behind a change move with their words; those that it touches are gone.
function moved(marks, before, after) {
  const most = Math.min(before.length, after.length);
  let head = 0;
  while (head < most && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < most - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  const by = after.length - before.length;
  return marks
    .filter(([start, end]) => end <= head || start >= before.length - tail)
    .map(([start, end]) => (end <= head ? [start, end] : [start + by, end + by]));
}
