"""The canvas classifier reads drawings of any size, polarity and place, and knows when there is nothing to read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor, nn

from tenfold_onnx import BadInput, CanvasClassifier
from tenfold_onnx.contract import CANVAS_OUTPUTS
from tenfold_onnx.write.export import export_canvas, export_explained
from tenfold_onnx.write.graphs import Canvas, Ensemble, Explained
from tenfold_onnx.write.parity import ParityError, check_canvas, check_explained


class Rows(nn.Module):
    """Stands for a classifier: its logits are the image's mean ink in ten bands."""

    def __init__(self, steepness: float = 5.0) -> None:
        super().__init__()
        self.steepness = nn.Parameter(torch.tensor(steepness))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10)."""
        return x.mean((1, 3))[:, 4:24].view(-1, 10, 2).mean(2) * self.steepness

    def activations(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """As a classifier's."""
        return self(x), [x[:, :, ::2], x[:, :, ::4] * 2]


@pytest.fixture(scope="module")
def session() -> ort.InferenceSession:
    return ort.InferenceSession(export_canvas(Rows(), 0.8), providers=["CPUExecutionProvider"])


def read(session: ort.InferenceSession, *drawings: np.ndarray) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    said = session.run(list(CANVAS_OUTPUTS), {"drawings": np.stack(drawings).astype(np.uint8)})
    return dict(zip(CANVAS_OUTPUTS, said, strict=True))


def seven(height: int, width: int, top: int, left: int, side: int, stroke: int) -> np.ndarray:  # type: ignore[type-arg]
    """A seven of straight strokes, light on dark."""
    drawing = np.zeros((height, width), np.uint8)
    drawing[top : top + stroke, left : left + side] = 255
    drawing[top : top + side, left + side - stroke : left + side] = 255
    return drawing


def test_place_scale_and_polarity_do_not_matter(session: ort.InferenceSession) -> None:
    here = seven(280, 280, 20, 30, 100, 15)
    elsewhere = seven(280, 280, 150, 160, 100, 15)
    said = read(session, here, elsewhere, 255 - here)
    assert (said["seen"][0] == said["seen"][1]).all() and (said["seen"][0] == said["seen"][2]).all()
    small = read(session, seven(140, 140, 10, 15, 50, 8))["seen"][0]
    gap = np.abs(small.astype(int) - said["seen"][0].astype(int))
    assert gap.mean() < 8
    assert (said["label"] >= 0).all()


def test_the_digit_fills_the_box_and_its_mass_is_in_the_middle(session: ort.InferenceSession) -> None:
    for drawing in (seven(90, 300, 5, 200, 80, 10), seven(300, 64, 100, 3, 60, 6), seven(28, 28, 4, 4, 20, 3)):
        seen = read(session, drawing)["seen"][0].astype(float)
        assert seen.max() == 255
        for axis in (0, 1):
            mass = seen.sum(1 - axis)
            assert mass @ (np.arange(28) + 0.5) / mass.sum() == pytest.approx(14, abs=0.3)
            marked = np.flatnonzero(seen.max(1 - axis) > 100)
            assert marked[-1] - marked[0] + 1 == pytest.approx(20, abs=2)


def test_the_ink_is_the_share_of_marked_pixels(session: ort.InferenceSession) -> None:
    drawing = seven(280, 280, 20, 30, 100, 15)
    assert read(session, drawing)["ink"][0] == pytest.approx((drawing > 0).mean(), abs=1e-6)


def test_nothing_to_read_is_said_and_every_digit_is_as_likely(session: ort.InferenceSession) -> None:
    blank, dot, full, faint = np.zeros((4, 280, 280), np.uint8)
    dot[100:120, 100:120] = 255
    full[:] = 255
    faint[50:200, 50:70] = 10
    noise = np.random.default_rng(0).integers(0, 256, (280, 280))
    blot = np.zeros((280, 280), np.uint8)
    blot[40:240, 40:240] = 255
    said = read(session, blank, dot, full, faint, noise, blot)
    assert said["label"].tolist() == [-1] * 6
    assert said["probabilities"] == pytest.approx(np.full((6, 10), 0.1))
    assert np.isfinite(said["ink"]).all()


def test_small_noise_is_no_digit(session: ort.InferenceSession) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (200, 28, 28))
    assert (read(session, *noise)["label"] == -1).mean() > 0.95


def test_a_drawing_is_read_alike_alone_and_in_company(session: ort.InferenceSession) -> None:
    drawings = [seven(100, 120, 5 + place, 10, 70, 8) for place in range(9)]
    together = read(session, *drawings)
    alone = read(session, drawings[4])
    for name in CANVAS_OUTPUTS:
        assert together[name][4] == pytest.approx(alone[name][0], abs=1e-6)


def test_the_runtime_takes_one_drawing_many_or_none(tmp_path: Path, session: ort.InferenceSession) -> None:
    (tmp_path / "canvas.onnx").write_bytes(export_canvas(Rows(), 0.8))
    canvas = CanvasClassifier(tmp_path / "canvas.onnx", threads=1)
    drawing = seven(900, 700, 50, 60, 500, 60)
    one, many = canvas.predict(drawing), canvas.predict(np.stack([drawing] * 9))  # several calls of few
    assert one.label.shape == (1,) and many.seen.shape == (9, 28, 28)
    assert many.probabilities == pytest.approx(np.repeat(one.probabilities, 9, 0), abs=1e-6)
    assert canvas.predict(drawing, at_least=0.99).label.tolist() == [-1]
    none = canvas.predict(np.empty((0, 50, 40), np.uint8))
    assert none.probabilities.shape == (0, 10) and none.seen.shape == (0, 28, 28) and none.label.dtype == np.int64
    for wrong, complaint in (
        (drawing.astype(float), "drawings: are float64"),
        (np.zeros((2, 3, 40, 40), np.uint8), r"drawings: have shape \(2, 3, 40, 40\)"),
        (np.zeros((1, 40), np.uint8), r"drawings: have shape"),
        (np.zeros((5000, 2), np.uint8), "at most 4096 pixels a side"),
    ):
        with pytest.raises(BadInput, match=complaint):
            canvas.predict(wrong)


def test_a_canvas_of_other_weights_fails_the_parity_check() -> None:
    model = export_canvas(Rows(), 1.0)
    with pytest.raises(ParityError, match="probabilities differ"):
        check_canvas(Canvas(Ensemble([Rows(9.0)])).eval(), model)


def test_activations_are_given_beside_the_same_answer() -> None:
    model = export_explained(Rows(), 0.8)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_outputs()]
    assert names == ["probabilities", "label", "activation_1", "activation_2"]
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    probabilities, label, first, second = session.run(names, {"images": images})
    expected, _ = Ensemble([Rows()], 0.8)(torch.from_numpy(images))
    assert probabilities == pytest.approx(expected.detach().numpy(), abs=1e-6)
    assert (label == probabilities.argmax(1)).all()
    assert first == pytest.approx(images[:, None, ::2] / 255, abs=1e-6)
    assert second == pytest.approx(images[:, None, ::4] / 255 * 2, abs=1e-6)
    with pytest.raises(ParityError, match="probabilities differs"):
        check_explained(Explained(Rows(9.0), 0.8).eval(), model)
