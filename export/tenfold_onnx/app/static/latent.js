// Latent vectors. The page draws them itself, so that the server and the browser get the same ones from a seed.
// They are other ones than `tenfold generate --seed` draws, which uses numpy.

// Uniform numbers in [0, 1) from a seed: the mulberry32 generator.
function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

// `length` numbers, standard normal (G. Box and M. Muller, 1958).
export function normal(length, seed) {
  const next = uniform(seed);
  return Float32Array.from({ length }, () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()));
}

// Vectors on the great circle from `start` to `end`, ends included, one after the other: each is as likely as the ends
// are (T. White, "Sampling Generative Networks", 2016).
export function greatCircle(start, end, steps) {
  const dot = (a, b) => a.reduce((sum, value, index) => sum + value * b[index], 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, dot(start, end) / Math.sqrt(dot(start, start) * dot(end, end)))));
  const path = new Float32Array(steps * start.length);
  for (let step = 0; step < steps; step += 1) {
    const share = step / (steps - 1);
    const [first, last] =
      angle < 1e-6 ? [1, 0] : [Math.sin((1 - share) * angle) / Math.sin(angle), Math.sin(share * angle) / Math.sin(angle)];
    path.set(start.map((value, index) => first * value + last * end[index]), step * start.length);
  }
  return path;
}

// The labels of a walk from one digit to another: see `labels_between` in inputs.py.
export function labelsBetween(start, end, steps) {
  return Array.from({ length: steps }, (_, step) => {
    const thousandths = Math.round((1000 * step) / (steps - 1));
    if (start === end || thousandths === 0) return start;
    return thousandths === 1000 ? end : start + 10 * end + 100 * thousandths;
  });
}
