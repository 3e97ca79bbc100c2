"""What people hand to the models is read as they mean it, or refused in one sentence that says how to fix it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
import torch
from conftest import few_digits
from PIL import Image

from digit_recognizer.rows import PIXELS
from tenfold_onnx import BadInput, CanvasClassifier, Classifier, Explainer, Generator
from tenfold_onnx.inputs import labels_between

IMAGES = few_digits(3).images
ROWS = IMAGES.reshape(3, 784)
TABLE = pd.DataFrame(ROWS, columns=list(PIXELS))
TRAIN_TABLE = TABLE.assign(label=[1, 2, 3])[["label", *PIXELS]]
COLOUR = np.repeat(IMAGES[0][..., None], 4, -1)  # (28, 28, 4)
DRAWING = np.full((60, 50, 3), 255, np.uint8)
DRAWING[10:50, 20:26] = 0

classifier = pytest.fixture(scope="module")(lambda: Classifier(threads=1))
canvas = pytest.fixture(scope="module")(lambda: CanvasClassifier(threads=1))
explainer = pytest.fixture(scope="module")(lambda: Explainer(threads=1))
generator = pytest.fixture(scope="module")(lambda: Generator(threads=1))

SAME_IMAGES: dict[str, Any] = {
    "nested lists": IMAGES.tolist(),
    "a list of arrays": list(IMAGES),
    "a torch tensor": torch.from_numpy(IMAGES),
    "a list of tensors": list(torch.from_numpy(IMAGES)),
    "Pillow's images": [Image.fromarray(image) for image in IMAGES],
    "int64": IMAGES.astype(np.int64),
    "whole floats": IMAGES.astype(np.float16),
    "big-endian": IMAGES.astype(">i4"),
    "not contiguous": np.repeat(IMAGES, 2, 1)[:, ::2],
    "in Fortran's order": np.asfortranarray(IMAGES),
    "nothing masked": np.ma.MaskedArray(IMAGES),
    "Kaggle's test.csv": TABLE,
    "Kaggle's train.csv": TRAIN_TABLE,
    "other column order": TABLE[list(PIXELS[::-1])],
}
SAME_ROWS: dict[str, Any] = {
    "rows": ROWS,
    "rows in a list": ROWS.tolist(),
    "other column names": TABLE.set_axis(range(784), axis=1),
}


@pytest.mark.parametrize("name", [*SAME_IMAGES, *SAME_ROWS])
def test_images_may_come_in_many_forms(classifier: Classifier, name: str) -> None:
    given = (SAME_IMAGES | SAME_ROWS)[name]
    assert (classifier.predict(given).probabilities == classifier.predict(IMAGES).probabilities).all()


@pytest.mark.parametrize("name", SAME_IMAGES)
def test_drawings_may_come_in_many_forms(canvas: CanvasClassifier, name: str) -> None:
    assert (canvas.predict(SAME_IMAGES[name]).seen == canvas.predict(IMAGES).seen).all()


@pytest.mark.parametrize("one", [ROWS[0], TABLE.iloc[0], IMAGES[0].tolist(), Image.fromarray(IMAGES[0])])
def test_one_image_may_come_in_many_forms(classifier: Classifier, one: Any) -> None:
    assert (classifier.predict(one).probabilities == classifier.predict(IMAGES[:1]).probabilities).all()


@pytest.mark.parametrize("none", [[], (), IMAGES[:0], TABLE[:0], pd.DataFrame(columns=list(PIXELS))], ids=type)
def test_no_images_give_an_empty_answer(
    classifier: Classifier, canvas: CanvasClassifier, explainer: Explainer, none: Any
) -> None:
    for model in (classifier, canvas):
        prediction = model.predict(none)
        assert prediction.label.shape == (0,) and prediction.label.dtype == np.int64
        assert prediction.probabilities.shape == model.predict_proba(none).shape == (0, 10)
    assert canvas.predict(none).seen.shape == (0, 28, 28)
    assert {len(layer) for layer in explainer.activations(none)} == {0}


WRONG_VALUES: list[tuple[Any, str]] = [
    (IMAGES / 255, "must be integers from 0 to 255, got float64 from 0 to 1; multiply by 255 and round"),
    (IMAGES - 0.0 + 0.25 * (IMAGES < 9), "float64 from 0.25 to 255; round them"),
    (IMAGES / 128.0 - 1, "float64 from -1 to 0.99.*; scale them to that range and round"),
    (IMAGES.astype(np.uint16) * 257, "uint16 from 0 to 65535; scale them"),
    (IMAGES.astype(int) - 1, "int64 from -1 to 254"),
    (np.where(IMAGES > 250, np.nan, IMAGES), "replace NaN"),
    (np.where(IMAGES > 250, np.inf, IMAGES), "from 0 to inf"),
    (IMAGES > 100, "must be numbers, got bool; multiply them by 255"),
    (IMAGES.astype(complex), "must be numbers, got complex128"),
    (IMAGES.astype(str), "must be numbers, got <U3"),
    (IMAGES.astype(object), r"must be numbers, got object; convert them with \.astype\('uint8'\)"),
    (TABLE.convert_dtypes(), r"must be numbers, got object; convert them with \.astype\('uint8'\)"),
    (np.ma.masked_greater(IMAGES, 200), "has masked values; fill them"),
    ([[1, 2], [3]], "must be an array of numbers, got lists or arrays of unequal lengths"),
    ([IMAGES[0], IMAGES[0][:20]], "got lists or arrays of unequal lengths"),
    (torch.zeros(3, 28, 28, requires_grad=True), r"must be an array of numbers \(.*detach"),
    (torch.zeros(3, 28, 28, device="meta"), r"must be an array of numbers \(.*cpu"),
    (pd.Series(list(IMAGES)), "must be an array of numbers, got Series; np.stack joins several arrays"),
    (iter(IMAGES), "must be an array of numbers, got "),
    ({"images": IMAGES}, "must be an array of numbers, got dict$"),
    (None, "must be an array of numbers, got NoneType$"),
    ("seven.png", "must be an array of numbers, got str; read a picture's file with .*read_image"),
    (Path("seven.png"), "must be an array of numbers, got PosixPath; read a picture's file"),
    (b"\x89PNG", "must be an array of numbers, got bytes; read a picture's file"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG_VALUES, ids=[message[:40] for _, message in WRONG_VALUES])
def test_what_holds_no_grey_levels_is_refused(
    classifier: Classifier, canvas: CanvasClassifier, explainer: Explainer, wrong: Any, message: str
) -> None:
    refused_in_a_sentence(lambda: classifier.predict(wrong), f"images: .*{message}")
    refused_in_a_sentence(lambda: canvas.predict_proba(wrong), f"drawings: .*{message}")
    refused_in_a_sentence(lambda: explainer.activations(wrong), f"images: .*{message}")


def refused_in_a_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises(BadInput, match=message) as refusal:
        call()
    assert str(refusal.value).isprintable() and len(str(refusal.value)) < 250


WRONG_SHAPES: list[tuple[Any, str]] = [
    (np.zeros((2, 1, 28, 28), np.uint8), r"got \(2, 1, 28, 28\); take its one channel, \[:, 0\]"),
    (np.zeros((2, 28, 28, 1), np.uint8), r"got \(2, 28, 28, 1\); take its one channel, \[\.\.\., 0\]"),
    (TRAIN_TABLE.to_numpy(), r"got \(3, 785\); leave out the column of labels"),
    (pd.concat([TABLE, TABLE], axis=1), r"got \(3, 1568\)"),
    (DRAWING[..., 0], r"got \(60, 50\); CanvasClassifier reads other sizes"),
    (np.zeros(783, np.uint8), r"got \(783,\)$"),
    (7, r"got \(\)$"),
    ([[]], r"got \(1, 0\)$"),
]


@pytest.mark.parametrize(("wrong", "message"), WRONG_SHAPES, ids=[message[:40] for _, message in WRONG_SHAPES])
def test_images_of_other_shapes_are_refused(classifier: Classifier, wrong: Any, message: str) -> None:
    refused_in_a_sentence(lambda: classifier.predict(wrong), r"images: must be \(28, 28\), .*" + message)


@pytest.mark.parametrize(
    "colour",
    [COLOUR[..., :3], COLOUR, COLOUR[..., :2], COLOUR[None, ..., :3], COLOUR[None, ..., :3].transpose(0, 3, 1, 2)],
    ids=lambda colour: str(colour.shape),
)
def test_a_colour_picture_is_refused(classifier: Classifier, canvas: CanvasClassifier, colour: Any) -> None:
    for model, name in ((classifier, "images"), (canvas, "drawings")):
        refused_in_a_sentence(lambda model=model: model.predict(colour), rf"{name}: .* made grey first.*convert\('L'\)")


def test_a_colour_drawing_is_not_read_as_many_drawings(canvas: CanvasClassifier) -> None:
    refused_in_a_sentence(lambda: canvas.predict(DRAWING), r"got \(60, 50, 3\); a colour picture must be made grey")
    grey = Image.fromarray(DRAWING).convert("L")
    assert canvas.predict(grey).label.tolist() == canvas.predict(DRAWING[..., 0]).label.tolist() == [1]  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [ROWS, TABLE.set_axis(range(784), axis=1), TRAIN_TABLE.set_axis(range(785), axis=1)])
def test_rows_of_pixels_are_not_read_as_one_drawing(canvas: CanvasClassifier, rows: Any) -> None:
    refused_in_a_sentence(lambda: canvas.predict(rows), r"may be rows of pixels; give them as \.reshape\(-1, 28, 28\)")


@pytest.mark.parametrize("shape", [(1, 1), (784,), (5000, 10), (2, 0, 9), (2, 28, 28, 28)])
def test_drawings_of_other_shapes_are_refused(canvas: CanvasClassifier, shape: tuple[int, ...]) -> None:
    message = r"drawings: must be \(H, W\) or \(N, H, W\), one grey channel, H and W from 2 to 4096, got "
    refused_in_a_sentence(lambda: canvas.predict(np.zeros(shape, np.uint8)), message)


WRONG_CALLS: list[tuple[str, Callable[[Generator], object], str]] = [
    *(
        (f"steps={steps!r}", lambda g, steps=steps: g.walk(3, (5, 6), steps), "steps: must be an integer ≥ 2, got ")
        for steps in (1, 2.5, "3", True, None, [3])
    ),
    *(
        (f"seeds={seeds!r}", lambda g, seeds=seeds: g.walk(3, seeds, 3), "seeds: must be ")
        for seeds in (5, "56", (5,), (5, -6), (5, 6.5), None)
    ),
    *(
        (f"label={label!r}", lambda g, label=label: g.walk(label, (5, 6), 3), "label: must be ")
        for label in (10, 2.5, "3", (3,), (3, 10), None, True)
    ),
    *((f"n={n!r}", lambda g, n=n: g.latent(n), "n: must be an integer ≥ 0, got ") for n in (-1, 2.5, "3", True, None)),
    *(
        (f"seed={seed!r}", lambda g, seed=seed: g.generate([1], seed=seed), "seed: must be an integer ≥ 0, got ")
        for seed in (-1, 0.5, True, "1", None, np.zeros(99))
    ),
    *(
        (f"labels={labels!r}", lambda g, labels=labels: g.generate(labels), "labels: must be ")
        for labels in ([-1], [10], [3, 99], [0.5], [np.nan], [True], [[1, 2]], [[1], [1, 2]], ["3"], "3", b"3", None)
    ),
    ("masked labels", lambda g: g.generate(np.ma.masked_equal([1, 2], 1)), "labels: has masked values"),
]


@pytest.mark.parametrize(("call", "message"), [case[1:] for case in WRONG_CALLS], ids=[case[0] for case in WRONG_CALLS])
def test_a_wrong_call_of_the_generator_is_refused(
    generator: Generator, call: Callable[[Generator], object], message: str
) -> None:
    refused_in_a_sentence(lambda: call(generator), message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda z: z * np.nan, "z: must be finite numbers, got NaN or infinity"),
        (lambda z: z * np.inf, "z: must be finite numbers"),
        (lambda z: z.tolist(), r"must be float32 \(1, 64\), got float64 \(1, 64\); convert it with np.asarray\(z, "),
        (lambda z: z.astype(int), r"z: must be float32 \(1, 64\), got int64"),
        (lambda z: z[:, :3], r"z: must be float32 \(1, 64\), got float32 \(1, 3\)$"),
        (lambda z: z[0], r"got float32 \(64,\)$"),
        (lambda z: "z", "z: must be float32"),
        (lambda z: [[1], [1, 2]], "z: must be an array of numbers, got lists"),
        (lambda z: np.ma.masked_greater(z, 0), "z: has masked values"),
    ],
)
def test_wrong_latent_vectors_are_refused(
    generator: Generator, change: Callable[[npt.NDArray[np.float32]], Any], message: str
) -> None:
    refused_in_a_sentence(lambda: generator.generate([1], z=change(generator.latent(1))), message)


def test_latent_vectors_may_be_big_endian_or_a_tensor(generator: Generator) -> None:
    z = generator.latent(2, seed=3)
    for same in (z.astype(">f4"), torch.from_numpy(z), np.asfortranarray(z)):
        assert (generator.generate([1, 2], z=same) == generator.generate([1, 2], seed=3)).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("labels", [np.uint8([3, 4]), torch.tensor([3, 4]), pd.Series([3, 4]), np.array([3, 4], ">i2")])
def test_labels_may_come_in_many_forms(generator: Generator, labels: Any) -> None:
    assert (generator.generate(labels) == generator.generate([3, 4])).all()
    assert (generator.walk(np.int64(3), np.array([5, 6]), np.uint8(2)) == generator.walk(3, (5, 6), 2)).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, "0.5", float("nan"), True, np.bool_(True), None, [0.5], 1j])
def test_a_threshold_outside_0_to_1_is_refused(classifier: Classifier, threshold: Any) -> None:
    message = "at_least: must be a number from 0 to 1, got"
    refused_in_a_sentence(lambda: classifier.predict(IMAGES, at_least=threshold), message)


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan, "a", True])
def test_a_share_outside_0_to_1_is_no_label(share: Any) -> None:
    refused_in_a_sentence(lambda: labels_between(3, 8, [share]), "share: must be numbers from 0 to 1")
