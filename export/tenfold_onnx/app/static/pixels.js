// Grey levels on canvases.

import { element } from './dom.js';

// Paints grey levels onto a square canvas; `colour(index)` may give [red, green, blue] instead.
export function paint(canvas, grey, side, colour = (index) => [grey[index], grey[index], grey[index]]) {
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  for (let index = 0; index < side * side; index += 1) image.data.set([...colour(index), 255], 4 * index);
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas;
}

export const picture = (grey, side = 28) => paint(element('canvas'), grey, side);

// A digit that is light on dark, as the drawing board has it: dark on light.
export const inverted = (grey) => picture(grey.map((level) => 255 - level));
