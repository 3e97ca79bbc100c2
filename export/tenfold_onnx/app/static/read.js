// The Read tab: label, probabilities and explanations of the drawing.

import * as answer from './answer.js';
import { canvas, drawing, isEmpty } from './board.js';
import { byId, element, save } from './dom.js';
import { latest } from './latest.js';
import { showLayers } from './layers.js';
import { digitsOf } from './number.js';
import { paint } from './pixels.js';
import { SIDE } from './strokes.js';

const bars = Array.from({ length: 10 }, (_, digit) => {
  const fill = element('span', { className: 'fill' });
  const percent = element('span', { className: 'percent' });
  const name = element('span', { className: 'digit', textContent: digit });
  const bar = element('li', {}, percent, element('span', { className: 'track' }, fill), name);
  byId('bars').append(bar);
  return { bar, fill, percent };
});
let shown = { label: -1, probabilities: [] };
// Why there is no digit, by the number of the model's verdict.
const REASONS = ['', 'no digit yet', 'too much ink', 'no single digit', 'like no digit'];

const percentage = (probability, decimals) => `${(100 * probability).toFixed(decimals)} %`;
const certainty = (probability) => (probability > 0.999 ? 'over 99.9 % sure' : `${percentage(probability, 1)} sure`);

function show({ label, probabilities, verdict }, digits) {
  shown = { label, probabilities: label < 0 ? bars.map(() => 0) : probabilities };
  const isRead = digits.filter((digit) => digit.label >= 0).length;
  const number = isRead ? digits.map((digit) => (digit.label < 0 ? '?' : digit.label)).join('') : '–';
  byId('label').value = number;
  byId('label').classList.toggle('none', !isRead);
  byId('label').style.setProperty('--digits', number.length);
  const together = digits.reduce((product, { probability }) => product * probability, 1);
  const whyNone = isEmpty() ? 'waiting for a digit' : REASONS[verdict];
  const all = isRead === digits.length ? certainty(together) : `${isRead} of ${digits.length} read`;
  byId('sure').textContent = isRead ? all : whyNone;
  bars.forEach(({ bar, fill, percent }, digit) => {
    const probability = shown.probabilities[digit];
    bar.classList.toggle('best', digit === label);
    fill.style.transform = `scaleY(${probability})`;
    percent.textContent = probability >= 0.005 ? (100 * probability).toFixed(0) : '';
  });
}

export const read = latest(async (model) => {
  const drawn = drawing();
  const reading = await answer.read(model, drawn);
  const one = [{ label: reading.label, probability: Math.max(...reading.probabilities) }];
  show(reading, reading.label >= 0 && reading.parts < 2 ? one : await digitsOf(model, drawn, reading));
  paint(byId('seen'), reading.seen, 28);
  byId('seen').dataset.label = reading.label;
});

// The image that the net sees, warm where its occlusion lowers the label's probability, cool where it raises it.
function paintOcclusion(grey, occlusion) {
  const strongest = Math.max(0.005, ...occlusion.flat().map(Math.abs));
  paint(byId('occlusion'), grey, 28, (index) => {
    const fall = occlusion[Math.floor(index / 112)][Math.floor((index % 28) / 4)] / strongest;
    const background = 0.4 * grey[index];
    const colour = fall > 0 ? [255, 130, 0] : [0, 110, 255];
    return colour.map((level) => background + (level - background) * Math.min(1, Math.abs(fall)));
  });
}

export const explain = latest(async (model) => {
  const { label, seen, occlusion, layers } = await answer.explain(model, drawing());
  byId('insight').classList.toggle('empty', label < 0);
  if (label < 0) {
    paint(byId('occlusion'), new Uint8Array(784), 28);
    showLayers([]);
    return;
  }
  paintOcclusion(seen, occlusion);
  showLayers(layers);
});

canvas.addEventListener('change', () => {
  read();
  explain();
});

byId('save').addEventListener('click', () => {
  const sheet = element('canvas', { width: 2 * SIDE + 20, height: SIDE });
  const context = sheet.getContext('2d');
  context.fillStyle = 'white';
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.drawImage(canvas, 0, 0, SIDE, SIDE);
  context.font = '18px sans-serif';
  shown.probabilities.forEach((probability, digit) => {
    context.fillStyle = digit === shown.label ? '#b45309' : '#777';
    context.fillText(`${digit}`, 300, 24 + 27 * digit);
    context.fillRect(325, 11 + 27 * digit, 160 * probability, 15);
    if (shown.label >= 0) context.fillText(percentage(probability, 1), 495, 24 + 27 * digit);
  });
  save(`digit-${byId('label').value}.png`, sheet.toDataURL());
});
