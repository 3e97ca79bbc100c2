"""The Python API: train a run or load a finished one, and use what it made."""

from __future__ import annotations

import html
import os
import webbrowser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from digit_recognizer import submission
from digit_recognizer.damage import DamagedFile
from tenfold.errors import BadInput
from tenfold.evaluation.cross_validation import CrossValidation
from tenfold.evaluation.metrics import RunMetrics, load_run_metrics
from tenfold.presets import Preset, preset_for, with_preset
from tenfold.run import resolve
from tenfold.run import run as carry_out
from tenfold.settings import OverlapPolicy, Settings, Source, from_table
from tenfold.sources.load import resolve_source
from tenfold.storage.completion import require_finished
from tenfold.storage.epoch_log import ClassifierEpoch
from tenfold.storage.run_folder import REPORT, SUBMISSION, RunFolder
from tenfold_onnx import runtime
from tenfold_onnx.contract import CLASSIFIER_ONNX, GENERATOR_ONNX
from tenfold_onnx.contract import BadInput as BadModelInput


def train(
    *,
    source: Source = "auto",
    data: Path | str = "data",
    preset: Preset | None = None,
    out: Path | str | None = None,
    overlap: OverlapPolicy = "honest",
    fresh: bool = False,
    cut_rates: float | None = None,
    **settings: Any,
) -> Run:
    """Train, cross-validate, predict the test set and export the models, as `tenfold run` does.

    The same call again continues a run that was stopped, also by interrupting the cell, and returns a finished one
    at once.

    Parameters
    ----------
    source
        "kaggle", "mnist", "sample", or "auto" for the best that `data` holds.
    data
        Folder with digit-recognizer.zip, its CSVs or MNIST/raw; or the zip itself.
    preset
        "demo", "fast" or "best": predefined settings, which the other arguments override. By default "demo" on the
        sample, "fast" on other digits.
    out
        The run's folder; runs/SOURCE-PRESET by default.
    overlap
        "honest": train on nothing that occurs in the test set. "allow": train on everything, and be marked as leaked.
    fresh
        Empty the run's folder first.
    cut_rates
        After a loss became NaN: continue from the last good checkpoint with the learning rates times this factor.
    **settings
        Further settings as in a run's settings.toml: numbers (`seed`, `folds`, `nets`), `init`, and dicts for its
        tables (`warp`, `net`, `fit`, `light`, `cgan`, `generator`, `compute`). `tenfold run --help` lists all.

    Returns
    -------
    Run
        The finished run.

    Raises
    ------
    BadInput
        A setting, a file or the folder is not usable; the message says which, and how to fix it.
    RunFailed
        The work failed; the message says where, and what to do.

    Examples
    --------
    >>> run = tenfold.train(source="kaggle", data="data", preset="fast", seed=1, folds=3, fit={"epochs": 4})
    >>> run.score
    """
    places = {"source": source, "data": data, "overlap": overlap}
    data_settings, _ = resolve_source(from_table(_plain({"data": places})).data)
    chosen = preset or preset_for(data_settings.source)
    resolved, line = resolve(from_table(with_preset(chosen, _plain({"data": places, **settings}))))
    print(line)
    path = Path(out).expanduser() if out is not None else Path("runs") / f"{resolved.data.source}-{chosen}"
    with _bad_input():
        carry_out(resolved, path, fresh=fresh, cut_rates=cut_rates)
    return load(path)


