"""Numbers as arguments: checked, or one sentence."""

from __future__ import annotations

from typing import Any

import numpy as np

from tenfold_onnx.contract import BadInput
from tenfold_onnx.printable import shown


def validated_integer(value: Any, name: str, least: int, most: int | None = None) -> int:
    """An integer from `least` to `most`, Python's or numpy's. Raises BadInput, whose message calls it `name`."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        number = int(value)
        if least <= number and (most is None or number <= most):
            return number
    limits = f"≥ {least}" if most is None else f"from {least} to {most}"
    raise BadInput(f"{name}: must be an integer {limits}, got {shown(value)}")


def validated_share(value: Any, name: str) -> float:
    """A number from 0 to 1. Raises BadInput, whose message calls it `name`."""
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if is_number and 0 <= value <= 1:  # false for NaN
        return float(value)
    raise BadInput(f"{name}: must be a number from 0 to 1, got {shown(value)}")


def validated_pair(value: Any, name: str, most: int | None = None) -> tuple[int, int]:
    """Two integers from 0 to `most`, in a tuple, list or array. Raises BadInput, whose message calls them `name`."""
    pair = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise BadInput(f"{name}: must be a pair of integers, got {shown(value)}")
    first, last = (validated_integer(entry, name, 0, most) for entry in pair)
    return first, last
