"""What comes of trained nets: out-of-fold answers, a submission, scores."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from digit_recognizer import submission
from tenfold import artefacts, atomic, ensemble, judge, quality
from tenfold.cgan_fit import sampler
from tenfold.classifier import Classifier
from tenfold.digits import Digits
from tenfold.draws import ALL_DIGITS, Stream
from tenfold.errors import RunFailed
from tenfold.folder import OOF, PICTURES, SUBMISSION, TEST_PROBABILITIES, RunFolder
from tenfold.plan import light
from tenfold.record import npz
from tenfold.report import page
from tenfold.weights import CLASSIFIER, GENERATOR, load_classifier, load_generator
from tenfold_onnx import runtime
from tenfold_onnx.contract import CLASSIFIER_ONNX, LIGHT_ONNX
from tenfold_onnx.write.graphs import Ensemble
from tenfold_onnx.write.parity import PROBABILITY_TOLERANCE

PARITY_ROWS: Final = 1000  # test rows on which torch is asked too; the parity checks of the export come before


def held_out(folder: RunFolder, digits: Digits, fold_of: npt.NDArray[np.int64]) -> float:
    """Store the calibrated out-of-fold answers, and what of the digits the report shows; give the temperature."""
    labels = digits.known_labels()
    said = ensemble.out_of_fold(folder, fold_of, folder.settings().nets)
    temperature = ensemble.fitted_temperature(said, labels)
    calibrated = ensemble.tempered(said, temperature)
    oof = npz(
        probabilities=calibrated,
        labels=labels,
        fold=fold_of,
        origin=digits.origin,
        fingerprint=digits.fingerprints(),
    )
    atomic.write(folder.path / OOF, oof)
    atomic.write(folder.path / PICTURES, page.pictures(calibrated, digits))
    return temperature


def answer(folder: RunFolder, test: Digits, temperature: float) -> None:
    """Write the submission: what the exported model says, which on some of the rows torch is asked to confirm.

    Raises RunFailed where the two differ.
    """
    said = runtime.Classifier(folder.path / CLASSIFIER_ONNX).predict(test.images)
    some = np.linspace(0, len(test) - 1, min(PARITY_ROWS, len(test)), dtype=np.int64)
    with torch.inference_mode():
        expected = Ensemble(artefacts.members(folder), temperature)(torch.from_numpy(test.images[some]))[0].numpy()
    gap = float(np.abs(said.probabilities[some] - expected).max())
    if not gap <= PROBABILITY_TOLERANCE:
        raise RunFailed(
            f"{CLASSIFIER_ONNX}: differs from torch by {gap:.2g} on the test rows; no submission was written"
        )
    probabilities = npz(probabilities=said.probabilities, origin=test.origin)
    atomic.write(folder.path / TEST_PROBABILITIES, probabilities)
    atomic.write(folder.path / SUBMISSION, submission.render(said.label))


def scored(folder: RunFolder, digits: Digits, test: Digits, temperature: float) -> dict[str, Any]:
    """What the run's answers and models are worth, as plain values."""
    data = folder.settings().data
    submitted = submission.read(folder.path / SUBMISSION)
    light_labels = runtime.Classifier(folder.path / LIGHT_ONNX).predict(test.images).label
    verdict, light_verdict = judge.verdicts(data, test, submitted, light_labels)
    return {
        "source": data.source,
        "cross_validation": asdict(ensemble.stored_cross_validation(folder)),
        "judge": verdict,
        "judge_light": light_verdict,
        "generator": _quality(folder, digits, test),
        "temperature": temperature,
    }


def _quality(folder: RunFolder, digits: Digits, test: Digits) -> dict[str, Any] | None:
    """How good the generator that ships is; None where there are too few test digits to hold it against."""
    if len(test) < quality.LEAST_UNSEEN:
        return None
    settings = folder.settings()
    device = torch.device(settings.compute.device)
    net = load_classifier(folder.light / CLASSIFIER, light(settings).net).to(device)
    assert isinstance(net, Classifier)  # the light net takes no shifts
    generator = load_generator(folder.generator / GENERATOR, settings.cgan).to(device)
    sample = sampler(generator, settings.cgan.z_dim)
    seed = Stream(settings.seed, ALL_DIGITS).seed_of("quality")
    return asdict(quality.measured(net, sample, digits.images, test.images, seed, device))
