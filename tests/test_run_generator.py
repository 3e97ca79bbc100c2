"""The generator by itself: fitted, scored, drawn from, and part of a run like any other."""

from __future__ import annotations

import csv
import io
import json
import shutil
from functools import partialmethod
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import TINY, in_process, refused, succeeded
from PIL import Image

from digit_recognizer import rows
from tenfold.models.cgan import Discriminator
from tenfold.models.cgan import Generator as Network
from tenfold.orchestration.plan import Plan
from tenfold.report import generator_film, networks
from tenfold.settings import Cgan
from tenfold_onnx import Generator

FIT = ["gan", "fit", *TINY[1:], "--generator.epochs", "3"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small generator."""
    home = tmp_path_factory.mktemp("gan")
    succeeded(in_process(*FIT, "--out", "gan", cwd=home))
    return home / "gan"


def test_a_fit_leaves_a_model_and_what_there_is_to_look_at(fitted: Path) -> None:
    generator = Generator(fitted / "generator.onnx")
    assert generator.generate([1, 2, 3]).shape == (3, 28, 28) and generator.card["honest"] == "yes"
    with Image.open(fitted / "generator/progress.gif") as film:
        assert (film.n_frames, film.size) == (3, (302, 302))  # type: ignore[attr-defined]
        film.seek(2)
        last = np.asarray(film.convert("L"), dtype=int)
    with Image.open(fitted / "generator/grids/epoch-003.png") as grid:
        assert (last == np.asarray(grid, dtype=int)).all()
    for name in ("networks", "losses", "scores", "variety"):
        assert ElementTree.parse(fitted / f"generator/{name}.svg").getroot().tag.endswith("svg")


def test_the_same_command_again_fits_nothing(fitted: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(fitted, tmp_path / "gan")
    before = (copy / "generator.onnx").read_bytes()
    assert "epochs in" not in succeeded(in_process(*FIT, "--out", "gan", cwd=tmp_path))
    assert (copy / "generator.onnx").read_bytes() == before


def test_other_settings_in_the_same_folder_are_refused(fitted: Path, tmp_path: Path) -> None:
    shutil.copytree(fitted, tmp_path / "gan")
    assert "cgan.width is 8" in refused(*FIT, "--cgan.width", "8", "--out", "gan", cwd=tmp_path)


def test_a_score_compares_its_digits_with_real_ones(fitted: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(fitted, tmp_path / "gan")
    text = succeeded(in_process("gan", "score", "gan", "--seeds", "0", cwd=tmp_path))
    scores = json.loads((copy / "generator.json").read_text())
    assert scores["cas"] == [] and scores["digits"] == 500
    assert f"{scores['agreement_mean']:.4f}" in text and f"{scores['frechet_floor']:.3f}" in text


def test_the_cas_is_of_nets_that_saw_generated_digits_alone(
    fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Plan, "scoring_tasks", partialmethod(Plan.scoring_tasks, n=500))  # instead of 42,000
    copy = shutil.copytree(fitted, tmp_path / "gan")
    command = ("gan", "score", "gan", "--seeds", "2")
    assert "CAS, 2 nets" in succeeded(in_process(*command, cwd=tmp_path))
    scores = json.loads((copy / "generator.json").read_text())
    assert len(scores["cas"]) == 2 and all(0.02 < score < 0.99 for score in scores["cas"])
    with np.load(copy / "cas-0/answers.npz") as answers:
        assert answers["validation"].shape == (1000, 10)
    assert "epochs in" not in succeeded(in_process(*command, cwd=tmp_path))
    assert json.loads((copy / "generator.json").read_text()) == scores


def test_a_set_is_balanced_and_reads_as_kaggles_files(fitted: Path, tmp_path: Path) -> None:
    sample = ("gan", "sample", fitted / "generator.onnx", "--digits", "25", "--out")
    succeeded(in_process(*sample, "set.csv", cwd=tmp_path))
    images, labels = rows.read_csv(tmp_path / "set.csv", labelled=True)
    assert labels is not None and np.bincount(labels).tolist() == [3] * 5 + [2] * 5
    header = next(csv.reader(io.StringIO((tmp_path / "set.csv").read_text())))
    assert header[:2] == ["label", "pixel0"] and header[-1] == "pixel783"

    succeeded(in_process(*sample, "set", cwd=tmp_path))
    pictures = sorted((tmp_path / "set").rglob("*.png"), key=lambda path: path.name)
    assert [int(path.parent.name) for path in pictures] == labels.tolist()
    for path, image in zip(pictures, images, strict=True):
        with Image.open(path) as picture:
            assert (np.asarray(picture) == image).all()


@pytest.mark.parametrize(
    ("command", "parts"),
    [
        ("sample model.onnx --digits 0", ["digits: ", "1000000", "got 0"]),
        ("sample model.onnx --out set.txt", ["set.txt: ", ".csv"]),
        ("sample model.onnx --out full", ["full: ", "empty"]),
        ("sample nowhere.onnx", ["nowhere.onnx"]),
        ("score nowhere", ["nowhere: "]),
        ("score bare", ["`tenfold gan fit --out bare`"]),
        ("score fitted --seeds -1", ["seeds: ", "-1"]),
        ("fit --cgan.width 2", ["cgan.width: ", "2"]),
        ("fit --cgan.epochs 2.5", ["cgan.epochs: ", "2.5"]),
        ("fit --cgan.loss vague", ["loss"]),
        ("fitt", ["fitt"]),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(
    command: str, parts: list[str], fitted: Path, tmp_path: Path
) -> None:
    (tmp_path / "model.onnx").symlink_to(fitted / "generator.onnx")
    (tmp_path / "fitted").symlink_to(fitted)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("kept")
    shutil.copytree(fitted, tmp_path / "bare", ignore=shutil.ignore_patterns("generator"))
    sentence = refused("gan", *command.split(), cwd=tmp_path)
    assert all(part in sentence for part in parts), sentence
    assert [path.read_text() for path in (tmp_path / "full").iterdir()] == ["kept"]


def test_a_collapsed_generator_stops_the_run_unless_left_out(tmp_path: Path) -> None:
    command = [*FIT, "--cgan.least-variety", "1", "--cgan.lr", "0.00001", "--out", "gan"]
    sentence = refused(*command, cwd=tmp_path, code=1)
    assert "generator: has collapsed" in sentence and "--cgan.collapsed leave-out" in sentence
    text = succeeded(in_process(*command, "--cgan.collapsed", "leave-out", "--fresh", cwd=tmp_path))
    assert "generator has collapsed" in text


@pytest.mark.parametrize("cgan", [Cgan(), Cgan(skip=True, width=8)])
def test_a_summary_counts_every_parameter_and_multiplication(cgan: Cgan) -> None:
    nets = networks.pair(cgan)
    for net, layers in ((Network(cgan), nets["generator"]), (Discriminator(cgan), nets["discriminator"])):
        assert sum(layer.parameters for layer in layers) == sum(weight.numel() for weight in net.parameters())
    wide, narrow = 4 * cgan.width, 2 * cgan.width
    by_name = {layer.name: layer for layer in nets["generator"]}
    assert by_name["start"].multiplications == (cgan.z_dim + cgan.class_dim) * wide * 49
    up = by_name["trunk.2"]
    assert (up.multiplications, up.shape) == (49 * wide * narrow * 16, (narrow, 14, 14))
    text = networks.summary(nets)
    assert f"{sum(layer.parameters for layer in nets['generator']):,}" in text
    assert "ConvTranspose2d 4×4, stride 2" in networks.diagram(cgan)


def test_a_film_of_many_epochs_ends_with_the_last() -> None:
    def grid(shade: int) -> bytes:
        out = io.BytesIO()
        Image.new("L", (4, 4), shade).save(out, "PNG")
        return out.getvalue()

    with Image.open(io.BytesIO(generator_film.film([grid(2 * epoch) for epoch in range(100)]))) as film:
        frames = film.n_frames  # type: ignore[attr-defined]
        assert generator_film.MAX_FRAMES / 2 < frames <= generator_film.MAX_FRAMES
        film.seek(frames - 1)
        assert film.convert("L").getpixel((0, 0)) == 198
