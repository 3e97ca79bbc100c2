// The models to choose from.

import { byId } from './dom.js';

export const select = byId('model');
let entries = [];

export const current = () => entries[select.selectedIndex];

export function offer(models) {
  entries = models;
  select.replaceChildren(...models.map(({ name }) => new Option(name)));
  select.parentElement.hidden = models.length < 2;
}
