"""`tenfold info`: what a model file says of itself. Needs no torch and no onnx."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def info(model: Path, /, *, as_json: Annotated[bool, Parameter(name="--json")] = False) -> None:
    """Print a model's inputs, outputs and card: scores, honest or leaked, data, release, licence.

    Parameters
    ----------
    model
        An ONNX file.
    as_json
        One JSON object.
    """
    from tenfold_onnx.runtime import described

    found = described(model)
    if as_json:
        print(json.dumps(asdict(found)))
        return
    lines = [("file", f"{model} ({model.stat().st_size / 1e6:.2f} MB)")]
    lines += [(f"input {name}", kind) for name, kind in found.inputs.items()]
    lines += [(f"output {name}", kind) for name, kind in found.outputs.items()]
    lines += sorted(found.card.items())
    width = max(len(name) for name, _ in lines)
    for name, value in lines:
        print(f"{name:{width}}  {value}")
