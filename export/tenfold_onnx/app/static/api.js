// Calls of the page's own server, and the images that travel as base64 of their grey levels.

export const byId = (id) => document.getElementById(id);
export const model = byId('model');

export async function request(call, query) {
  const options = query && { method: 'POST', body: JSON.stringify({ model: model.value, ...query }) };
  const response = await fetch(`api/${call}`, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

export function showError(error) {
  byId('error').hidden = !error;
  byId('error').textContent = error ? `${error.message ?? error}` : '';
}

// Runs `work` once at a time. Calls that come meanwhile are joined into one more run after it.
export function latest(work) {
  let running = false;
  let waiting = false;
  return async function run() {
    if (running) {
      waiting = true;
      return;
    }
    running = true;
    try {
      await work();
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

export const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

export function toBase64(bytes) {
  let text = '';
  for (let start = 0; start < bytes.length; start += 8192) {
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(text);
}

// Paints grey levels onto a square canvas; `colour(index)` may give [red, green, blue] instead.
export function paint(canvas, grey, side, colour = () => null) {
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  for (let index = 0; index < side * side; index += 1) {
    const [red, green, blue] = colour(index) ?? [grey[index], grey[index], grey[index]];
    image.data.set([red, green, blue, 255], 4 * index);
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas;
}

export const tile = (text, side) => paint(document.createElement('canvas'), fromBase64(text), side);
