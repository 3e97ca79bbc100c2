// Answers from the models, run in the browser by onnxruntime-web. The same functions as in the file that this one
// replaces, which asks the server; `model_store.py` has the same occlusion and channels.

const PATCH = 4; // pixels: side of the square that occlusion covers
const CHANNELS = 12; // shown per layer

let runtime = null;
async function onnxruntime() {
  if (typeof WebAssembly !== 'object') {
    throw new Error('This browser has no WebAssembly, which runs the models here: use another browser, or allow it.');
  }
  runtime ??= import('./ort.wasm.bundle.min.mjs');
  const ort = await runtime;
  ort.env.wasm.numThreads = 1; // more threads need headers that a plain web server does not send
  return ort;
}

// onnxruntime-web does one thing at a time.
let last = Promise.resolve();
function inTurn(work) {
  last = last.then(work, work);
  return last;
}

const sessions = new Map(); // by address of the model file
async function run(model, file, feeds) {
  return inTurn(async () => {
    const ort = await onnxruntime();
    const address = `${model.folder}/${file}.onnx`;
    if (!sessions.has(address)) sessions.set(address, await ort.InferenceSession.create(address));
    const tensors = Object.entries(feeds).map(([name, [type, data, shape]]) => [name, new ort.Tensor(type, data, shape)]);
    return sessions.get(address).run(Object.fromEntries(tensors));
  });
}

export async function models() {
  await onnxruntime();
  const entries = await (await fetch('models.json')).json();
  await read(entries[0], { width: 2, height: 2, grey: new Uint8Array(4) }); // loads what reads, before a person waits
  return entries;
}

export async function read(model, { width, height, grey }) {
  const outputs = await run(model, 'classifier_canvas', { drawings: ['uint8', grey, [1, height, width]] });
  const { probabilities, label, seen, ink, verdict, parts, boxes } = outputs;
  const box = (_, index) => Array.from(boxes.data.slice(4 * index, 4 * index + 4), Number);
  return {
    label: Number(label.data[0]),
    probabilities: [...probabilities.data],
    seen: seen.data,
    ink: ink.data[0],
    verdict: Number(verdict.data[0]),
    parts: Number(parts.data[0]),
    boxes: Array.from({ length: boxes.dims[1] }, box),
  };
}

export async function explain(model, drawing) {
  const { label, seen } = await read(model, drawing);
  const outputs = await run(model, 'classifier_explain', { images: ['uint8', seen, [1, 28, 28]] });
  const layers = [];
  for (let layer = outputs.activation_1; layer; layer = outputs[`activation_${layers.length + 1}`]) {
    layers.push(channelImages(layer.data, layer.dims[2]));
  }
  return { label, seen, occlusion: label < 0 ? null : await occlusion(model, seen, label), layers };
}

export async function generate(model, labels, z) {
  const feeds = {
    z: ['float32', z, [labels.length, model.z_dim]],
    labels: ['int64', BigInt64Array.from(labels, BigInt), [labels.length]],
  };
  const { images } = await run(model, 'generator', feeds);
  return labels.map((_, index) => images.data.slice(784 * index, 784 * (index + 1)));
}

// How much the label's probability falls when a square of the image is covered.
async function occlusion(model, image, label) {
  const squares = 28 / PATCH;
  const covered = new Uint8Array(784 * (squares * squares + 1)); // the last one stays uncovered
  for (let index = 0; index <= squares * squares; index += 1) covered.set(image, 784 * index);
  for (let index = 0; index < squares * squares; index += 1) {
    const corner = 784 * index + 28 * PATCH * Math.floor(index / squares) + PATCH * (index % squares);
    for (let row = 0; row < PATCH; row += 1) covered.fill(0, corner + 28 * row, corner + 28 * row + PATCH);
  }
  const feeds = { images: ['uint8', covered, [squares * squares + 1, 28, 28]] };
  const { probabilities } = await run(model, 'classifier_light', feeds);
  const probability = (index) => probabilities.data[10 * index + label];
  const fall = (index) => probability(squares * squares) - probability(index);
  return Array.from({ length: squares }, (_, row) =>
    Array.from({ length: squares }, (_, column) => fall(squares * row + column)),
  );
}

function standardDeviation(values) {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
}

// The channels that vary most, as grey images.
function channelImages(activation, side) {
  const channels = Array.from({ length: activation.length / side ** 2 }, (_, index) => {
    const values = activation.subarray(side ** 2 * index, side ** 2 * (index + 1));
    return { index, values, deviation: standardDeviation(values) };
  });
  const chosen = channels.sort((a, b) => b.deviation - a.deviation).slice(0, CHANNELS).sort((a, b) => a.index - b.index);
  const peak = Math.max(1e-6, ...chosen.map(({ values }) => Math.max(...values)));
  // Rounded as in float32, so that both sides get the same grey level.
  const grey = (value) => Math.min(255, Math.max(0, Math.fround(Math.fround(value / peak) * 255)));
  return { side, channels: chosen.map(({ values }) => Uint8Array.from(values, grey)) };
}
