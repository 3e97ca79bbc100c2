"""The models that come with the package: trained on Kaggle's 42,000 digits by this project, weights in float16.

`make models` trains and exports them again. Their cards hold their scores (`tenfold info`).
"""

from __future__ import annotations

from pathlib import Path


def shipped_models() -> Path:
    """The folder with these model files, named as in a run's folder; the ensemble is not among them."""
    return Path(__file__).with_name("models")
