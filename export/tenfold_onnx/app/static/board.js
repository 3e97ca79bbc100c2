// The drawing board: strokes by mouse, pen, finger or keyboard. A "change" event on the canvas tells of a new drawing.

import { byId, element, stillness } from './dom.js';
import { SIDE, paintMarks } from './strokes.js';

export const canvas = byId('canvas');
const sheet = element('canvas', { width: SIDE, height: SIDE }); // what is read, however large the screen
sheet.getContext('2d', { willReadFrequently: true });
const keyboard = { x: SIDE / 2, y: SIDE / 2, down: false, used: false };
let marks = []; // strokes, and pictures of digits
let replaying = 0; // of an example: the animation's number, 0 for none

export const isEmpty = () => marks.length === 0;

// The drawing as the models take it.
export function drawing() {
  const { data, width, height } = sheet.getContext('2d').getImageData(0, 0, SIDE, SIDE);
  return { width, height, grey: Uint8Array.from({ length: width * height }, (_, index) => data[4 * index]) };
}

// The keyboard's pen is a ring over the canvas, so that it is not part of the drawing.
function showPen() {
  byId('pen').hidden = !(document.activeElement === canvas && keyboard.used);
  byId('pen').classList.toggle('down', keyboard.down);
  byId('pen').style.left = `${(100 * keyboard.x) / SIDE}%`;
  byId('pen').style.top = `${(100 * keyboard.y) / SIDE}%`;
}

function changed() {
  paintMarks(canvas, marks);
  paintMarks(sheet, marks);
  showPen();
  byId('ghost').hidden = !isEmpty();
  for (const id of ['undo', 'clear', 'save']) byId(id).disabled = isEmpty();
  canvas.dispatchEvent(new Event('change'));
}

function stopReplay() {
  cancelAnimationFrame(replaying);
  replaying = 0;
}

// Puts marks in place of the drawing.
export function show(...newMarks) {
  stopReplay();
  marks = newMarks;
  keyboard.down = false;
  changed();
}

export const clear = () => show();

// Draws strokes as a hand would, or at once for those who want no motion.
export function replay(strokes) {
  if (stillness.matches) {
    show(...strokes);
    return;
  }
  show();
  const points = strokes.flatMap((stroke, number) => stroke.map((point) => [number, point]));
  function step() {
    for (const [number, point] of points.splice(0, 2)) (marks[number] ??= []).push(point);
    changed();
    replaying = points.length ? requestAnimationFrame(step) : 0;
  }
  replaying = requestAnimationFrame(step);
}

function pointOf(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) * SIDE) / box.width, ((event.clientY - box.top) * SIDE) / box.height];
}

canvas.addEventListener('pointerdown', (event) => {
  if (!event.isPrimary || event.button !== 0) return;
  stopReplay();
  keyboard.used = keyboard.down = false;
  canvas.setPointerCapture(event.pointerId);
  marks.push([pointOf(event)]);
  changed();
});
canvas.addEventListener('pointermove', (event) => {
  if (!canvas.hasPointerCapture(event.pointerId)) return;
  const between = event.getCoalescedEvents?.() ?? []; // where the pointer was since the last event
  marks.at(-1).push(...(between.length ? between : [event]).map(pointOf));
  changed();
});

function undo() {
  show(...marks.slice(0, -1));
}

function move(x, y) {
  keyboard.x = Math.min(SIDE, Math.max(0, keyboard.x + x));
  keyboard.y = Math.min(SIDE, Math.max(0, keyboard.y + y));
  if (!keyboard.down) return showPen();
  marks.at(-1).push([keyboard.x, keyboard.y]);
  changed();
}

function togglePen() {
  stopReplay();
  keyboard.down = !keyboard.down;
  if (keyboard.down) marks.push([[keyboard.x, keyboard.y]]);
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

// As many pixels as the screen shows, so that strokes are sharp.
new ResizeObserver(() => {
  if (!canvas.clientWidth) return; // its tab is hidden
  canvas.width = canvas.height = Math.round(canvas.clientWidth * devicePixelRatio);
  paintMarks(canvas, marks);
}).observe(canvas);
