// The page: draw and watch what is read, generate, walk. It asks its own server and no other host.

const byId = (id) => document.getElementById(id);
const model = byId('model');

async function ask(call, question) {
  const options = question && { method: 'POST', body: JSON.stringify({ model: model.value, ...question }) };
  const reply = await fetch(`api/${call}`, options);
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error);
  return answer;
}

function tell(trouble) {
  byId('trouble').hidden = !trouble;
  byId('trouble').textContent = trouble ? `${trouble.message ?? trouble}` : '';
}

// One question at a time, and after it only the newest of those that came meanwhile.
function newest(work) {
  let running = false;
  let waiting = false;
  return async function again() {
    if (running) {
      waiting = true;
      return;
    }
    running = true;
    try {
      await work();
      tell(null);
    } catch (trouble) {
      tell(trouble);
    }
    running = false;
    if (waiting) {
      waiting = false;
      again();
    }
  };
}

const unpacked = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

function packed(bytes) {
  let text = '';
  for (let start = 0; start < bytes.length; start += 8192) {
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(text);
}

function paint(target, grey, side, tint = () => null) {
  target.width = target.height = side;
  const picture = new ImageData(side, side);
  for (let place = 0; place < side * side; place += 1) {
    const [red, green, blue] = tint(place) ?? [grey[place], grey[place], grey[place]];
    picture.data.set([red, green, blue, 255], 4 * place);
  }
  target.getContext('2d').putImageData(picture, 0, 0);
  return target;
}

const tile = (text, side) => paint(document.createElement('canvas'), unpacked(text), side);

// ---- drawing

const canvas = byId('canvas');
const pen = canvas.getContext('2d', { willReadFrequently: true });
const keyboard = { x: 140, y: 140, down: false, used: false };
let strokes = [];

function redraw() {
  pen.fillStyle = 'white';
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.strokeStyle = 'black';
  pen.lineWidth = 20;
  pen.lineCap = pen.lineJoin = 'round';
  for (const stroke of strokes) {
    pen.beginPath();
    pen.moveTo(...stroke[0]);
    for (const point of stroke) pen.lineTo(...point);
    pen.stroke();
  }
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) * canvas.width) / box.width, ((event.clientY - box.top) * canvas.height) / box.height];
}

function drawing() {
  const { data, width, height } = pen.getImageData(0, 0, canvas.width, canvas.height);
  return { width, height, grey: packed(Uint8Array.from({ length: width * height }, (_, at) => data[4 * at])) };
}

// The keyboard's pen is a ring on the board, which is no part of the drawing.
function showPen() {
  const shown = document.activeElement === canvas && keyboard.used;
  byId('pen').hidden = !shown;
  byId('pen').classList.toggle('down', keyboard.down);
  byId('pen').style.left = `${(100 * keyboard.x) / canvas.width}%`;
  byId('pen').style.top = `${(100 * keyboard.y) / canvas.height}%`;
}

function changed() {
  redraw();
  showPen();
  read();
  explain();
}

