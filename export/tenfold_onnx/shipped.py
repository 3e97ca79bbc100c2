"""The models that ship with the package, for whoever has no run of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "models"


def shipped_models() -> Path:
    """The folder with the shipped model files, named as in a run's folder."""
    return FOLDER
