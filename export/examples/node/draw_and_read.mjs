// Draw a digit with the generator, and read it with the light classifier:
//     npm install && node draw_and_read.mjs generator.onnx classifier_light.onnx 7
import { InferenceSession, Tensor } from 'onnxruntime-node';

const [generatorFile, classifierFile, digit] = process.argv.slice(2);
const generator = await InferenceSession.create(generatorFile);
const classifier = await InferenceSession.create(classifierFile);

const width = generator.inputMetadata?.find((input) => input.name === 'z')?.shape[1] ?? 64;
const normal = () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
const z = new Tensor('float32', Float32Array.from({ length: width }, normal), [1, width]);
const labels = new Tensor('int64', BigInt64Array.from([BigInt(digit)]), [1]);

const { images } = await generator.run({ z, labels }); // uint8 [1, 28, 28]
const { probabilities, label } = await classifier.run({ images });

for (let row = 0; row < 28; row += 2) {
  // two pixel rows per line, since a character is about twice as high as wide
  const line = Array.from({ length: 28 }, (_, x) => images.data[row * 28 + x] + images.data[(row + 1) * 28 + x]);
  console.log(line.map((ink) => ' .:*#'[Math.min(4, Math.floor(ink / 102))]).join(''));
}
console.log(`read as ${label.data[0]}, ${(100 * Math.max(...probabilities.data)).toFixed(1)} %`);
