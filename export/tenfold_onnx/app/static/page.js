// The page: its tabs, the choice of a model, and the model's card. It calls its own server and no other host.

import { byId, model, request, showError } from './api.js';
import { redraw } from './board.js';
import { generate, walk } from './generate.js';
import { explain, read } from './read.js';

const tabs = [byId('tab-read'), byId('tab-draw')];

function open(tab) {
  for (const other of tabs) {
    other.setAttribute('aria-selected', other === tab);
    other.tabIndex = other === tab ? 0 : -1;
    byId(other.getAttribute('aria-controls')).hidden = other !== tab;
  }
}

for (const tab of tabs) {
  tab.addEventListener('click', () => open(tab));
  tab.addEventListener('keydown', (event) => {
    if (event.key !== 'ArrowLeft' && event.key !== 'ArrowRight') return;
    const other = tabs.find((candidate) => candidate !== tab);
    open(other);
    other.focus();
  });
}

// A card's score is JSON, or words that say why there is none.
function score(text) {
  try {
    const { accuracy, mean, errors, rows } = JSON.parse(text);
    return `${(accuracy ?? mean).toFixed(5)} (${errors} errors in ${rows.toLocaleString('en')})`;
  } catch {
    return text;
  }
}

const cards = {};

function showModel() {
  const { honest, judge, cv, source, release } = cards[model.value];
  const footer = byId('card');
  footer.textContent = `Tenfold ${release}, trained on ${source}. Offline test score: ${score(judge)}. Cross-validation: ${score(cv)}. `;
  if (honest !== 'yes') {
    const leaked = document.createElement('strong');
    leaked.textContent = honest;
    footer.append(leaked);
  }
  redraw();
  read();
  explain();
  generate();
  walk();
}

model.addEventListener('change', showModel);

try {
  for (const { name, card } of await request('models')) {
    cards[name] = card;
    model.add(new Option(name));
  }
  showModel();
} catch (error) {
  showError(error);
}
