"""The canvas classifier reads drawings of any size, polarity and position, and says why where there is no digit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tenfold_onnx import CanvasClassifier
from tenfold_onnx.contract import CANVAS_OUTPUTS, MAX_PARTS, Verdict
from tenfold_onnx.write.export import export_canvas, export_explained, export_light
from tenfold_onnx.write.graphs import Canvas, Ensemble, Light, WithActivations
from tenfold_onnx.write.parity import ParityError, check_activations, check_canvas


class Bands(nn.Module):
    """Stands in for a classifier: its logits are the image's mean ink in ten horizontal bands."""

    def __init__(self, steepness: float = 15.0) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.tensor(steepness))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10)."""
        return x.mean((1, 3))[:, 4:24].view(-1, 10, 2).mean(2) * self.steepness

    def activations(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits, and two layers' activations."""
        return self(x), [x[:, :, ::2], x[:, :, ::4] * 2]


@pytest.fixture(scope="module")
def model() -> bytes:
    return export_canvas(Bands(), 0.8)


@pytest.fixture(scope="module")
def session(model: bytes) -> ort.InferenceSession:
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


def read(session: ort.InferenceSession, *drawings: np.ndarray) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    outputs = session.run(list(CANVAS_OUTPUTS), {"drawings": np.stack(drawings).astype(np.uint8)})
    return dict(zip(CANVAS_OUTPUTS, outputs, strict=True))


def seven(height: int, width: int, top: int, left: int, side: int, stroke: int) -> npt.NDArray[np.uint8]:
    """A seven of straight strokes, light on dark."""
    drawing = np.zeros((height, width), np.uint8)
    drawing[top : top + stroke, left : left + side] = 255
    drawing[top : top + side, left + side - stroke : left + side] = 255
    return drawing


def test_position_and_polarity_do_not_matter(session: ort.InferenceSession) -> None:
    drawing = seven(280, 280, 20, 30, 100, 15)
    read_alike = read(session, drawing, seven(280, 280, 150, 160, 100, 15), 255 - drawing)
    first, moved, inverted = read_alike["seen"].astype(int)
    assert np.abs(moved - first).mean() < 8 and np.abs(inverted - first).max() <= 1
    assert (read_alike["label"] >= 0).all()


def test_scale_hardly_matters(session: ort.InferenceSession) -> None:
    large = read(session, seven(280, 280, 20, 30, 100, 15))["seen"][0]
    small = read(session, seven(140, 140, 10, 15, 50, 8))["seen"][0]
    assert np.abs(small.astype(int) - large.astype(int)).mean() < 8


@pytest.mark.parametrize(
    "drawing", [seven(90, 300, 5, 200, 80, 10), seven(300, 64, 100, 3, 60, 6), seven(28, 28, 4, 4, 20, 3)]
)
def test_the_digit_fills_the_box_and_is_centred(session: ort.InferenceSession, drawing: npt.NDArray[np.uint8]) -> None:
    seen = read(session, drawing)["seen"][0].astype(float)
    assert seen.max() == 255
    for axis in (0, 1):
        mass = seen.sum(1 - axis)
        assert mass @ (np.arange(28) + 0.5) / mass.sum() == pytest.approx(14, abs=0.3)
        marked = np.flatnonzero(seen.max(1 - axis) > 100)
        assert marked[-1] - marked[0] + 1 == pytest.approx(20, abs=2)


def test_the_ink_is_the_share_of_marked_pixels(session: ort.InferenceSession) -> None:
    drawing = seven(280, 280, 20, 30, 100, 15)
    assert read(session, drawing)["ink"][0] == pytest.approx((drawing > 0).mean(), rel=0.15)


def without_a_digit() -> dict[str, npt.NDArray[np.uint8]]:
    blank, dot, full, faint, blot = np.zeros((5, 280, 280), np.uint8)
    dot[100:120, 100:120] = 255
    full[:] = 255
    faint[50:200, 50:70] = 10
    blot[40:240, 40:240] = 255
    noise = np.random.default_rng(0).integers(0, 256, (280, 280), dtype=np.uint8)
    return {"blank": blank, "dot": dot, "full": full, "faint": faint, "blot": blot, "noise": noise}


@pytest.mark.parametrize("name", without_a_digit())
def test_without_a_digit_the_label_is_minus_one(session: ort.InferenceSession, name: str) -> None:
    outputs = read(session, without_a_digit()[name])
    assert outputs["label"].tolist() == [-1]
    assert outputs["verdict"].tolist() == [Verdict.CLUTTERED if name == "noise" else Verdict.BLANK]
    assert outputs["probabilities"] == pytest.approx(np.full((1, 10), 0.1))
    assert np.isfinite(outputs["ink"]).all()


def test_small_noise_images_hold_no_digit(session: ort.InferenceSession) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 28, 28))
    assert (read(session, *noise)["label"] == -1).mean() > 0.95


def test_a_drawing_reads_the_same_alone_and_in_a_batch(session: ort.InferenceSession) -> None:
    drawings = [seven(100, 120, 5 + offset, 10, 70, 8) for offset in range(9)]
    batch, single = read(session, *drawings), read(session, drawings[4])
    for name in CANVAS_OUTPUTS:
        assert batch[name][4] == pytest.approx(single[name][0], abs=1e-6)


def bars(*lefts: int, width: int = 6, height: int = 60) -> npt.NDArray[np.uint8]:
    """Upright bars, light on dark."""
    drawing = np.zeros((100, 300), np.uint8)
    for left in lefts:
        drawing[20 : 20 + height, left : left + width] = 255
    return drawing


