// The Generate tab: a walk from one digit to another, by mixing their classes and latent vectors in the generator.

import * as answer from './answer.js';
import { byId } from './dom.js';
import { digitButton, number, send } from './generate.js';
import { latest } from './latest.js';
import { greatCircle, labelsBetween, normal } from './latent.js';
import { paint } from './pixels.js';

const STEPS = 25;
const PAUSE_MS = 80; // between two steps while the walk plays
const slider = byId('step');
let images = [];
let playing = 0; // the timer's number, 0 for none

export const walk = latest(async (model) => {
  byId('walk-end').disabled = !model.mixes;
  byId('no-mixing').hidden = model.mixes;
  if (!model.mixes) byId('walk-end').value = byId('walk-start').value;
  if (!byId('walk').reportValidity()) return;
  const [start, end] = ['walk-start', 'walk-end'].map((id) => Number(byId(id).value));
  const [from, to] = ['walk-from', 'walk-to'].map((id) => normal(model.z_dim, number(id)));
  images = await answer.generate(model, labelsBetween(start, end, STEPS), greatCircle(from, to, STEPS));
  byId('steps').replaceChildren(...images.map((image, step) => digitButton(image, `Read step ${step + 1} of ${STEPS}`)));
  showStep();
});

function showStep() {
  if (!images.length) return;
  paint(byId('walked'), images[slider.value], 28);
  [...byId('steps').children].forEach((tile, step) => tile.classList.toggle('current', step === Number(slider.value)));
}

function stop() {
  clearInterval(playing);
  playing = 0;
  byId('play').textContent = 'Play';
}

byId('play').addEventListener('click', () => {
  if (playing) return stop();
  let direction = slider.valueAsNumber === STEPS - 1 ? -1 : 1; // back from the end
  byId('play').textContent = 'Pause';
  playing = setInterval(() => {
    slider.valueAsNumber += direction;
    showStep();
    if (slider.valueAsNumber === (direction > 0 ? STEPS - 1 : 0)) stop();
  }, PAUSE_MS);
});
byId('walk').addEventListener('submit', (event) => event.preventDefault());
byId('walk').addEventListener('input', walk);
byId('read-step').addEventListener('click', () => images.length && send(images[slider.value]));
slider.addEventListener('input', () => {
  stop();
  showStep();
});
