"""Arrays as .npz files."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tenfold.errors import BadInput


def npz(**arrays: npt.NDArray[Any]) -> bytes:
    """Arrays as the bytes of an .npz file; the same arrays give the same bytes."""
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    return out.getvalue()


def read_npz(path: Path, names: Sequence[str], fix: str) -> dict[str, npt.NDArray[Any]]:
    """Arrays of an .npz file by name. Raises BadInput, with how to `fix` it, where one is missing or damaged."""
    try:
        with np.load(path) as stored:
            return {name: stored[name] for name in names}
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise BadInput(f"{path}: can't be read ({str(error) or 'cut short'}); {fix}") from error
