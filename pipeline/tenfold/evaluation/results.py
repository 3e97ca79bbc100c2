"""What comes of trained nets: out-of-fold answers, a submission, scores."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from digit_recognizer import submission
from tenfold.data.digits import Digits
from tenfold.data.folds import NOT_VALIDATED
from tenfold.errors import BadInput, RunFailed
from tenfold.evaluation import cross_validation, diagnostics, generator_quality, judge
from tenfold.models import export
from tenfold.models.classifier import Classifier
from tenfold.models.inference import sampler
from tenfold.models.weights import CLASSIFIER, GENERATOR, load_classifier, load_generator
from tenfold.seeds import ALL_DIGITS, SeedStream
from tenfold.settings import Data, light_settings
from tenfold.sources.load import reference_digits
from tenfold.storage import atomic
from tenfold.storage.npz import npz, read_npz
from tenfold.storage.run_folder import OOF, PICTURES, SUBMISSION, TEST_PROBABILITIES, RunFolder
from tenfold.training.tasks import ANSWERS
from tenfold_onnx import runtime
from tenfold_onnx.contract import CLASSIFIER_ONNX, LIGHT_ONNX
from tenfold_onnx.write.graphs import Ensemble
from tenfold_onnx.write.parity import PROBABILITY_TOLERANCE

PARITY_ROWS: Final = 1000  # test rows on which torch is asked too; the parity checks of the export come before


def held_out(folder: RunFolder, digits: Digits, fold_of: npt.NDArray[np.int64]) -> float:
    """Store the calibrated out-of-fold answers, and what of the digits the report shows; give the temperature.

    They cover the rows that a fold validates; of the reserve only the fingerprints are kept.
    """
    reserved = digits.take(fold_of == NOT_VALIDATED).fingerprints()
    digits, fold_of = digits.take(fold_of != NOT_VALIDATED), fold_of[fold_of != NOT_VALIDATED]
    labels = digits.known_labels()
    said = cross_validation.out_of_fold(folder, fold_of, folder.settings().nets)
    temperature = cross_validation.fitted_temperature(said, labels)
    calibrated = cross_validation.tempered(said, temperature)
    oof = npz(
        probabilities=calibrated,
        labels=labels,
        fold=fold_of,
        origin=digits.origin,
        fingerprint=digits.fingerprints(),
        reserved=reserved,
    )
    atomic.write(folder.path / OOF, oof)
    atomic.write(folder.path / PICTURES, shown_digits(calibrated, digits))
    return temperature


def shown_digits(oof: npt.NDArray[np.float32], digits: Digits) -> bytes:
    """What the report shows of the training digits, to be stored with the run; `oof` float32 (N, 10)."""
    labels = digits.known_labels()
    wrong = diagnostics.likely_label_errors(oof, labels)
    hard = diagnostics.hardest(oof, labels, but=wrong)[: diagnostics.HARDEST_SHOWN]
    first = np.array([np.flatnonzero(labels == digit)[0] for digit in np.unique(labels)])
    rows = np.unique(np.concatenate([wrong[: diagnostics.LABEL_ERRORS_SHOWN], hard, first]))
    return npz(row=rows, images=digits.images[rows], first=first)


def answer(folder: RunFolder, test: Digits, temperature: float) -> None:
    """Write the submission: what the exported model says, which on some of the rows torch is asked to confirm.

    Raises RunFailed where the two differ.
    """
    said = runtime.Classifier(folder.path / CLASSIFIER_ONNX).predict(test.images)
    some = np.linspace(0, len(test) - 1, min(PARITY_ROWS, len(test)), dtype=np.int64)
    with torch.inference_mode():
        expected = Ensemble(export.members(folder), temperature)(torch.from_numpy(test.images[some]))[0].numpy()
    gap = float(np.abs(said.probabilities[some] - expected).max())
    if not gap <= PROBABILITY_TOLERANCE:
        raise RunFailed(
            f"{CLASSIFIER_ONNX}: differs from torch by {gap:.2g} on the test rows; no submission was written"
        )
    probabilities = npz(probabilities=said.probabilities, origin=test.origin)
    atomic.write(folder.path / TEST_PROBABILITIES, probabilities)
    atomic.write(folder.path / SUBMISSION, submission.render(said.label))


def scored(folder: RunFolder, digits: Digits, test: Digits, known: Digits | None, temperature: float) -> dict[str, Any]:
    """What the run's answers and models are worth, as plain values; `known` is `test` as `labelled` gives it."""
    settings = folder.settings()
    data = settings.data
    submitted = submission.read(folder.path / SUBMISSION)
    light_labels = runtime.Classifier(folder.path / LIGHT_ONNX).predict(test.images).label
    verdict, light_verdict = judge.verdicts(data, test, submitted, light_labels)
    return {
        "source": data.source,
        "cross_validation": asdict(cross_validation.stored_cross_validation(folder)),
        "judge": verdict,
        "judge_light": light_verdict,
        "generator": score_generator(folder, digits, known or test, settings.cgan.cas_seeds if known else 0),
        "temperature": temperature,
    }


def labelled(test: Digits, data: Data) -> Digits | None:
    """The test digits with their labels, for scores alone; None, and a printed reason, where nobody knows them."""
    try:
        return replace(test, labels=judge.answer_key(test, reference_digits(data)))
    except BadInput as reason:
        print(f"no classification accuracy score: {reason}")
        return None


def score_generator(folder: RunFolder, digits: Digits, test: Digits, scorers: int) -> dict[str, Any] | None:
    """How good the generator that ships is; None where there are too few test digits to hold it against.

    "cas" has the classification accuracy score of each of `scorers` nets, which learnt from its digits alone
    (S. Ravuri, O. Vinyals, "Classification Accuracy Score for Conditional Generative Models", NeurIPS 2019). They
    need labelled `test` digits.
    """
    if len(test) < generator_quality.LEAST_UNSEEN:
        return None
    scores = []
    for seed in range(scorers):
        path = folder.cas(seed) / ANSWERS
        said = read_npz(path, ("validation",), "the same command fits that net anew")["validation"].argmax(1)
        scores.append(float((said == test.known_labels()).mean()))
    settings = folder.settings()
    device = torch.device(settings.compute.device)
    net = load_classifier(folder.light / CLASSIFIER, light_settings(settings).net).to(device)
    assert isinstance(net, Classifier)  # the light net takes no shifts
    generator = load_generator(folder.generator / GENERATOR, settings.cgan).to(device)
    sample = sampler(generator, settings.cgan.z_dim)
    seed = SeedStream(settings.seed, ALL_DIGITS).seed_of("quality")
    found = generator_quality.measured(net, sample, digits.images, test.images, seed, device)
    return {"cas": scores, **asdict(found)}
