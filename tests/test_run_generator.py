"""The generator by itself: fitted, scored, drawn from, and part of a run like any other."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import tenfold
from PIL import Image

from digit_recognizer import rows
from tenfold.models.cgan import Discriminator
from tenfold.models.cgan import Generator as Network
from tenfold.report import generator_film, networks
from tenfold.settings import Cgan
from tenfold_onnx import Generator

FIT = ["gan", "fit", "--preset", "smoke", "--source", "sample", "--generator.epochs", "3"]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small generator."""
    home = tmp_path_factory.mktemp("gan")
    done = tenfold(*FIT, "--out", "gan", cwd=home)
    assert done.returncode == 0, done.stderr
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


def test_the_same_command_again_continues_and_other_settings_are_refused(fitted: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(fitted, tmp_path / "gan")
    before = (copy / "generator.onnx").read_bytes()
    again = tenfold(*FIT, "--out", "gan", cwd=tmp_path)
    assert again.returncode == 0 and "epochs in" not in again.stdout
    assert (copy / "generator.onnx").read_bytes() == before
    other = tenfold(*FIT, "--cgan.width", "4", "--out", "gan", cwd=tmp_path)
    assert other.returncode == 2 and "cgan.width is 8, 4 is asked for" in other.stderr


def test_a_score_holds_the_digits_against_real_ones(fitted: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(fitted, tmp_path / "gan")
    done = tenfold("gan", "score", "gan", "--seeds", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    scores = json.loads((copy / "generator.json").read_text())
    assert scores["cas"] == [] and scores["digits"] == 180
    assert f"{scores['agreement_mean']:.4f}" in done.stdout and f"{scores['frechet_floor']:.3f}" in done.stdout


@pytest.mark.slow
def test_the_classification_accuracy_score_is_of_nets_that_saw_generated_digits_alone(
    fitted: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(fitted, tmp_path / "gan")
    done = tenfold("gan", "score", "gan", "--seeds", "2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    scores = json.loads((copy / "generator.json").read_text())
    assert len(scores["cas"]) == 2 and all(0.02 < score < 0.99 for score in scores["cas"])
    assert "CAS, 2 nets" in done.stdout
    with np.load(copy / "cas-0/answers.npz") as answers:
        assert answers["validation"].shape == (360, 10)
    again = tenfold("gan", "score", "gan", "--seeds", "2", cwd=tmp_path)
    assert again.returncode == 0 and "epochs in" not in again.stdout
    assert json.loads((copy / "generator.json").read_text()) == scores


def test_a_set_is_balanced_and_reads_as_kaggles_files(fitted: Path, tmp_path: Path) -> None:
    done = tenfold("gan", "sample", fitted / "generator.onnx", "--digits", "25", "--out", "set.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    images, labels = rows.read_csv(tmp_path / "set.csv", labelled=True)
    assert labels is not None and np.bincount(labels).tolist() == [3] * 5 + [2] * 5
    header = next(csv.reader(io.StringIO((tmp_path / "set.csv").read_text())))
    assert header[:2] == ["label", "pixel0"] and header[-1] == "pixel783"

    done = tenfold("gan", "sample", fitted / "generator.onnx", "--digits", "25", "--out", "set", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    pictures = sorted((tmp_path / "set").rglob("*.png"), key=lambda path: path.name)
    assert [int(path.parent.name) for path in pictures] == labels.tolist()
    for path, image in zip(pictures, images, strict=True):
        with Image.open(path) as picture:
            assert (np.asarray(picture) == image).all()


def test_what_cannot_be_done_is_told_in_a_sentence(fitted: Path, tmp_path: Path) -> None:
    model = fitted / "generator.onnx"
    (tmp_path / "full").mkdir()
    (tmp_path / "full/mine.txt").write_text("kept")
    shutil.copytree(fitted, tmp_path / "bare", ignore=shutil.ignore_patterns("generator"))
    for arguments, sentence in (
        (["sample", model, "--digits", "0"], "digits: is 0 where a whole number from 1 to 1,000,000 belongs"),
        (["sample", model, "--out", "set.txt"], "set.txt: digits are written as .csv or into a folder"),
        (["sample", model, "--out", "full"], "full: is not empty"),
        (["sample", "nowhere.onnx"], "nowhere.onnx"),
        (["score", "nowhere"], "nowhere: is no run's folder"),
        (["score", "bare"], "holds no generator; fit one with `tenfold gan fit --out bare`"),
        (["score", fitted, "--seeds", "-1"], "seeds: is -1"),
        (["fit", "--cgan.trunk", "20"], "cgan.trunk: is 20 where 14 or 28 belongs"),
        (["fit", "--cgan.epochs", "2.5"], "is 2.5 where a whole number belongs"),
        (["fit", "--cgan.loss", "vague"], "loss"),
        (["fitt"], "fitt"),
    ):
        done = tenfold("gan", *arguments, cwd=tmp_path)
        assert done.returncode == 2 and sentence in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert (tmp_path / "full/mine.txt").read_text() == "kept" and len(list((tmp_path / "full").iterdir())) == 1


def test_a_collapsed_generator_stops_the_run_unless_it_is_to_be_left_out(tmp_path: Path) -> None:
    sameness = [*FIT, "--cgan.least-variety", "1", "--cgan.lr", "0.00001", "--cgan.width", "4"]
    done = tenfold(*sameness, "--out", "gan", cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert "generator: has collapsed" in done.stderr and "--cgan.collapsed leave-out" in done.stderr
    done = tenfold(*sameness, "--cgan.collapsed", "leave-out", "--out", "gan", "--fresh", cwd=tmp_path)
    assert done.returncode == 0 and "generator has collapsed" in done.stdout, done.stderr


@pytest.mark.parametrize("cgan", [Cgan(), Cgan(trunk=28, skip=True, condition="planes", width=8)])
def test_a_summary_counts_every_parameter_and_multiplication(cgan: Cgan) -> None:
    nets = networks.players(cgan)
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
        assert generator_film.MOST_FRAMES / 2 < frames <= generator_film.MOST_FRAMES
        film.seek(frames - 1)
        assert film.convert("L").getpixel((0, 0)) == 198
