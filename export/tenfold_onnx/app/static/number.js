// Several digits on the board, read as a number, as `number.py` does it: each is cut out and read by itself. That one
// also halves rows wider than six times their height, which no drawing here is.

import * as answer from './answer.js';

const MARGIN = 0.25; // around a digit that is cut out, as a share of its longer side
const LEAST_MARGIN = 2; // pixels
const LEAST_SIDE = 5; // of a piece
const SMALL = 0.6; // of a picture's longer side: what is smaller is looked at closer
const ONE_THING = 0.5; // of the narrower one's width: things that overlap so much are parts of one
const DEEPEST = 8; // cuts in cuts; taking things apart counts as three
const APART = 3;

// Boxes are [left, top, right, bottom].
function around(boxes) {
  const side = (axis, extreme) => extreme(...boxes.map((box) => box[axis]));
  return [side(0, Math.min), side(1, Math.min), side(2, Math.max), side(3, Math.max)];
}

function overlap(one, other, axis) {
  const shared = Math.min(one[axis + 2], other[axis + 2]) - Math.max(one[axis], other[axis]);
  return shared > ONE_THING * Math.min(one[axis + 2] - one[axis], other[axis + 2] - other[axis]);
}

// Boxes, with those that largely overlap as one.
function thingsOf(boxes) {
  return boxes.reduce((things, box) => {
    const same = things.filter((thing) => overlap(thing, box, 0) && overlap(thing, box, 1));
    return [...things.filter((thing) => !same.includes(thing)), around([...same, box])];
  }, []);
}

const longerSide = ([left, top, right, bottom]) => Math.max(right - left, bottom - top);

// A box with room around it, but not beyond the limits where these leave it whole.
function withMargin(box, limits) {
  const margin = Math.max(LEAST_MARGIN, Math.trunc(MARGIN * longerSide(box)));
  return box.map((end, axis) =>
    axis < 2 ? Math.max(end - margin, Math.min(end, limits[axis])) : Math.min(end + margin, Math.max(end, limits[axis])),
  );
}

// For each of boxes in a line along x (0) or y (1), the middles between it and the next ones.
function between(boxes, axis, end) {
  const middles = boxes.slice(1).map((after, index) => Math.floor((boxes[index][axis + 2] + after[axis]) / 2));
  return boxes.map((_, index) => [[0, ...middles][index], [...middles, end][index]]);
}

// Each thing with room around it, row by row.
function apart(things, { width, height }) {
  const rows = [];
  for (const thing of [...things].sort((one, other) => one[1] - other[1])) {
    if (rows.length && (thing[1] + thing[3]) / 2 < around(rows.at(-1))[3]) rows.at(-1).push(thing);
    else rows.push([thing]);
  }
  const heights = between(rows.map(around), 1, height);
  return rows.flatMap((row, index) => {
    const boxes = row.sort((one, other) => one[0] - other[0]);
    const [top, bottom] = heights[index];
    return between(boxes, 0, width).map(([left, right], place) => withMargin(boxes[place], [left, top, right, bottom]));
  });
}

function cut({ width, grey }, [left, top, right, bottom]) {
  const piece = { width: right - left, height: bottom - top };
  const pixel = (_, index) => grey[(top + Math.floor(index / piece.width)) * width + left + (index % piece.width)];
  return { ...piece, grey: Uint8Array.from({ length: piece.width * piece.height }, pixel) };
}

// The digits of a drawing, whose reading as a whole is given: [{ label, probability }].
export async function digitsOf(model, drawing, whole, cuts = DEEPEST) {
  const things = thingsOf(whole.boxes.slice(0, whole.parts));
  if (!things.length) return [];
  const alone = [{ label: whole.label, probability: Math.max(...whole.probabilities) }];
  if (whole.parts > whole.boxes.length) return alone;
  const all = around(things);
  let pieces;
  if (cuts && longerSide(all) < SMALL * Math.max(drawing.width, drawing.height)) {
    pieces = [withMargin(all, [0, 0, drawing.width, drawing.height])];
    cuts -= 1;
  } else if (things.length > 1 && cuts >= APART) {
    pieces = apart(things, drawing);
    cuts -= APART;
  } else return alone;
  const digits = [];
  for (const box of pieces) {
    const piece = cut(drawing, box);
    const isLarge = Math.min(piece.width, piece.height) >= LEAST_SIDE;
    const found = isLarge ? await digitsOf(model, piece, await answer.read(model, piece), cuts) : [];
    digits.push(...(found.length ? found : [{ label: -1, probability: 0.1 }]));
  }
  // A single digit can be in two parts, neither of which is one.
  return whole.label >= 0 && digits.some(({ label }) => label < 0) ? alone : digits;
}
