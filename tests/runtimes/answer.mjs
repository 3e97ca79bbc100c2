// One model's answers in onnxruntime-web: node answer.mjs MODEL.onnx INPUTS.json, which prints the outputs as JSON.
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web";

ort.env.wasm.numThreads = 1;
const [model, inputs] = process.argv.slice(2);
const arrays = { uint8: Uint8Array, float32: Float32Array, int64: BigInt64Array };
const feeds = Object.fromEntries(
  Object.entries(JSON.parse(readFileSync(inputs))).map(([name, { dtype, shape, values }]) => {
    const numbers = dtype === "int64" ? values.map(BigInt) : values;
    return [name, new ort.Tensor(dtype, arrays[dtype].from(numbers), shape)];
  }),
);
const session = await ort.InferenceSession.create(readFileSync(model));
const outputs = Object.entries(await session.run(feeds)).map(([name, { dims, data }]) => {
  return [name, { shape: dims, values: Array.from(data, Number) }];
});
console.log(JSON.stringify(Object.fromEntries(outputs)));
