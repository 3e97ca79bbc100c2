"""Results of trained nets: the submission, and the generator's scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from digit_recognizer import submission
from tenfold.data.digits import Digits
from tenfold.errors import RunFailed
from tenfold.evaluation.generator_quality import MIN_UNSEEN, Quality, measure
from tenfold.models.cgan import Generator
from tenfold.models.classifier import Classifier
from tenfold.models.inference import sampler
from tenfold.seeds import ALL_DIGITS, SeedStream
from tenfold.settings import Settings
from tenfold.storage import atomic
from tenfold.storage.npz import npz, read_npz
from tenfold.storage.run_folder import SUBMISSION, TEST_PROBABILITIES, VALIDATION, RunFolder
from tenfold_onnx import runtime
from tenfold_onnx.contract import CLASSIFIER_ONNX, LIGHT_ONNX
from tenfold_onnx.write.graphs import Ensemble
from tenfold_onnx.write.parity import PROBABILITY_TOLERANCE

PARITY_ROWS: Final = 1000  # test rows that torch predicts too, beyond the parity check of the export


def write_submission(
    folder: RunFolder, test: Digits, ensemble: Sequence[nn.Module], temperature: float
) -> npt.NDArray[np.int64]:
    """Write the submission and return its labels: the predictions of the exported model, which torch must confirm.

    Raises RunFailed where the two differ.
    """
    predicted = runtime.Classifier(folder.path / CLASSIFIER_ONNX).predict(test.images)
    rows = np.linspace(0, len(test) - 1, min(PARITY_ROWS, len(test)), dtype=np.int64)
    with torch.inference_mode():
        expected = Ensemble(ensemble, temperature)(torch.from_numpy(test.images[rows]))[0].numpy()
    gap = float(np.abs(predicted.probabilities[rows] - expected).max())
    if not gap <= PROBABILITY_TOLERANCE:
        raise RunFailed(
            f"{CLASSIFIER_ONNX}: differs from torch by {gap:.2g} on the test rows; no submission was written"
        )
    atomic.write(folder.path / TEST_PROBABILITIES, npz(probabilities=predicted.probabilities, origin=test.origin))
    atomic.write(folder.path / SUBMISSION, submission.render(predicted.label))
    return predicted.label


def predict_light(folder: RunFolder, test: Digits) -> npt.NDArray[np.int64]:
    """The labels that the exported light net predicts for the test digits, (N,)."""
    return runtime.Classifier(folder.path / LIGHT_ONNX).predict(test.images).label


def score_generator(
    folder: RunFolder, settings: Settings, light: Classifier, generator: Generator, digits: Digits, test: Digits
) -> Quality | None:
    """How good the final generator is; None where there are too few test digits to compare with.

    `cas` has the classification accuracy score of each net that learnt from its digits alone, where `test` is labelled
    (S. Ravuri, O. Vinyals, "Classification Accuracy Score for Conditional Generative Models", NeurIPS 2019).
    """
    if len(test) < MIN_UNSEEN:
        return None
    cas = []
    for seed in range(settings.cgan.cas_seeds if test.labels is not None else 0):
        path = folder.cas(seed) / VALIDATION
        predicted = read_npz(path, ("validation",), "the same command refits that net")["validation"].argmax(1)
        cas.append(float((predicted == test.labels).mean()))
    device = torch.device(settings.compute.device)
    sample = sampler(generator.to(device), settings.cgan.z_dim)
    seed = SeedStream(settings.seed, ALL_DIGITS).seed_of("quality")
    quality = measure(light.to(device), sample, digits.images, test.images, seed, device)
    return replace(quality, cas=tuple(cas))
