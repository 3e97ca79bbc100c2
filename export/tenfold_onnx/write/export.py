"""From a torch module to the bytes of one ONNX file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version

import onnx
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass
from torch import Tensor, nn
from torch.export import Dim

from tenfold_onnx.contract import (
    CLASSIFIER_INPUTS,
    CLASSIFIER_OUTPUTS,
    CONTRACT_VERSION,
    GENERATOR_INPUTS,
    GENERATOR_OUTPUTS,
    OPSET,
    SIDE,
)
from tenfold_onnx.write.graphs import Drawing, Ensemble
from tenfold_onnx.write.parity import check_classifier, check_generator


def export_classifier(members: Sequence[nn.Module], card: Mapping[str, str]) -> bytes:
    """An ensemble of classifiers as one file, given out only after parity with torch.

    `card` goes into the model's metadata. Equal members and card give equal bytes.
    Raises ParityError where onnxruntime and torch disagree.
    """
    module = Ensemble(members).eval()
    example = (torch.zeros(2, SIDE, SIDE, dtype=torch.uint8),)
    data = _export(module, example, CLASSIFIER_INPUTS, CLASSIFIER_OUTPUTS, card)
    check_classifier(module, data)
    return data


def export_generator(generator: nn.Module, z_dim: int, card: Mapping[str, str]) -> bytes:
    """A conditional generator as one file, given out only after parity with torch. As `export_classifier`."""
    module = Drawing(generator).eval()
    example = (torch.zeros(2, z_dim), torch.zeros(2, dtype=torch.int64))
    data = _export(module, example, GENERATOR_INPUTS, GENERATOR_OUTPUTS, card)
    check_generator(module, z_dim, data)
    return data


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    inputs: Sequence[str],
    outputs: Sequence[str],
    card: Mapping[str, str],
) -> bytes:
    if any(part.training for part in module.modules()):
        raise ValueError("a module in training mode can't be exported")  # its BatchNorm would not fold
    module = module.cpu().float()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's and onnxscript's own deprecations, nothing a user could mend
        program = torch.onnx.export(
            module,
            example,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: {0: Dim("batch")} for name in inputs},
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    ClearMetadataAndDocStringPass()(program.model)  # stack traces: they hold the building machine's paths
    program.model.producer_name = "tenfold"
    program.model.producer_version = version("tenfold")
    program.model.metadata_props.update({"contract": CONTRACT_VERSION, "opset": str(OPSET), **card})
    proto = program.model_proto
    onnx.checker.check_model(proto, full_check=True)
    return bytes(proto.SerializeToString(deterministic=True))