@settings(deadline=None, max_examples=30)
@given(gaps=st.lists(st.integers(20, 60), max_size=MAX_PARTS + 1))
def test_the_boxes_are_those_of_what_stands_side_by_side(session: ort.InferenceSession, gaps: list[int]) -> None:
    lefts = [left for left in np.cumsum([20, *gaps]).tolist() if left < 280]
    outputs = read(session, bars(*lefts))
    assert outputs["parts"].tolist() == [len(lefts)]
    shown = outputs["boxes"][0]
    expected = np.array([(left, 20, left + 6, 80) for left in lefts[:MAX_PARTS]])
    cell = 300 / 64
    assert np.abs(shown[: len(expected), ::2] - expected[:, ::2]).max() <= 2 * cell
    assert np.abs(shown[: len(expected), 1::2] - expected[:, 1::2]).max() <= 5 * cell  # parts above each other are one
    assert (shown[len(expected) :] == 0).all()


def test_strokes_above_each_other_are_one_thing(session: ort.InferenceSession) -> None:
    hat = seven(280, 280, 60, 60, 100, 15)
    hat[40:48, 60:160] = 255  # 12 pixels above
    assert read(session, hat)["parts"].tolist() == [1]


def test_a_long_stroke_is_one_thing(session: ort.InferenceSession) -> None:
    drawing = np.zeros((280, 280), np.uint8)
    for row in range(40, 240, 40):  # a meander
        drawing[row : row + 8, 40:240] = 255
        drawing[row : row + 40, 40 if row % 80 else 232 :][:, :8] = 255
    assert read(session, drawing)["parts"].tolist() == [1]


def test_an_unsure_net_sees_no_digit_or_several() -> None:
    unsure = ort.InferenceSession(export_canvas(Bands(0.1), 1.0), providers=["CPUExecutionProvider"])
    outputs = read(unsure, bars(100), bars(60, 160), np.zeros((100, 300), np.uint8))
    assert outputs["verdict"].tolist() == [Verdict.LIKE_NO_DIGIT, Verdict.SEVERAL, Verdict.BLANK]
    assert outputs["label"].tolist() == [-1, -1, -1] and outputs["parts"].tolist() == [1, 2, 0]


class DoubtsBright(nn.Module):
    """Stands in for what a net learns of images of no digit: the brighter an image, the more it doubts."""

    def forward(self, activations: list[Tensor]) -> Tensor:
        """Doubt (N, 1), 1 for a white image."""
        return activations[0].mean((1, 2, 3)).unsqueeze(1)


def test_doubt_draws_the_probabilities_together_and_changes_no_label() -> None:
    images = torch.stack([torch.full((28, 28), level, dtype=torch.uint8) for level in (0, 51, 255)])
    images[:, 5:7, ::2] //= 2
    plain, label = Light(Bands())(images)
    doubted, same = Light(Bands(), doubt=DoubtsBright())(images)
    doubt = torch.stack([image[::2].float().mean() / 255 for image in images]).clamp(max=0.999)
    assert doubted.detach().numpy() == pytest.approx(
        (plain + doubt[:, None] * (0.1 - plain)).detach().numpy(), abs=1e-6
    )
    assert same.equal(label) and (doubted.sum(1) - 1).abs().max() < 1e-6
    assert doubted[2].max() < 0.101


def test_a_model_that_doubts_agrees_with_torch() -> None:
    """The export checks it."""
    assert len(export_light(Bands(), 0.8, DoubtsBright())) > len(export_light(Bands(), 0.8))


@pytest.fixture(scope="module")
def canvas(model: bytes, tmp_path_factory: pytest.TempPathFactory) -> CanvasClassifier:
    path = tmp_path_factory.mktemp("canvas") / "canvas.onnx"
    path.write_bytes(model)
    return CanvasClassifier(path, threads=1)


def test_the_runtime_takes_one_drawing_many_or_none(canvas: CanvasClassifier) -> None:
    drawing = seven(900, 700, 50, 60, 500, 60)
    one, many = canvas.predict(drawing), canvas.predict(np.stack([drawing] * 9))  # many take several calls
    assert one.label.shape == (1,) and many.seen.shape == (9, 28, 28)
    assert many.probabilities == pytest.approx(np.repeat(one.probabilities, 9, 0), abs=1e-6)
    assert canvas.predict(drawing, at_least=1.0).label.tolist() == [-1]
    none = canvas.predict(np.empty((0, 50, 40), np.uint8))
    assert none.probabilities.shape == (0, 10) and none.seen.shape == (0, 28, 28) and none.label.dtype == np.int64


def test_a_canvas_of_other_weights_fails_parity(model: bytes) -> None:
    with pytest.raises(ParityError, match="probabilities differ"):
        check_canvas(Canvas(Light(Bands(29.0), 0.8)).eval(), model)


def test_activations_come_with_the_same_prediction() -> None:
    model = export_explained(Bands(), 0.8)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]
    assert names == ["probabilities", "label", "activation_1", "activation_2"]
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    probabilities, label, first, second = session.run(names, {"images": images})
    expected, _ = Ensemble([Bands()], 0.8)(torch.from_numpy(images))
    assert probabilities == pytest.approx(expected.detach().numpy(), abs=1e-6)
    assert (label == probabilities.argmax(1)).all()
    assert first == pytest.approx(images[:, None, ::2] / 255, abs=1e-6)
    assert second == pytest.approx(images[:, None, ::4] / 255 * 2, abs=1e-6)
    with pytest.raises(ParityError, match="probabilities differs"):
        check_activations(WithActivations(Light(Bands(29.0), 0.8)).eval(), model)
