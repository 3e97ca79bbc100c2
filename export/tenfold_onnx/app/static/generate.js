// The Generate tab: new digits, and a walk between two of them.

import { byId, fromBase64, latest, paint, request, tile } from './api.js';

const number = (id) => byId(id).valueAsNumber;

export const generate = latest(async () => {
  if (!byId('generate').reportValidity()) return;
  const { images } = await request('generate', { labels: byId('labels').value, seed: number('seed') });
  byId('generated').replaceChildren(...images.map((image) => tile(image, 28)));
});

let steps = [];
export const walk = latest(async () => {
  if (!byId('walk').reportValidity()) return;
  const query = { label: number('walk-label'), from: number('walk-from'), to: number('walk-to'), steps: 25 };
  steps = (await request('walk', query)).images;
  byId('steps').replaceChildren(...steps.map((image) => tile(image, 28)));
  showStep();
});

function showStep() {
  if (steps.length) paint(byId('walked'), fromBase64(steps[byId('step').value]), 28);
}

byId('generate').addEventListener('submit', (event) => {
  event.preventDefault();
  generate();
});
byId('another').addEventListener('click', () => {
  byId('seed').value = number('seed') + 1;
  generate();
});
byId('walk').addEventListener('submit', (event) => event.preventDefault());
byId('walk').addEventListener('input', walk);
byId('step').addEventListener('input', showStep);
