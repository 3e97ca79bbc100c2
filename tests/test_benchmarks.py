"""Benchmarks measure what they claim, and their log survives an interruption."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
from benchmarks import distilled, generators, members, non_digits, reach, references, results, scores, tables
from benchmarks.__main__ import app
from benchmarks.profile import flops_per_image
from conftest import few_digits
from torch import nn

from tenfold.cli import status
from tenfold.models.classifier import Classifier
from tenfold.orchestration import pool
from tenfold.settings import Cgan, Compute, Fit, Net, Warp
from tenfold.sources import sample
from tenfold.studies.cells import Material
from tenfold_onnx import BadInput, CanvasClassifier

ROOT = Path(__file__).resolve().parents[1]
TINY = Net((4, 8), tta_shift_px=0)
FIT = Fit(epochs=1, epoch_images=64, batch_size=16)
MATERIAL = Material(
    few_digits(100), few_digits(40, seed=1), False, Compute(device="cpu", precision="fp32", workers=1, threads=1)
)


@pytest.fixture(autouse=True)
def own_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results.jsonl")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Small nets are slower with several threads on busy cores."""
    torch.set_num_threads(1)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Measure cells in this process; what each task reports."""
    reported: list[str] = []

    def run_all(tasks: Iterable[pool.Task], workers: int, report: pool.Report) -> None:
        def note(record: dict[str, object]) -> None:
            reported.append(str(record["rows"]))
            report(record)

        for task in tasks:
            task.work(task.argument, note)

    monkeypatch.setattr(pool, "run_all", run_all)
    return reported


@pytest.mark.parametrize(
    ("name", "parameters", "millions"),  # of multiplications per image
    [("deotte", 326_000, 15.2), ("one-epoch", 215_000, 1.24), ("examples", 1_200_000, 12.0)],
)
def test_a_reference_has_the_published_size(name: str, parameters: int, millions: float) -> None:
    net = references.REFERENCES[name].build()
    assert sum(value.numel() for value in net.parameters()) == pytest.approx(parameters, rel=0.01)
    assert flops_per_image(net) / 6e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize("name", references.REFERENCES)
def test_a_reference_learns(name: str) -> None:
    labels = torch.arange(60) % 10
    images = torch.zeros(60, 28, 28, dtype=torch.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[2 * label + 4 : 2 * label + 6] = 255  # a bar whose position is the label
    reference = replace(references.REFERENCES[name], epochs=8, batch_size=10, warp=None, rate=lambda epochs: 0.3)
    nets = references.trained(reference, images, labels, seed=0)
    accuracies = [references.accuracy(net, images, labels) for net in nets]
    assert len(accuracies) == 8 and max(accuracies) > 0.5


def test_the_profile_counts_every_multiplication() -> None:
    # 5x5 to 14x14, one 3x3 at 14x14 (halving comes before the second of two), one at 7x7, the head
    by_hand = 25 * 4 * 196 + 9 * 4 * 6 * 196 + 9 * 6 * 8 * 49 + 80
    assert flops_per_image(Classifier(Net((4, 6, 8)))) == 3 * 2 * by_hand


def test_the_log_survives_a_line_that_was_cut_short() -> None:
    results.append("kind", {"value": 1})
    with results.RESULTS.open("a") as file:
        file.write('{"kind": "ki')
    row = results.append("kind", {"value": 2})
    assert row["date"] and row["machine"] and row["torch"]
    assert [row["value"] for row in results.rows("kind")] == [1, 2] and results.rows("other") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "reference nosuch",
            'Choose from: "deotte", "one-epoch", "examples". See `python -m benchmarks reference --help`',
        ),
        ("reach one-epoch --epochs -3", "--epochs. Must be >= 1"),
        ("members --keep kept --data nowhere", "nowhere: holds neither digit-recognizer.zip"),
        ("one-net --epochs 0", "fit.epochs: "),
        ("latency nowhere", "nowhere: there is no such folder"),
    ],
)
def test_a_users_mistake_is_refused_in_one_sentence(
    arguments: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status(arguments.split(), app) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []  # neither a result nor a folder for it


@pytest.mark.parametrize("name", ["`smoke`", "`fast`", "`best`", "deotte", "ours-99.0"])
def test_what_was_not_run_says_so(name: str) -> None:
    assert re.search(rf"^\| {name} +\| not run", tables.everything(), re.MULTILINE)


def reach_results(*curves: tuple[list[float], list[float]], name: str = "deotte", machine: str = "slow") -> None:
    """Log a training per pair of seconds and accuracies."""
    with results.RESULTS.open("a") as file:
        for seconds, accuracy in curves:
            row = {"kind": "reach", "name": name, "seconds": seconds, "accuracy": accuracy}
            file.write(json.dumps({**row, "date": "2026-01-01", "machine": machine}) + "\n")


def reached(name: str) -> list[list[str]]:
    """The printed lines of a name."""
    lines = [re.split(r" *\| *", line)[1:-1] for line in tables.everything().splitlines()]
    return [line[1:] for line in lines if line[:1] == [name]]


def test_a_target_is_reached_when_the_mean_over_seeds_is() -> None:
    reach_results(([1.0, 5.0, 9.0], [0.980, 0.991, 0.992]), ([2.0, 5.0, 9.0], [0.985, 0.988, 0.993]))
    assert reached("deotte, 3 epochs") == [["9.0 ± 0.0", "", "0.9925 ± 0.0007", "2", "2026-01-01, slow"]]


def test_longer_trainings_count_among_the_shorter_ones() -> None:
    reach_results(([10.0, 20.0, 30.0], [0.980, 0.992, 0.996]), ([12.0, 22.0], [0.980, 0.990]))
    assert reached("deotte, 2 epochs") == [["21.0 ± 1.4", "", "0.9910 ± 0.0014", "2", "2026-01-01, slow"]]
    assert reached("deotte, 3 epochs") == [["20.0", "30.0", "0.9960", "1", "2026-01-01, slow"]]


def test_a_recipe_has_only_its_own_target() -> None:
    reach_results(([70.0], [0.9961]), name="ours-99.5")
    assert reached("ours-99.5") == [["", "70.0", "0.9961", "1", "2026-01-01, slow"]]


def test_results_of_two_machines_are_not_averaged() -> None:
    for machine, seconds in (("slow", 30.0), ("quick", 10.0), ("slow", 32.0)):
        reach_results(([seconds], [0.991]), machine=machine)
    lines = reached("deotte, 1 epoch")
    assert [(line[0], line[-1]) for line in lines] == [
        ("31.0 ± 1.4", "2026-01-01, slow"),
        ("10.0", "2026-01-01, quick"),
    ]


def test_settings_of_removed_options_are_still_shown() -> None:
    stored = {"epochs": 2, "trunk": 28, "condition": "projection", "r1": 1.0, "loss": "least-squares"}
    assert results.differing(stored, Cgan()) == ["trunk 28", "r1 1.0", "loss least-squares"]


def test_stored_tables_match_the_stored_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", ROOT / "benchmarks" / "results.jsonl")
    assert (ROOT / "benchmarks" / "RESULTS.md").read_text() == tables.everything()


def test_throughput_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["throughput", "--channels", "4", "8", "--digits", "256", "--rounds", "1"], app) == 0
    (row,) = results.rows("throughput")
    assert row["ours_per_s"] > 0 and row["plain_per_s"] > 0
    assert row["ratio"] == pytest.approx(row["ours_per_s"] / row["plain_per_s"], abs=0.006)


@pytest.mark.parametrize(("kind", "n"), [(members.ALL, 80), (members.FOUR_FIFTHS, 64)])
def test_members_never_see_their_held_out_fold(kind: str, n: int) -> None:
    for fold in range(members.FOLDS):
        outside, held_out = members.hold_out(MATERIAL.train, fold)
        assert len(held_out) == 20
        for index in range(2):
            seen = members.training_set(outside, kind, index).keys()
            assert len(seen) == n and not np.isin(seen, held_out.keys()).any()


def test_members_are_measured_once(tmp_path: Path, in_process: list[str]) -> None:
    keep = tmp_path / "keep"
    first = members.measure(1, members.KINDS, TINY, FIT, Warp(), keep, MATERIAL)
    assert len(in_process) == 10 and first["rows"] == 100
    assert [(wrong["kind"], wrong["n"], wrong["views"]) for wrong in first["wrong"]] == [
        (kind, 1, views) for kind in members.KINDS for views in members.CHOICES
    ]
    assert members.measure(1, members.KINDS, TINY, FIT, Warp(), keep, MATERIAL) == first and len(in_process) == 10
    more = members.measure(2, (members.ALL,), TINY, FIT, Warp(), keep, MATERIAL)
    assert len(in_process) == 15 and more["wrong"][:4] == first["wrong"][:4]


def test_each_view_shows_what_its_name_says() -> None:
    digits = few_digits(3)
    assert (members.viewed(digits, members.ORIGINAL) == digits.images).all()
    right, left, down, up = (members.viewed(digits, view) for view in members.SHIFTS)
    assert (right[:, :, 1:] == digits.images[:, :, :-1]).all() and (right[:, :, 0] == 0).all()
    assert (left[:, :, :-1] == digits.images[:, :, 1:]).all()
    assert (down[:, 1:] == digits.images[:, :-1]).all() and (up[:, :-1] == digits.images[:, 1:]).all()


def test_paired_errors_are_counted_row_by_row() -> None:
    errors, error = tables.paired([2, 3], [1], n=5)
    assert errors == 2 - 1
    assert error == pytest.approx(np.std([0, -1, 1, 1, 0], ddof=1) * 5**0.5)
    assert tables.paired([0, 4], [0, 4], n=5) == (0, 0.0)


def constant(label: int) -> nn.Module:
    """A net that is sure of one class for every image."""

    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(x), 10).index_fill_(1, torch.tensor([label]), 50.0)

    return Constant()


def test_teachers_probabilities_become_the_targets() -> None:
    digits = few_digits(20)
    teachers = [constant(3), constant(5)]
    mean = torch.zeros(10).index_fill_(0, torch.tensor([3, 5]), 0.5)
    common = {
        "images": torch.from_numpy(digits.images),
        "labels": torch.zeros(20, dtype=torch.long),
        "warp": Warp(0, 0, 0, 0, 0),
        "batch_size": 8,
        "epoch_images": 1,
    }

    def sample(labels: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return torch.zeros(len(labels), 28, 28, dtype=torch.uint8)

    rng = torch.Generator().manual_seed(0)
    some = distilled.TaughtOfGenerated(
        **common, share=0.25, sample=sample, soft_labels=True, teacher=distilled.mean_of_bytes(teachers)
    )
    images, targets = next(iter(some.epoch(some.generated(rng), rng)))
    assert (targets[:6, 0] == 1).all() and (images[6:] == 0).all()
    torch.testing.assert_close(targets[6:], mean.expand(2, 10))
    every = distilled.TaughtOfAll(**common, teacher=distilled.mean_of_floats(teachers))
    images, targets = next(iter(every.epoch(every.generated(rng), rng)))
    torch.testing.assert_close(targets, mean.expand(8, 10))


def test_distilled_nets_are_measured_once_per_fold(tmp_path: Path, in_process: list[str]) -> None:
    cgan = Cgan(epochs=1, epoch_images=64, batch_size=16, width=4)
    first = distilled.measure(2, TINY, FIT, cgan, tmp_path / "keep", MATERIAL)
    assert len(in_process) == 2 and first["rows"] == 40
    assert list(first["wrong"]) == list(distilled.TITLES)
    again = distilled.measure(2, TINY, FIT, cgan, tmp_path / "keep", MATERIAL)
    assert again == first and len(in_process) == 2


def test_a_generator_is_scored_on_its_held_out_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generators, "CAS_DIGITS", 200)
    monkeypatch.setattr(generators, "CAS_EPOCHS", 1)
    cgan = Cgan(epochs=1, epoch_images=64, batch_size=16, width=4)
    material = replace(MATERIAL, quick=True)
    rows = list(generators.measure(cgan, range(2), material))
    assert [row["seed"] for row in rows] == [0, 1]
    for row in rows:
        assert 0 <= row["cas"] <= 1 and row["variety"] > 0 and row["quality"]["digits"] == 10


def test_pictures_of_no_digit_are_answered_less_the_more_is_demanded(tmp_path: Path) -> None:
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    test = sample.load()[1]
    row = non_digits.measure(CanvasClassifier(threads=1), test.images, test.known_labels(), fonts, each=12)
    assert list(row["answered"]) == [*non_digits.KINDS, "digits"]
    for shares in row["answered"].values():
        assert len(shares) == len(non_digits.THRESHOLDS) and shares == sorted(shares, reverse=True)
    others = [row["answered"][kind][0] for kind in non_digits.KINDS]
    assert np.mean(others) < 0.4 and row["answered"]["digits"][0] > 0.8
    with pytest.raises(BadInput, match="has no fonts"):
        non_digits.measure(CanvasClassifier(threads=1), test.images, test.known_labels(), tmp_path, each=1)


def test_one_net_is_scored_on_the_test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "load_material", lambda data, compute: MATERIAL)
    row = scores.one_net(Net((4, 8)), FIT, 0, Path("data"))
    assert row["judge"] == pytest.approx(1 - row["judge_errors"] / 40, abs=1e-5)


def test_a_reference_is_scored_on_the_test_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "load_material", lambda data, compute: MATERIAL)
    row = scores.reference("one-epoch", 0, Path("data"))
    assert row["judge"] == pytest.approx(1 - row["judge_errors"] / 40, abs=1e-5) and row["epochs"] == 1


def test_a_recipe_is_trained_and_scored() -> None:
    recipe = reach.Recipe(0.99, (4, 8), 100, 1, 0, 0.3)
    accuracy = reach.ours(recipe, 0, few_digits(200), few_digits(20, seed=1))
    assert 0 <= accuracy <= 1
