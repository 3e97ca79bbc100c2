// Digits to click, drawn by hand.

import { replay } from './board.js';
import { byId, element } from './dom.js';
import { paintMarks } from './strokes.js';

const EXAMPLES = {
  2: [[[82, 92], [98, 64], [140, 50], [184, 68], [190, 108], [160, 150], [115, 192], [74, 226]], [[74, 226], [140, 221], [208, 223]]],
  4: [[[112, 48], [94, 100], [70, 152]], [[70, 152], [140, 152], [216, 147]], [[176, 78], [171, 150], [162, 236]]],
  5: [[[192, 54], [112, 58]], [[112, 58], [100, 128]], [[100, 128], [148, 112], [194, 140], [194, 190], [150, 228], [84, 214]]],
  7: [[[68, 66], [140, 62], [212, 58]], [[212, 58], [172, 140], [132, 236]], [[108, 152], [200, 146]]],
  8: [[[188, 72], [146, 48], [104, 66], [102, 104], [146, 136], [190, 172], [186, 216], [142, 236], [96, 216], [98, 172], [146, 134], [188, 104], [190, 76]]],
  9: [[[186, 96], [160, 58], [116, 62], [92, 102], [116, 142], [164, 130], [187, 94]], [[187, 94], [184, 160], [166, 238]]],
};

// Points between the given ones, on a curve through them (Catmull and Rom's).
function dense(points, samples = 8) {
  const at = (index) => points[Math.min(points.length - 1, Math.max(0, index))];
  const curve = points.slice(1).flatMap((_, index) =>
    Array.from({ length: samples }, (_, sample) => {
      const t = sample / samples;
      const [a, b, c, d] = [-1, 0, 1, 2].map((offset) => at(index + offset));
      const along = (axis) =>
        b[axis] +
        0.5 * t * (c[axis] - a[axis] + t * (2 * a[axis] - 5 * b[axis] + 4 * c[axis] - d[axis] + t * (3 * (b[axis] - c[axis]) + d[axis] - a[axis])));
      return [along(0), along(1)];
    }),
  );
  return [...curve, points.at(-1)];
}

for (const [digit, strokes] of Object.entries(EXAMPLES)) {
  const marks = strokes.map((stroke) => dense(stroke));
  const thumbnail = element('canvas', { width: 112, height: 112 });
  paintMarks(thumbnail, marks);
  const button = element('button', { className: 'example', ariaLabel: `Draw a ${digit}` }, thumbnail);
  button.addEventListener('click', () => replay(structuredClone(marks)));
  byId('examples').append(button);
}
