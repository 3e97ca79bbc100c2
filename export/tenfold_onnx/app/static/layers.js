// The layers' activations: small tiles that enlarge when a pointer or the keyboard's focus is on them.

import { byId, element } from './dom.js';
import { paint } from './pixels.js';

const rows = byId('layers');
const zoom = byId('zoom');

const tiles = (row) => [...row.children];

function enlarge(tile) {
  const [layer, channel, side] = ['layer', 'channel', 'side'].map((name) => Number(tile.dataset[name]));
  const large = byId('zoomed');
  large.width = large.height = side;
  large.getContext('2d').drawImage(tile.firstChild, 0, 0);
  byId('zoom-name').textContent = `layer ${layer}, image ${channel}: ${side}×${side}`;
  zoom.hidden = false;
  const box = tile.getBoundingClientRect();
  const left = box.left + box.width / 2 - zoom.offsetWidth / 2;
  zoom.style.left = `${Math.max(8, Math.min(left, document.documentElement.clientWidth - zoom.offsetWidth - 8))}px`;
  const above = box.top - zoom.offsetHeight - 8;
  zoom.style.top = `${above > 0 ? above : box.bottom + 8}px`;
}

const shrink = () => (zoom.hidden = true);

// One tile is reached by Tab, the others from there by the arrow keys.
function moveFocus(event) {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const tile = event.target.closest('.tile');
  if (event.key === 'Escape') shrink();
  if (!step || !tile) return;
  event.preventDefault();
  const all = tiles(rows);
  const row = all[all.indexOf(tile.parentElement) + step[0]];
  const next = row && tiles(row)[Math.min(row.children.length - 1, tiles(tile.parentElement).indexOf(tile) + step[1])];
  if (!next) return;
  tile.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

function newRow(layer, { side, channels }) {
  const row = element('div', { className: 'layer', role: 'group', ariaLabel: `Layer ${layer}, ${side}×${side}` });
  channels.forEach((_, index) => {
    const tile = element('button', { className: 'tile', type: 'button', tabIndex: -1 }, element('canvas'));
    tile.ariaLabel = `Layer ${layer}, image ${index + 1}`;
    Object.assign(tile.dataset, { layer, channel: index + 1, side });
    row.append(tile);
  });
  return row;
}

// Repaints the tiles in place where the layers are as before, so that focus stays while a digit is drawn.
export function showLayers(layers) {
  const shape = JSON.stringify(layers.map(({ side, channels }) => [side, channels.length]));
  if (rows.dataset.shape !== shape) {
    rows.dataset.shape = shape;
    rows.replaceChildren(...layers.map((layer, index) => newRow(index + 1, layer)));
    shrink();
    if (layers.length) rows.firstChild.firstChild.tabIndex = 0;
  }
  layers.forEach(({ side, channels }, layer) => {
    channels.forEach((channel, index) => paint(rows.children[layer].children[index].firstChild, channel, side));
  });
}

for (const kind of ['pointerover', 'focusin', 'click']) {
  rows.addEventListener(kind, (event) => event.target.closest('.tile') && enlarge(event.target.closest('.tile')));
}
for (const kind of ['pointerleave', 'focusout']) rows.addEventListener(kind, shrink);
rows.addEventListener('keydown', moveFocus);
document.addEventListener('scroll', shrink, { passive: true });