def load(folder: Path | str) -> Run:
    """Open a finished run.

    Parameters
    ----------
    folder
        The run's folder, wherever it was trained.

    Returns
    -------
    Run
        The same as `tenfold.train` returned.

    Raises
    ------
    BadInput
        The folder is no run's, or its run is not finished.

    Examples
    --------
    >>> run = tenfold.load("runs/kaggle-fast")
    >>> run.cross_validation.mean
    """
    path = Path(folder).expanduser().absolute()  # notebooks change their folder
    settings = RunFolder(path).settings()
    require_finished(path, "the same `tenfold.train` or `tenfold run` finishes it")
    return Run(path, settings, load_run_metrics(RunFolder(path)))


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run. A notebook shows its scores and learning curves.

    Attributes
    ----------
    folder
        Where all its files are, as an absolute path.
    settings
        What was requested.
    metrics
        All scores, as in metrics.json.

    Examples
    --------
    >>> run = tenfold.load("runs/kaggle-fast")
    >>> run.submission.to_csv("submission.csv", index=False)
    >>> run.predict(images), run.generate([2, 0, 2, 6]), run.report()
    """

    folder: Path
    settings: Settings
    metrics: RunMetrics

    @property
    def score(self) -> float | None:
        """The offline test score: the submission's accuracy on all test rows, 0 to 1.

        None if the labels of the test rows are not known: for Kaggle's rows they are looked up in MNIST, which has
        to be there or to be downloaded. Never choose by this score; `cross_validation` is for that.

        Examples
        --------
        >>> run.score
        """
        return self.metrics.judge.accuracy if self.metrics.judge else None

    @property
    def cross_validation(self) -> CrossValidation:
        """The accuracy on digits that the predicting net did not train on: `mean` and `std` over `folds`, `errors`.

        Examples
        --------
        >>> f"{run.cross_validation.mean:.5f} ± {run.cross_validation.std:.5f}"
        """
        return self.metrics.cross_validation

    @property
    def submission(self) -> pd.DataFrame:
        """The submission, as it lies in the folder as submission.csv: columns ImageId (from 1) and Label.

        Raises
        ------
        BadInput
            The file is missing or damaged.

        Examples
        --------
        >>> run.submission.head()
        """
        with _bad_input():
            labels = submission.read(self.folder / SUBMISSION)
        return pd.DataFrame(dict(zip(submission.HEADER, (np.arange(1, len(labels) + 1), labels), strict=True)))

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch of every training, in the order in which they ended, with what was measured in it.

        Examples
        --------
        >>> run.history.groupby("training").validation_accuracy.last()
        """
        rows = [
            {"training": epoch.task, "epoch": epoch.epoch, "seconds": epoch.seconds, **epoch.numbers()}
            for epoch in RunFolder(self.folder).epoch_log.read()
        ]
        return pd.DataFrame(rows)

    def predict(self, images: Any) -> npt.NDArray[np.int64]:
        """Read digits with the run's ensemble, through onnxruntime.

        Parameters
        ----------
        images
            One image (28, 28), images (N, 28, 28), or rows (N, 784), such as a DataFrame of Kaggle's CSVs: integers
            from 0 (background) to 255.

        Returns
        -------
        ndarray
            Labels int64 (N,) in 0..9.

        Raises
        ------
        BadInput
            The images have another shape or other values.

        Examples
        --------
        >>> run.predict(pd.read_csv("data/test.csv"))
        """
        with _bad_input():
            return self._classifier.predict(images).label

    def predict_proba(self, images: Any) -> npt.NDArray[np.float32]:
        """Calibrated probabilities of the ten digits.

        Parameters
        ----------
        images
            As for `predict`.

        Returns
        -------
        ndarray
            float32 (N, 10); each row sums to 1.

        Raises
        ------
        BadInput
            The images have another shape or other values.

        Examples
        --------
        >>> run.predict_proba(images).max(axis=1)
        """
        with _bad_input():
            return self._classifier.predict_proba(images)

    def generate(self, labels: npt.ArrayLike, seed: int = 0) -> npt.NDArray[np.uint8]:
        """Draw digits with the run's generator.

        Parameters
        ----------
        labels
            Which digits, integers (N,) in 0..9.
        seed
            Integer ≥ 0; the same seed draws the same digits.

        Returns
        -------
        ndarray
            Images uint8 (N, 28, 28), 0 = background.

        Raises
        ------
        BadInput
            A label or the seed is out of range.

        Examples
        --------
        >>> images = run.generate([2, 0, 2, 6], seed=1)
        """
        with _bad_input():
            return self._generator.generate(labels, seed)

    def report(self) -> Report:
        """The run's report. At the end of a notebook's cell, it is shown there; `run.report().open()` opens a browser.

        Returns
        -------
        Report
            A path to report.html that notebooks show as the page itself.

        Raises
        ------
        BadInput
            The report is missing, and a file that it is made of is too.

        Examples
        --------
        >>> run.report()
        """
        path = self.folder / REPORT
        if not path.exists():
            from tenfold.report.page import FinishedRun, write_report

            write_report(FinishedRun.load(RunFolder(self.folder)))
        return Report(path)

    @cached_property
    def _classifier(self) -> runtime.Classifier:
        return runtime.Classifier(self.folder / CLASSIFIER_ONNX)

    @cached_property
    def _generator(self) -> runtime.Generator:
        return runtime.Generator(self.folder / GENERATOR_ONNX)

    def __repr__(self) -> str:
        score = "no offline test score" if self.score is None else f"offline test score {self.score:.5f}"
        return f"<tenfold run {self.folder.name}: cross-validation {self.cross_validation.mean:.5f}, {score}>"

    def _repr_html_(self) -> str:
        from tenfold.report import figures  # matplotlib, which predictions can do without

        scorers = {RunFolder(self.folder).cas(seed).name for seed in range(self.settings.cgan.cas_seeds)}
        epochs = [
            epoch
            for epoch in RunFolder(self.folder).epoch_log.read()
            if isinstance(epoch, ClassifierEpoch) and epoch.task not in scorers
        ]
        sentences = self.metrics.sentences()
        if self.score is None:
            sentences.append("no offline test score: the labels of the test rows are not known")
        headline = "<br>".join(map(html.escape, sentences))
        curves = [figures.losses(epochs), figures.validation_errors(epochs)] if epochs else []
        return (
            f"<p><strong>{html.escape(self.folder.name)}</strong><br>{headline}</p>"
            f'<div style="display: flex; flex-wrap: wrap; gap: 1em">{"".join(filter(None, curves))}</div>'
        )


@dataclass(frozen=True)
class Report(os.PathLike[str]):
    """The page of a run: its path, which notebooks show as the page itself."""

    path: Path

    def open(self) -> None:
        """Open it in the browser.

        Examples
        --------
        >>> run.report().open()
        """
        webbrowser.open(self.path.as_uri())

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        # The page itself rather than its address: notebooks on other machines serve no such file.
        page = html.escape(self.path.read_text("utf-8"))
        return f'<iframe srcdoc="{page}" title="report" style="width: 100%; height: 80vh; border: 0"></iframe>'


@contextmanager
def _bad_input() -> Iterator[None]:
    """Raise the other packages' errors about bad input as ours, so that there is one to catch."""
    try:
        yield
    except (BadModelInput, DamagedFile) as error:
        raise BadInput(str(error)) from None


def _plain(value: Any) -> Any:
    """A setting as TOML would hold it."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, os.PathLike):
        return str(Path(value).expanduser())
    return value.item() if isinstance(value, np.generic) else value
