"""`tenfold info`: a model file's inputs, outputs and card. Needs no torch and no onnx."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from tenfold.cli.table import show_pairs


def info(
    model: Path, /, *, as_json: Annotated[bool, Parameter(name="--json")] = False, no_verify: bool = False
) -> None:
    """Print a model's inputs, outputs and card.

    The card has its scores, whether they are honest or leaked, its data, release and licence, and the hash of the
    file's content. A file that differs from its hash is refused.

    Parameters
    ----------
    model
        An ONNX file.
    as_json
        Print one JSON object.
    no_verify
        Describe a model that another program rewrote: do not compare it with the hash in its card.
    """
    from tenfold_onnx.model_file import describe

    description = describe(model, verify=not no_verify)
    if as_json:
        print(json.dumps(asdict(description)))
        return
    rows = [("file", f"{model} ({model.stat().st_size / 1e6:.2f} MB)")]
    rows += [(f"input {name}", kind) for name, kind in description.inputs.items()]
    rows += [(f"output {name}", kind) for name, kind in description.outputs.items()]
    rows += sorted(description.card.items())
    show_pairs(rows)
