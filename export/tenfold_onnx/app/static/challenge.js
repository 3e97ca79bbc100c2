// Challenge mode: the page asks for digits and collects those that the model reads wrong.

import * as answer from './answer.js';
import { canvas, clear, drawing, isEmpty } from './board.js';
import { byId, element, save } from './dom.js';
import { latest } from './latest.js';
import { picture } from './pixels.js';

const TILE = 112; // pixels of a digit on the downloaded sheet
const LINE = 28; // pixels of the text below it
const COLUMNS = 6;
let bag = []; // digits still to ask for; every round has each once
let asked = null; // the digit that is asked for, or null outside the challenge
let right = 0;
const wrong = []; // { digit, label, seen }

function shuffled() {
  const digits = Array.from({ length: 10 }, (_, digit) => [Math.random(), digit]);
  return digits.sort(([a], [b]) => a - b).map(([, digit]) => digit);
}

function ask() {
  if (!bag.length) bag = shuffled();
  asked = bag.pop();
  byId('prompt').textContent = `Draw a ${asked}`;
  clear();
}

const misreading = ({ digit, label }) => (label < 0 ? `${digit}: no digit seen` : `${digit} read as ${label}`);

function showScore(verdict) {
  const total = right + wrong.length;
  byId('verdict').textContent = verdict + (total ? ` ${right} of ${total} read right.` : '');
  byId('collection').hidden = !wrong.length;
}

function collect(misread) {
  wrong.push(misread);
  const name = misreading(misread);
  const image = Object.assign(picture(misread.seen), { role: 'img', ariaLabel: name });
  byId('wrong').append(element('li', {}, image, element('span', { textContent: name })));
}

const done = latest(async (model) => {
  if (asked === null || isEmpty()) return;
  const { label, seen } = await answer.read(model, drawing());
  if (label === asked) right += 1;
  else collect({ digit: asked, label, seen });
  showScore(label === asked ? `Yes, a ${label}.` : `${misreading(wrong.at(-1))}: collected below.`);
  ask();
});

byId('challenge').addEventListener('click', () => {
  const starts = asked === null;
  byId('challenge').textContent = starts ? 'End challenge' : 'Challenge it';
  byId('read').classList.toggle('challenged', starts);
  if (starts) {
    showScore('Draw what it asks for, as you would write it, and press Enter or Done.');
    ask();
  } else {
    asked = null;
    byId('prompt').textContent = 'Draw a digit, or several';
    clear();
  }
});
byId('done').addEventListener('click', done);
byId('skip').addEventListener('click', ask);
canvas.addEventListener('keydown', (event) => event.key === 'Enter' && done());
canvas.addEventListener('change', () => (byId('done').disabled = isEmpty()));

// In the format of Kaggle's train.csv: the digit that was asked for, and the 28×28 pixels that the net saw.
byId('save-csv').addEventListener('click', () => {
  const header = ['label', ...Array.from({ length: 784 }, (_, index) => `pixel${index}`)];
  const lines = [header, ...wrong.map(({ digit, seen }) => [digit, ...seen])].map((line) => `${line.join(',')}\n`);
  const address = URL.createObjectURL(new Blob(lines, { type: 'text/csv' }));
  save('misread-digits.csv', address);
  setTimeout(() => URL.revokeObjectURL(address), 1000);
});

byId('save-sheet').addEventListener('click', () => {
  const columns = Math.min(COLUMNS, wrong.length);
  const rows = Math.ceil(wrong.length / columns);
  const sheet = element('canvas', { width: columns * (TILE + 8) + 8, height: rows * (TILE + LINE) + 8 });
  const context = sheet.getContext('2d');
  context.fillStyle = 'white';
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.fillStyle = 'black';
  context.font = '14px sans-serif';
  context.textAlign = 'center';
  context.imageSmoothingEnabled = false;
  wrong.forEach((misread, index) => {
    const [x, y] = [8 + (index % columns) * (TILE + 8), 8 + Math.floor(index / columns) * (TILE + LINE)];
    context.drawImage(picture(misread.seen), x, y, TILE, TILE);
    context.fillText(misreading(misread), x + TILE / 2, y + TILE + 18, TILE);
  });
  save('misread-digits.png', sheet.toDataURL());
});
