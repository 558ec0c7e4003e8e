// What the sample browser can be narrowed down to: outcome, kind of error, labels, difficulty, words.

function lastAnswer(sample) {
  return sample.answers.at(-1);
}

function haystack(sample) {
  const answers = told?.[sample.number] ?? sample.answers.map((answer) => answer && [[], answer.answer ?? ""]);
  const words = () => answers.filter(Boolean).map(([steps, rest]) => [...steps.flat(), rest].join(" "));
  return (sample.haystack ??= [sample.id, ...sample.labels, sample.text, ...words()].join(" ").toLowerCase());
}

function difficulty({ rate }) {
  return rate === null ? "" : rate === 0 ? "never" : rate === 1 ? "always" : "sometimes";
}

function fits(sample) {
  const { outcome, error, gold, predicted, hard, search } = state.parts;
  const answer = lastAnswer(sample);
  const kinds = { right: ["right", "fixed"], wrong: ["wrong", "broken"], flipped: ["fixed", "broken"] }[outcome.value] ?? [outcome.value];
  if (sample.set !== state.set) return false;
  if (outcome.value && !kinds.includes(sample.state)) return false;
  if (error.value && !answer?.errors.includes(error.value.slice(1))) return false;
  if (gold.value && !sample.labels.includes(gold.value.slice(1))) return false;
  if (predicted.value && !predictedOf(sample).includes(predicted.value.slice(1))) return false;
  if (hard.value && difficulty(sample) !== hard.value) return false;
  return !search.value || haystack(sample).includes(search.value.toLowerCase());
}

// an empty name stands for an answer that names nothing or cannot be read
function predictedOf(sample) {
  const answer = lastAnswer(sample);
  return !answer ? [] : answer.labels.length ? answer.labels : [""];
}

function choice(label, any, options) {
  // a value is prefixed, so that an empty name is not taken for "any"
  const select = make("select", { "aria-label": label }, make("option", { value: "" }, any));
  for (const [value, text] of options) select.append(make("option", { value }, text));
  select.addEventListener("change", filter);
  return select;
}

function labelChoice(label, any, values) {
  const sorted = [...counted(values)].sort((a, b) => b[1] - a[1]);
  return choice(label, any, sorted.map(([value, n]) => [`=${value}`, `${value || "no label"} (${n})`]));
}

function outcomeChoice(samples) {
  const states = counted(samples.map((sample) => sample.state));
  const last = data.stages.at(-1);
  const sum = (...kinds) => kinds.reduce((total, kind) => total + (states.get(kind) ?? 0), 0);
  const options = [
    ["right", "Right", sum("right", "fixed")],
    ["wrong", "Wrong", sum("wrong", "broken")],
    ["flipped", "Flipped", sum("fixed", "broken")],
    ["fixed", `Fixed by ${last}`, sum("fixed")],
    ["broken", `Broken by ${last}`, sum("broken")],
    ["unknown", "Not known", sum("unknown")],
  ].filter(([, , n]) => n);
  return choice("Outcome", `All outcomes (${samples.length})`, options.map(([value, text, n]) => [value, `${text} (${n})`]));
}

function choices() {
  const samples = data.samples.filter((sample) => sample.set === state.set);
  const rates = counted(samples.map(difficulty));
  return {
    outcome: outcomeChoice(samples),
    error: labelChoice("Kind of error", "Any kind of error", samples.flatMap((sample) => lastAnswer(sample)?.errors ?? [])),
    gold: labelChoice("Gold label", "Any gold label", samples.flatMap((sample) => sample.labels)),
    predicted: labelChoice("Predicted label", "Any predicted label", samples.flatMap(predictedOf)),
    hard: choice("Difficulty", "Any difficulty", ["never", "sometimes", "always"].filter((kind) => rates.get(kind)).map((kind) => [kind, `${kind[0].toUpperCase()}${kind.slice(1)} right (${rates.get(kind)})`])),
  };
}
