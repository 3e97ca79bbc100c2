// Work that follows a person's hand: only the latest state counts.

import { byId } from './dom.js';
import { current } from './models.js';

export function showError(error) {
  byId('error').hidden = !error;
  byId('error').textContent = error ? `${error.message ?? error}` : '';
}

// Runs `work` once at a time, as soon as there are models. Calls that come meanwhile are joined into one more run.
export function latest(work) {
  let running = false;
  let waiting = false;
  return async function run() {
    if (!current()) return;
    if (running) {
      waiting = true;
      return;
    }
    running = true;
    try {
      await work(current());
      showError(null);
    } catch (error) {
      showError(error);
    }
    running = false;
    if (waiting) {
      waiting = false;
      run();
    }
  };
}