canvas.addEventListener('pointerdown', (event) => {
  event.preventDefault();
  keyboard.used = false;
  canvas.focus();
  canvas.setPointerCapture(event.pointerId);
  strokes.push([place(event)]);
  changed();
});
canvas.addEventListener('pointermove', (event) => {
  if (!canvas.hasPointerCapture(event.pointerId)) return;
  strokes.at(-1).push(place(event));
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

canvas.addEventListener('keydown', (event) => {
  const step = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
  if (step) {
    keyboard.x = Math.min(280, Math.max(0, keyboard.x + step[0]));
    keyboard.y = Math.min(280, Math.max(0, keyboard.y + step[1]));
    if (keyboard.down) strokes.at(-1).push([keyboard.x, keyboard.y]);
  } else if (event.key === ' ') {
    keyboard.down = !keyboard.down;
    if (keyboard.down) strokes.push([[keyboard.x, keyboard.y]]);
  } else if (event.key === 'Delete' || event.key === 'Backspace') {
    strokes = [];
    keyboard.down = false;
  } else if (event.key === 'z' && (event.ctrlKey || event.metaKey)) {
    strokes.pop();
    keyboard.down = false;
  } else {
    return;
  }
  event.preventDefault();
  keyboard.used = true;
  changed();
});
canvas.addEventListener('blur', showPen);
byId('undo').addEventListener('click', undo);
byId('clear').addEventListener('click', clear);

// ---- reading

const bars = Array.from({ length: 10 }, (_, digit) => {
  const bar = document.createElement('li');
  bar.innerHTML = `<span>${digit}</span><span class="track"><span class="fill"></span></span><span></span>`;
  byId('bars').append(bar);
  return bar;
});

function show({ label, probabilities }) {
  byId('label').value = label < 0 ? '–' : label;
  bars.forEach((bar, digit) => {
    const share = label < 0 ? 0 : probabilities[digit];
    bar.classList.toggle('best', digit === label);
    bar.querySelector('.fill').style.width = `${100 * share}%`;
    bar.lastChild.textContent = label < 0 ? '' : `${(100 * share).toFixed(1)} %`;
  });
}

const read = newest(async () => {
  const answer = await ask('read', drawing());
  show(answer);
  paint(byId('seen'), unpacked(answer.seen), 28);
  byId('seen').dataset.label = answer.label;
});

const explain = newest(async () => {
  const { label, seen, occlusion, layers } = await ask('explain', drawing());
  const grey = unpacked(seen);
  if (label < 0) {
    paint(byId('mattered'), new Uint8Array(784), 28);
    byId('layers').replaceChildren();
    return;
  }
  const most = Math.max(0.005, ...occlusion.flat().map(Math.abs));
  paint(byId('mattered'), grey, 28, (at) => {
    const fall = occlusion[Math.floor(at / 112)][Math.floor((at % 28) / 4)] / most;
    const ground = 0.4 * grey[at];
    const heat = fall > 0 ? [255, 130, 0] : [0, 110, 255];
    return heat.map((strength) => ground + (strength - ground) * Math.min(1, Math.abs(fall)));
  });
  byId('layers').replaceChildren(
    ...layers.map(({ side, pictures }) => {
      const layer = document.createElement('div');
      layer.className = 'layer';
      layer.append(...pictures.map((picture) => tile(picture, side)));
      return layer;
    }),
  );
});

byId('save').addEventListener('click', () => {
  const sheet = document.createElement('canvas');
  sheet.width = 580;
  sheet.height = 280;
  const ink = sheet.getContext('2d');
  ink.fillStyle = 'white';
  ink.fillRect(0, 0, 580, 280);
  ink.drawImage(canvas, 0, 0);
  ink.fillStyle = 'black';
  ink.font = '18px sans-serif';
  bars.forEach((bar, digit) => {
    const best = bar.classList.contains('best');
    ink.fillStyle = best ? '#b85c00' : '#777';
    ink.fillText(`${digit}`, 300, 24 + 27 * digit);
    ink.fillRect(325, 11 + 27 * digit, 1.6 * parseFloat(bar.querySelector('.fill').style.width || 0), 15);
    ink.fillText(bar.lastChild.textContent, 495, 24 + 27 * digit);
  });
  const link = document.createElement('a');
  link.download = `digit-${byId('label').value}.png`;
  link.href = sheet.toDataURL();
  link.click();
});

// ---- generating

const whole = (id) => byId(id).valueAsNumber;

const generate = newest(async () => {
  if (!byId('generate').reportValidity()) return;
  const { images } = await ask('generate', { labels: byId('labels').value, seed: whole('seed') });
  byId('generated').replaceChildren(...images.map((image) => tile(image, 28)));
});

let way = [];
const walk = newest(async () => {
  if (!byId('walk').reportValidity()) return;
  const question = { label: whole('walk-label'), from: whole('walk-from'), to: whole('walk-to'), steps: 25 };
  way = (await ask('walk', question)).images;
  byId('way').replaceChildren(...way.map((image) => tile(image, 28)));
  stand();
});

function stand() {
  if (way.length) paint(byId('walked'), unpacked(way[byId('step').value]), 28);
}

byId('generate').addEventListener('submit', (event) => {
  event.preventDefault();
  generate();
});
byId('another').addEventListener('click', () => {
  byId('seed').value = whole('seed') + 1;
  generate();
});
byId('walk').addEventListener('submit', (event) => event.preventDefault());
byId('walk').addEventListener('input', walk);
byId('step').addEventListener('input', stand);

// ---- tabs and models

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

function all() {
  redraw();
  read();
  explain();
  generate();
  walk();
}

// A card tells a score as JSON, or in words why there is none.
function score(text) {
  try {
    const { accuracy, mean, errors, rows } = JSON.parse(text);
    return `${(accuracy ?? mean).toFixed(5)} (${errors} errors in ${rows.toLocaleString('en')})`;
  } catch {
    return text;
  }
}

const cards = {};
function card() {
  const { honest, judge, cv, source, release } = cards[model.value];
  const footer = byId('card');
  footer.textContent = `Tenfold ${release}, trained on ${source}. Judge: ${score(judge)}. Cross-validation: ${score(cv)}. `;
  if (honest !== 'yes') {
    const leaked = document.createElement('strong');
    leaked.textContent = honest;
    footer.append(leaked);
  }
}

model.addEventListener('change', () => {
  card();
  all();
});

try {
  for (const { name, card: told } of await ask('models')) {
    cards[name] = told;
    model.add(new Option(name));
  }
  card();
  all();
} catch (trouble) {
  tell(trouble);
}
