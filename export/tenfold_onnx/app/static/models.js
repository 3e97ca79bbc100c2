// The models to choose from.

import { byId } from './dom.js';

export const select = byId('model');
let entries = [];

export const current = () => entries[select.selectedIndex];

export function offer(models) {
  entries = models;
  select.replaceChildren(...models.map(option));
  select.parentElement.hidden = models.length < 2;
}

// A model that cannot be used is shown, with the reason, but cannot be chosen.
function option({ name, error }) {
  const entry = new Option(error ? `${name} (cannot be used)` : name);
  entry.disabled = Boolean(error);
  entry.title = error ?? '';
  return entry;
}
