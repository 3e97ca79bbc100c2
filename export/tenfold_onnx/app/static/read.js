// The Read tab: label, probabilities and explanations of the drawing.

import { byId, fromBase64, latest, paint, request, tile } from './api.js';
import { canvas, drawing } from './board.js';

const bars = Array.from({ length: 10 }, (_, digit) => {
  const bar = document.createElement('li');
  bar.innerHTML = `<span>${digit}</span><span class="track"><span class="fill"></span></span><span></span>`;
  byId('bars').append(bar);
  return bar;
});

function show({ label, probabilities }) {
  byId('label').value = label < 0 ? '–' : label;
  bars.forEach((bar, digit) => {
    const probability = label < 0 ? 0 : probabilities[digit];
    bar.classList.toggle('best', digit === label);
    bar.querySelector('.fill').style.width = `${100 * probability}%`;
    bar.lastChild.textContent = label < 0 ? '' : `${(100 * probability).toFixed(1)} %`;
  });
}

export const read = latest(async () => {
  const answer = await request('read', drawing());
  show(answer);
  paint(byId('seen'), fromBase64(answer.seen), 28);
  byId('seen').dataset.label = answer.label;
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

export const explain = latest(async () => {
  const { label, seen, occlusion, layers } = await request('explain', drawing());
  if (label < 0) {
    paint(byId('occlusion'), new Uint8Array(784), 28);
    byId('layers').replaceChildren();
    return;
  }
  paintOcclusion(fromBase64(seen), occlusion);
  byId('layers').replaceChildren(
    ...layers.map(({ side, channels }) => {
      const layer = document.createElement('div');
      layer.className = 'layer';
      layer.append(...channels.map((channel) => tile(channel, side)));
      return layer;
    }),
  );
});

canvas.addEventListener('change', () => {
  read();
  explain();
});

byId('save').addEventListener('click', () => {
  const sheet = document.createElement('canvas');
  sheet.width = 580;
  sheet.height = 280;
  const context = sheet.getContext('2d');
  context.fillStyle = 'white';
  context.fillRect(0, 0, 580, 280);
  context.drawImage(canvas, 0, 0);
  context.font = '18px sans-serif';
  bars.forEach((bar, digit) => {
    const best = bar.classList.contains('best');
    context.fillStyle = best ? '#b85c00' : '#777';
    context.fillText(`${digit}`, 300, 24 + 27 * digit);
    context.fillRect(325, 11 + 27 * digit, 1.6 * parseFloat(bar.querySelector('.fill').style.width || 0), 15);
    context.fillText(bar.lastChild.textContent, 495, 24 + 27 * digit);
  });
  const link = document.createElement('a');
  link.download = `digit-${byId('label').value}.png`;
  link.href = sheet.toDataURL();
  link.click();
});
