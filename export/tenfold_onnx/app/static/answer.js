// Answers from the page's own server, which runs the models. The static site replaces this file with one that runs
// them in the browser: the same functions, the same answers. Images are Uint8Array of grey levels, row by row.

const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

function toBase64(bytes) {
  let text = '';
  for (let start = 0; start < bytes.length; start += 8192) {
    text += String.fromCharCode(...bytes.subarray(start, start + 8192));
  }
  return btoa(text);
}

async function request(call, query) {
  const options = query && { method: 'POST', body: JSON.stringify(query) };
  const response = await fetch(`api/${call}`, options).catch(() => {
    throw new Error('The server does not answer: start `tenfold app` again.');
  });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

const posed = (model, { width, height, grey }) => ({ model: model.name, width, height, grey: toBase64(grey) });

// The models to choose from: [{ name, card, z_dim, mixes }]. The other functions take one of these first.
export const models = () => request('models');

// A drawing { width, height, grey } to { label, probabilities, seen, ink, verdict, parts, boxes: [[left, top, right, bottom]] }.
export async function read(model, drawing) {
  const answer = await request('read', posed(model, drawing));
  return { ...answer, seen: fromBase64(answer.seen) };
}

// A drawing to { label, seen, occlusion, layers }: 7 rows of 7 numbers, and [{ side, channels: [image] }].
export async function explain(model, drawing) {
  const { label, seen, occlusion, layers } = await request('explain', posed(model, drawing));
  const decoded = layers.map(({ side, channels }) => ({ side, channels: channels.map(fromBase64) }));
  return { label, seen: fromBase64(seen), occlusion, layers: decoded };
}

// Images 28×28 of n labels and their latent vectors, a Float32Array of n × z_dim.
export async function generate(model, labels, z) {
  const query = { model: model.name, labels, z: toBase64(new Uint8Array(z.buffer, z.byteOffset, z.byteLength)) };
  return (await request('generate', query)).images.map(fromBase64);
}
