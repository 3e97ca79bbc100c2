"""The benchmarks' references are what they are called, and results survive an interruption."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks import distilled, members, references, results, tables
from benchmarks.__main__ import app
from benchmarks.profile import flops_per_image
from conftest import few_digits
from torch import nn

from tenfold.cli import status
from tenfold.data import folds
from tenfold.settings import Settings, Warp

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def own_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results.jsonl")


def multiplications(net: nn.Module) -> int:
    total = 0

    def count(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(layer.weight, torch.Tensor)
        total += layer.weight.numel() * (out.shape[2] * out.shape[3] if out.ndim == 4 else 1)

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    net.eval()(torch.zeros(1, 1, 28, 28))
    return total


@pytest.mark.parametrize(
    ("name", "parameters", "millions"),
    [("deotte", 326_000, 15.2), ("one-epoch", 215_000, 1.24), ("examples", 1_200_000, 12.0)],
)
def test_a_reference_has_the_published_size(name: str, parameters: int, millions: float) -> None:
    net = references.REFERENCES[name].build()
    assert sum(value.numel() for value in net.parameters()) == pytest.approx(parameters, rel=0.01)
    assert multiplications(net) / 1e6 == pytest.approx(millions, rel=0.02)


@pytest.mark.parametrize("name", references.REFERENCES)
def test_a_reference_learns(name: str) -> None:
    from dataclasses import replace

    labels = torch.arange(60) % 10
    images = torch.zeros(60, 28, 28, dtype=torch.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[2 * label + 4 : 2 * label + 6] = 255  # a bar whose place is the label
    reference = replace(references.REFERENCES[name], epochs=8, batch_size=10, warp=None, rate=lambda epochs: 0.3)
    nets = references.trained(reference, images, labels, seed=0)
    accuracies = [references.accuracy(net, images, labels) for net in nets]
    assert len(accuracies) == 8 and max(accuracies) > 0.5


def test_the_profile_counts_every_multiplication() -> None:
    # 5x5 to 14x14, one 3x3 at 14x14 (halving comes before the second of two), one at 7x7, the head
    by_hand = 25 * 4 * 196 + 9 * 4 * 6 * 196 + 9 * 6 * 8 * 49 + 80
    assert flops_per_image((4, 6, 8)) == 3 * 2 * by_hand


def test_results_are_appended_and_a_cut_line_is_left_out() -> None:
    results.append("kind", {"value": 1})
    with results.RESULTS.open("a") as file:
        file.write('{"kind": "ki')
    row = results.append("kind", {"value": 2})
    assert row["date"] and row["machine"] and row["torch"]
    assert [row["value"] for row in results.rows("kind")] == [1, 2] and results.rows("other") == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("reference nosuch", 'Choose from: "deotte", "one-epoch", "examples". `python -m benchmarks reference --help`'),
        ("reach one-epoch --epochs -3", "--epochs. Must be >= 1"),
        ("members --keep kept --data nowhere", "nowhere: holds neither digit-recognizer.zip"),
        ("one-net --epochs 0", "fit.epochs: is 0"),
        ("low-data 1000 2.0", "SHARES. Must be < 1"),
        ("latency nowhere", "nowhere: is no run's folder"),
    ],
)
def test_a_slip_of_the_user_is_one_sentence(
    arguments: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status(arguments.split(), app) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []  # neither a result nor a folder for it


def test_what_was_not_run_says_so() -> None:
    text = tables.everything()
    for name in ("`smoke`", "`fast`", "`best`", "deotte", "ours-99.0"):
        assert re.search(rf"^\| {name} +\| not run", text, re.MULTILINE), name


def test_the_time_to_an_accuracy_is_when_the_mean_over_seeds_is_there() -> None:
    for seed, curve in enumerate(([0.98, 0.991, 0.992], [0.985, 0.988, 0.993])):
        results.append("reach", {"name": "deotte", "seed": seed, "seconds": [1 + seed, 5, 9], "accuracy": curve})
    found = results.rows("reach")
    assert tables._time_to(0.982, found, 3) == "1.5 ± 0.7 s (n = 2)"
    assert tables._time_to(0.990, found, 3) == "9.0 ± 0.0 s (n = 2)"
    assert tables._time_to(0.995, found, 3) == "not in 3 epochs"


def test_a_longer_measurement_counts_in_the_line_of_the_shorter_ones_too() -> None:
    for seconds, accuracy in (([10.0, 20.0, 30.0], [0.980, 0.992, 0.996]), ([12.0, 22.0], [0.980, 0.990])):
        results.append("reach", {"name": "deotte", "seed": 0, "seconds": seconds, "accuracy": accuracy})
    short, long = re.findall(r"^\| deotte +\| (.+? s) .*?\| (.+?) +\| (.+?) +\|", tables._reached(), re.MULTILINE)
    assert short == ("21.0 ± 1.4 s", "not in 2 epochs", "0.9910 ± 0.0014 (n = 2)")
    assert long == ("20.0 s", "30.0 s (n = 1)", "0.9960 (n = 1)")


def test_measurements_of_two_machines_are_not_averaged() -> None:
    lines = []
    for machine, seconds in (("slow", 30.0), ("quick", 10.0), ("slow", 32.0)):
        row = {"kind": "reach", "name": "one-epoch", "seed": 0, "seconds": [seconds], "accuracy": [0.991]}
        lines.append(json.dumps({**row, "date": "2026-01-01", "machine": machine}))
    results.RESULTS.write_text("\n".join(lines))
    found = re.findall(r"^\| one-epoch +\| (.+? s) .*, (\w+) \|$", tables.everything(), re.MULTILINE)
    assert found == [("31.0 ± 1.4 s", "slow"), ("10.0 s", "quick")]


def test_the_stored_tables_are_those_of_the_stored_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "RESULTS", ROOT / "benchmarks" / "results.jsonl")
    stored = (ROOT / "benchmarks" / "RESULTS.md").read_text()
    assert stored == tables.everything()


def test_throughput_is_measured(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from benchmarks import results; "
        f"results.RESULTS = Path({str(tmp_path / 'r.jsonl')!r}); "
        "from benchmarks.__main__ import app; "
        "app('throughput --channels 4 8 --digits 256 --rounds 1', result_action='return_none')"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "r.jsonl").read_text())
    assert row["ours_per_s"] > 0 and row["plain_per_s"] > 0
    assert row["ratio"] == pytest.approx(row["ours_per_s"] / row["plain_per_s"], abs=0.006)


def test_members_see_nothing_of_the_fold_that_is_held_out_from_them(tmp_path: Path) -> None:
    train = few_digits(100)
    fold_of = folds.stratified(train, members.FOLDS, seed=0)
    tasks = [task.argument for task in members.left(2, members.KINDS, Settings(), train, fold_of, tmp_path)]
    assert len(tasks) == 2 * members.FOLDS * len(members.KINDS)
    for task in tasks:
        shown, held_out = set(task.train.keys().tolist()), set(task.held_out.keys().tolist())
        assert not shown & held_out and len(held_out) == 20
        assert len(shown) == {"all": 80, "four fifths": 64}[task.kind]
        assert task.settings.fit.epoch_images == 80  # as many digits for either kind


def test_views_are_what_they_are_called() -> None:
    digits = few_digits(3)
    assert (members.seen(digits, members.AS_IT_IS) == digits.images).all()
    right, left, down, up = (members.seen(digits, view) for view in members.SHIFTS)
    assert (right[:, :, 1:] == digits.images[:, :, :-1]).all() and (right[:, :, 0] == 0).all()
    assert (left[:, :, :-1] == digits.images[:, :, 1:]).all()
    assert (down[:, 1:] == digits.images[:, :-1]).all() and (up[:, :-1] == digits.images[:, 1:]).all()


def test_paired_errors_are_counted_row_by_row() -> None:
    errors, se = members.paired([2, 3], [1], n=5)
    assert errors == 2 - 1
    assert se == pytest.approx(np.std([0, -1, 1, 1, 0], ddof=1) * 5**0.5)
    assert members.paired([0, 4], [0, 4], n=5) == (0, 0.0)


def constant(label: int) -> nn.Module:
    """A net that is sure of one class, whatever it is shown."""

    class Constant(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(x), 10).index_fill_(1, torch.tensor([label]), 50.0)

    return Constant()


def test_an_ensemble_teaches_what_it_says_of_generated_digits_or_of_all() -> None:
    digits = few_digits(20)
    images, labels = torch.from_numpy(digits.images), torch.zeros(20, dtype=torch.long)
    nets = [constant(3), constant(5)]
    said = torch.zeros(10).index_fill_(0, torch.tensor([3, 5]), 0.5)  # the mean of the two

    def sample(asked: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
        return torch.zeros(len(asked), 28, 28, dtype=torch.uint8)

    still = Warp(0, 0, 0, 0, 0)
    draws = torch.Generator().manual_seed(0)
    some = distilled.OfGenerated(
        images, labels, still, 8, 1, 0.25, sample, soft_labels=True, teacher=distilled.of_bytes(nets)
    )
    shown, targets = next(iter(some.batches(some.generated(draws), draws)))
    assert (targets[:6, 0] == 1).all() and (shown[6:] == 0).all()
    torch.testing.assert_close(targets[6:], said.expand(2, 10))
    every = distilled.OfAll(images, labels, still, 8, 1, teacher=distilled.of_floats(nets))
    shown, targets = next(iter(every.batches(every.generated(draws), draws)))
    torch.testing.assert_close(targets, said.expand(8, 10))


def test_a_lesson_sees_nothing_of_the_fold_that_judges_it(tmp_path: Path) -> None:
    train = few_digits(100)
    fold_of = folds.stratified(train, distilled.FOLDS, seed=0)
    parts = distilled.parts(2, train, fold_of, Settings(), tmp_path)
    tasks = [task.argument for task in (*distilled.teaching(parts), *distilled.lessons(parts))]
    assert len(tasks) == 2 * (1 + distilled.TEACHERS + len(distilled.LESSONS))
    for its in tasks:
        shown, held_out = set(its.train.keys().tolist()), set(its.held_out.keys().tolist())
        assert len(shown) == 80 and len(held_out) == 20 and not shown & held_out
