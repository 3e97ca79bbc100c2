// The page: the choice of a model, and the model's card. It loads nothing from any other host.

import * as answer from './answer.js';
import './challenge.js';
import { byId, element } from './dom.js';
import './examples.js';
import { generate } from './generate.js';
import { showError } from './latest.js';
import { current, offer, select } from './models.js';
import { explain, read } from './read.js';
import './tabs.js';
import { walk } from './walk.js';

// A card's score is JSON, or words that say why there is none.
function score(text) {
  try {
    const { accuracy, mean, errors, rows } = JSON.parse(text);
    return `${(accuracy ?? mean).toFixed(5)} (${errors} errors in ${rows.toLocaleString('en')})`;
  } catch {
    return text;
  }
}

function showModel() {
  const { honest, judge, cv, source, release } = current().card;
  const footer = byId('card');
  footer.textContent = `Tenfold ${release}, trained on ${source}. Offline test score: ${score(judge)}. Cross-validation: ${score(cv)}. `;
  if (honest !== 'yes') footer.append(element('strong', { textContent: honest }));
  read();
  explain();
  generate();
  walk();
}

select.addEventListener('change', showModel);

try {
  offer(await answer.models());
  showModel();
} catch (error) {
  showError(error);
}
byId('loading').hidden = true;
