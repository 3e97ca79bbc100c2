"""`tenfold info`: model files' inputs, outputs and card. Needs no torch and no onnx."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tenfold.cli.table import show_pairs
from tenfold_onnx import shipped_models
from tenfold_onnx.contract import BadInput


def info(
    model: Path | None = None,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    no_verify: bool = False,
) -> None:
    """Print the inputs, outputs and card of a model, or of each model in a folder.

    The card has its scores, whether they are honest or leaked, its data, release and licence, and the hash of the
    file's content. A file that differs from its hash is refused.

    Parameters
    ----------
    model
        An ONNX file, or a folder with some, such as a run's; by default the models that come with the package.
    as_json
        Print one JSON object per model.
    no_verify
        Describe a model that another program rewrote: do not compare it with the hash in its card.
    """
    from tenfold_onnx.model_file import describe

    model = model or shipped_models()
    files = sorted(model.glob("*.onnx")) if model.is_dir() else [model]
    if not files:
        raise BadInput(f"{model}: has no .onnx file; give a model, or a folder with some")
    for number, file in enumerate(files):
        description = describe(file, verify=not no_verify)
        if as_json:
            print(json.dumps({"file": str(file), **asdict(description)}))
            continue
        if number:
            print()
        rows = [("file", f"{file} ({file.stat().st_size / 1e6:.2f} MB)")]
        rows += [(f"input {name}", kind) for name, kind in description.inputs.items()]
        rows += [(f"output {name}", kind) for name, kind in description.outputs.items()]
        rows += sorted(description.card.items())
        show_pairs(rows)
