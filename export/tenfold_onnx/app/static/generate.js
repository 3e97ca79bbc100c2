// The Generate tab: new digits. A click on one has it read.

import * as answer from './answer.js';
import { canvas, show } from './board.js';
import { byId, element } from './dom.js';
import { latest } from './latest.js';
import { normal } from './latent.js';
import { inverted, picture } from './pixels.js';
import { open } from './tabs.js';

export const number = (id) => byId(id).valueAsNumber;

// Shows an image, light on dark, on the drawing board.
export function send(image) {
  open(byId('tab-read'));
  show(inverted(image));
  canvas.focus();
}

// A generated image as a button.
export function digitButton(image, name) {
  const button = element('button', { className: 'tile', type: 'button', title: name, ariaLabel: name }, picture(image));
  button.addEventListener('click', () => send(image));
  return button;
}

export const generate = latest(async (model) => {
  if (!byId('generate').reportValidity()) return;
  const labels = Array.from(byId('labels').value, Number);
  const images = await answer.generate(model, labels, normal(labels.length * model.z_dim, number('seed')));
  byId('generated').replaceChildren(...images.map((image, index) => digitButton(image, `Read this ${labels[index]}`)));
});

byId('generate').addEventListener('submit', (event) => {
  event.preventDefault();
  generate();
});
byId('another').addEventListener('click', () => {
  byId('seed').value = number('seed') + 1;
  generate();
});
