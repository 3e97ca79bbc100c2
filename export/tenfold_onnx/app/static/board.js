// The drawing board: strokes by mouse, pen, finger or keyboard. A "change" event on the canvas tells of a new drawing.

import { byId, toBase64 } from './api.js';

export const canvas = byId('canvas');
const context = canvas.getContext('2d', { willReadFrequently: true });
const keyboard = { x: 140, y: 140, down: false, used: false };
let strokes = [];

export function redraw() {
  context.fillStyle = 'white';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.strokeStyle = 'black';
  context.lineWidth = 20;
  context.lineCap = context.lineJoin = 'round';
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(...stroke[0]);
    for (const point of stroke) context.lineTo(...point);
    context.stroke();
  }
}

// The drawing as the server takes it.
export function drawing() {
  const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { width, height, grey: toBase64(Uint8Array.from({ length: width * height }, (_, index) => data[4 * index])) };
}

function pointOf(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
}

// The keyboard's pen is a ring over the canvas, so that it is not part of the drawing.
function showPen() {
  byId('pen').hidden = !(document.activeElement === canvas && keyboard.used);
  byId('pen').classList.toggle('down', keyboard.down);
  byId('pen').style.left = `${(100 * keyboard.x) / canvas.width}%`;
  byId('pen').style.top = `${(100 * keyboard.y) / canvas.height}%`;
}

function changed() {
  redraw();
  showPen();
  canvas.dispatchEvent(new Event('change'));
}

canvas.addEventListener('pointerdown', (event) => {
  event.preventDefault();
  keyboard.used = false;
  canvas.focus();
  canvas.setPointerCapture(event.pointerId);
  strokes.push([pointOf(event)]);
  changed();
});
canvas.addEventListener('pointermove', (event) => {
  if (!canvas.hasPointerCapture(event.pointerId)) return;
  strokes.at(-1).push(pointOf(event));
  changed();
});

function undo() {
  strokes.pop();
  keyboard.down = false;
  changed();
}

function clear() {
  strokes = [];
  keyboard.down = false;
  changed();
}

function move(x, y) {
  keyboard.x = Math.min(280, Math.max(0, keyboard.x + x));
  keyboard.y = Math.min(280, Math.max(0, keyboard.y + y));
  if (keyboard.down) strokes.at(-1).push([keyboard.x, keyboard.y]);
  changed();
}

function togglePen() {
  keyboard.down = !keyboard.down;
  if (keyboard.down) strokes.push([[keyboard.x, keyboard.y]]);
  changed();
}

const keys = {
  ArrowLeft: () => move(-10, 0),
  ArrowRight: () => move(10, 0),
  ArrowUp: () => move(0, -10),
  ArrowDown: () => move(0, 10),
  ' ': togglePen,
  Delete: clear,
  Backspace: clear,
};

canvas.addEventListener('keydown', (event) => {
  const action = event.key === 'z' && (event.ctrlKey || event.metaKey) ? undo : keys[event.key];
  if (!action) return;
  event.preventDefault();
  keyboard.used = true;
  action();
});
canvas.addEventListener('blur', showPen);
byId('undo').addEventListener('click', undo);
byId('clear').addEventListener('click', clear);
