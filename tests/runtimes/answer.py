"""One model's answers in another runtime: answer.py RUNTIME MODEL.onnx INPUTS.npz OUTPUTS.npz

A program of its own, which imports that runtime and numpy alone, so that each runs beside its own packages.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, Any]  # by name


def onnxruntime(model: str, inputs: Arrays, outputs: list[str]) -> list[Any]:
    import onnxruntime as ort

    return ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(outputs, inputs)


def opencv(model: str, inputs: Arrays, outputs: list[str]) -> list[Any]:
    import cv2

    net = cv2.dnn.readNetFromONNX(model)
    for name, array in inputs.items():
        net.setInput(array, name)
    return net.forward(outputs)


def openvino(model: str, inputs: Arrays, outputs: list[str]) -> list[Any]:
    import openvino

    core = openvino.Core()
    # Without the hint, processors with bfloat16 compute in it.
    compiled = core.compile_model(core.read_model(model), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    answers = compiled(inputs)
    return [answers[name] for name in outputs]


def tract(model: str, inputs: Arrays, outputs: list[str]) -> list[Any]:
    import tract

    runnable = tract.onnx().load(model).into_model().into_runnable()
    return [answer.to_numpy() for answer in runnable.run(list(inputs.values()))]


def mnn(model: str, inputs: Arrays, outputs: list[str]) -> list[Any]:
    import _tools  # the converter itself: the command around it installs a package and reports its use
    from MNN import expr, nn

    converted = str(Path(model).with_suffix(".mnn"))
    _tools.mnnconvert(["mnnconvert", "-f", "ONNX", "--modelFile", model, "--MNNModel", converted, "--bizCode", "none"])
    kinds = {"uint8": expr.uint8, "float32": expr.float, "int64": expr.int}
    values = [
        expr.const(array.ravel().tolist(), list(array.shape), expr.NCHW, kinds[array.dtype.name])
        for array in inputs.values()
    ]
    net = nn.load_module_from_file(converted, list(inputs), outputs)
    return [np.array(value.read()) for value in net.forward(values)]


def tvm(model: str, inputs: Arrays, outputs: list[str]) -> list[Any]:
    import onnx
    import tvm
    from tvm import relax
    from tvm.relax.frontend.onnx import from_onnx

    machine = relax.VirtualMachine(tvm.compile(from_onnx(onnx.load(model)), target="llvm"), tvm.cpu())
    answers = machine["main"](*map(tvm.runtime.tensor, inputs.values()))
    return [answer.numpy() for answer in ([answers] if len(outputs) == 1 else answers)]


if __name__ == "__main__":
    runtime, model, given, wanted = sys.argv[1:]
    names = Path(wanted).with_suffix(".txt").read_text().split()
    answers = globals()[runtime](model, dict(np.load(given)), names)
    np.savez(wanted, **dict(zip(names, answers, strict=True)))
