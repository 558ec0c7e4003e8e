// The audit's choices: hides the chains that do not fit. Follows theme.js in one script.

const chains = [...document.querySelectorAll(".chain")];
const choices = [...document.querySelectorAll(".filters select")];

function fits(chain) {
  const groups = chain.dataset.groups.split(" ");
  return choices.every((choice) => !choice.value || groups.includes(choice.value));
}

function filter() {
  let shown = 0;
  for (const chain of chains) {
    chain.hidden = !fits(chain);
    shown += chain.hidden ? 0 : 1;
  }
  document.getElementById("shown").textContent = `${shown} of ${chains.length} chains`;
}

function startChoices() {
  const bar = document.querySelector(".filters");
  if (!bar) return;
  bar.hidden = false;
  for (const choice of choices) choice.addEventListener("change", filter);
  // a reloaded page may come with the reader's last choice
  filter();
}

startChoices();
