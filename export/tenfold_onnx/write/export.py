"""A torch module exported to the bytes of one ONNX file."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version

import onnx
import torch
from torch import Tensor, nn
from torch.export import Dim

from tenfold_onnx.content_hash import with_content_hash, without_content_hash
from tenfold_onnx.contract import (
    ACTIVATION,
    CANVAS_INPUTS,
    CANVAS_OUTPUTS,
    CLASSIFIER_INPUTS,
    CLASSIFIER_OUTPUTS,
    CONTRACT_VERSION,
    GENERATOR_INPUTS,
    GENERATOR_OUTPUTS,
    OPSET,
    SIDE,
)
from tenfold_onnx.write.graphs import Canvas, Ensemble, ImageGenerator, Light, WithActivations
from tenfold_onnx.write.label import with_oldest_label
from tenfold_onnx.write.parity import check_activations, check_canvas, check_classifier, check_generator, sketches


def export_classifier(members: Sequence[nn.Module], temperature: float) -> bytes:
    """An ensemble of classifiers as one file, checked for parity with torch.

    `temperature` calibrates its probabilities. Equal members give equal bytes. Raises ParityError where
    onnxruntime and torch disagree.
    """
    return _export_classifier(Ensemble(members, temperature))


def export_light(net: nn.Module, temperature: float, doubt: nn.Module | None = None) -> bytes:
    """A single classifier, as `export_classifier`; `doubt` says how likely an image is no digit, see `graphs.Light`."""
    return _export_classifier(Light(net, temperature, doubt))


def _export_classifier(module: Ensemble | Light) -> bytes:
    module.eval()
    example = (torch.zeros(2, SIDE, SIDE, dtype=torch.uint8),)
    data = export_module(module, example, CLASSIFIER_INPUTS, CLASSIFIER_OUTPUTS)
    check_classifier(module, data)
    return data


def export_explained(net: nn.Module, temperature: float, doubt: nn.Module | None = None) -> bytes:
    """A classifier whose further outputs are its activations, activation_1 and so on. As `export_light`."""
    module = WithActivations(Light(net, temperature, doubt)).eval()
    example = (torch.zeros(2, SIDE, SIDE, dtype=torch.uint8),)
    names = [*CLASSIFIER_OUTPUTS, *(f"{ACTIVATION}{n}" for n in range(1, len(module(*example)) - 1))]
    data = export_module(module, example, CLASSIFIER_INPUTS, names)
    check_activations(module, data)
    return data


def export_canvas(net: nn.Module, temperature: float, doubt: nn.Module | None = None) -> bytes:
    """A classifier of drawings of any size, which it places as in MNIST. As `export_light`."""
    module = Canvas(Light(net, temperature, doubt)).eval()
    # Unequal sides, so that torch.export does not take them for one.
    data = export_module(module, (sketches(2, 60, 44),), CANVAS_INPUTS, CANVAS_OUTPUTS, sides=("height", "width"))
    check_canvas(module, data)
    return data


def export_generator(generator: nn.Module, z_dim: int) -> bytes:
    """A conditional generator as one file, checked for parity with torch. As `export_classifier`."""
    module = ImageGenerator(generator).eval()
    example = (torch.zeros(2, z_dim), torch.zeros(2, dtype=torch.int64))
    data = export_module(module, example, GENERATOR_INPUTS, GENERATOR_OUTPUTS)
    check_generator(module, z_dim, data)
    return data


def with_card(model: bytes, card: Mapping[str, str]) -> bytes:
    """The model with `card`, the contract's version and the opset as its metadata, replacing any it had.

    The hash of its bytes comes last.
    """
    proto = onnx.load_from_string(without_content_hash(model))
    versions = {"contract": CONTRACT_VERSION, "opset": str(OPSET)}
    onnx.helper.set_model_props(proto, {**versions, **card, **versions})  # first, whatever the card says of them
    return with_content_hash(bytes(proto.SerializeToString(deterministic=True)))


def export_module(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Iterable[str],
    outputs: Iterable[str],
    sides: Sequence[str] = (),
) -> bytes:
    """The bytes of any module's graph, unchecked. Raises ValueError for a module in training mode.

    The first dimension of every input is the variable "batch"; `sides` names the variable dimensions after it. Raises
    LabelError where a graph needs newer versions than the contract promises.
    """
    if any(part.training for part in module.modules()):
        raise ValueError("a module in training mode cannot be exported")  # its BatchNorm would not fold
    module = module.cpu().float()
    variable = {axis: Dim(name) for axis, name in enumerate(("batch", *sides))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's and onnxscript's own deprecations, which a user cannot fix
        program = torch.onnx.export(
            module,
            example,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=[variable] * len(example),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    program.model.producer_name = "tenfold"
    program.model.producer_version = version("tenfold")
    return bytes(with_oldest_label(program.model_proto).SerializeToString(deterministic=True))
