"""The models that come with the package: trained on Kaggle's 42,000 digits by this project, weights in float16.

`make models` trains and exports them again. Their cards hold their scores (`tenfold info`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("models")  # file names as in a run's folder, without the ensemble
