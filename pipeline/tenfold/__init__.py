"""From Kaggle's digit-recognizer files to an honest submission and ONNX models.

>>> import tenfold
>>> run = tenfold.train(source="kaggle", data="data", preset="fast")
>>> run.score, run.submission, run.predict(images), run.generate([2, 0, 2, 6]), run.report()

`tenfold run` does the same in a terminal. Importing this package loads nothing else; the names below load what they
need on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenfold.api import Run, load, train
    from tenfold.errors import BadInput, Diverged, RunFailed
    from tenfold.estimator import TenfoldClassifier

__all__ = ["BadInput", "Diverged", "Run", "RunFailed", "TenfoldClassifier", "load", "train"]

if not TYPE_CHECKING:  # so that type checkers know these names and no others

    def __getattr__(name: str) -> Any:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = {"TenfoldClassifier": "estimator", "Run": "api", "load": "api", "train": "api"}.get(name, "errors")
        try:
            value = getattr(import_module(f"{__name__}.{module}"), name)
        except ModuleNotFoundError as error:
            from tenfold.extras import missing_package

            sentence = missing_package(error)
            if sentence is None:
                raise
            raise ImportError(sentence, name=error.name) from None
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
