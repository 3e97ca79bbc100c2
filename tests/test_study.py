"""Studies measure what is missing, derive pages from stored numbers, and refuse damaged tables."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from conftest import few_digits
from filelock import FileLock

from tenfold.cli import status
from tenfold.cli.study import Name, study_named
from tenfold.data.digits import Digits
from tenfold.errors import BadInput
from tenfold.orchestration import pool
from tenfold.settings import Compute, Warp
from tenfold.studies import dcgan, expansion, nets, plain_loop, study
from tenfold.studies.cells import Material, Measurement
from tenfold.studies.study import Study
from tenfold.studies.table import DECIMAL, Table

STORED = Path(__file__).resolve().parents[1] / "docs/studies"
NAMES = get_args(Name)
CPU = Compute(device="cpu", precision="fp32", workers=1, threads=1)
QUICK = Material(few_digits(20), few_digits(20), True, CPU)


def cells(quick: bool) -> list[str]:
    return ["plain", "better"] if quick else ["plain", "better", "long"]


def measure(cell: str, seed: int, material: Material) -> list[Measurement]:
    assert cell != "long", "is of the full form"
    gain = 0.1 if cell == "better" else 0.0
    return [Measurement(cell, {"accuracy": 0.5 + gain + seed / 100}, {f"{cell}-{seed}.txt": b"seen"})]


def verdict(table: Table) -> str:
    return f"Better by {table.points('better', 'plain', 'accuracy')}."


STUDY = Study(
    name="nets",
    title="What?",
    claim="None of it",
    source="nobody",
    protocol="By hand.",
    columns={"accuracy": DECIMAL},
    cells=cells,
    measure=measure,
    plot=study.error_bars,
    verdict=verdict,
)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure cells in this process."""

    def run_all(tasks: Iterable[pool.Task], workers: int, report: pool.Report) -> None:
        for task in tasks:
            task.work(task.argument, report)

    monkeypatch.setattr(pool, "run_all", run_all)


@pytest.fixture
def folder(tmp_path: Path, in_process: None) -> Path:
    """A folder with both seeds of both cells."""
    study.run_study(STUDY, QUICK, 2, tmp_path)
    return tmp_path


def rows(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "nets.csv").read_text().splitlines()))


def test_workers_share_the_cells(tmp_path: Path, in_process: None) -> None:
    material = replace(QUICK, compute=replace(CPU, workers=2))
    study.run_study(STUDY, material, 2, tmp_path)
    accuracies = {(row["cell"], row["seed"]): float(row["accuracy"]) for row in rows(tmp_path)}
    assert accuracies == {("plain", "0"): 0.5, ("plain", "1"): 0.51, ("better", "0"): 0.6, ("better", "1"): 0.61}
    assert (tmp_path / "better-1.txt").read_bytes() == b"seen"


def test_the_page_has_means_spreads_and_the_verdict(folder: Path) -> None:
    page = (folder / "nets.md").read_text()
    assert "Better by +10.00 ± 0.00." in page
    assert f"{0.605:.4f} ± {np.std([0.60, 0.61], ddof=1):.4f}" in page
    assert "proves nothing" in page and "2 seeds" in page
    assert (folder / "nets.svg").read_text().lstrip().startswith("<svg ")


def test_only_missing_cells_are_measured(folder: Path) -> None:
    path = folder / "nets.csv"
    lines = path.read_text().replace("plain,plain,0,0.5,", "plain,plain,0,0.25,").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("better,better,1")))
    study.run_study(STUDY, QUICK, 3, folder)
    accuracies = {(row["cell"], row["seed"]): float(row["accuracy"]) for row in rows(folder)}
    assert accuracies["plain", "0"] == 0.25
    assert accuracies["better", "1"] == 0.61 and accuracies["better", "2"] == 0.62
    assert len(accuracies) == 6


def test_page_and_plot_are_rebuilt_from_the_table(folder: Path) -> None:
    before = {name: (folder / name).read_bytes() for name in ("nets.md", "nets.svg")}
    for name in before:
        (folder / name).unlink()
    table = study.write(STUDY, folder)
    assert before == {name: (folder / name).read_bytes() for name in before}
    index = study.index({STUDY: table})
    assert "proves nothing" in index
    assert "Better by +10.00 ± 0.00." in index and "(nets.md)" in index


def test_a_cell_without_seeds_is_measured_once(tmp_path: Path, in_process: None) -> None:
    once = replace(STUDY, once=("plain",), verdict=lambda table: f"Plain: {table.values('plain', 'accuracy')}.")
    study.run_study(once, QUICK, 3, tmp_path)
    assert [(row["cell"], row["seed"]) for row in rows(tmp_path) if row["cell"] == "plain"] == [("plain", "0")]
    assert "Plain: [0.5]." in (tmp_path / "nets.md").read_text()


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".nets.lock"), pytest.raises(BadInput, match="another process is measuring nets there"):
        study.run_study(STUDY, QUICK, 2, tmp_path)
    assert not (tmp_path / "nets.csv").exists()


@pytest.mark.parametrize("name", ["taken", "taken/below"])
def test_a_file_in_the_folders_place_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(BadInput, match=r"can't be created \(.*\); choose another folder"):
        study.run_study(STUDY, QUICK, 2, tmp_path / name)
    assert (tmp_path / "taken").read_text() == "mine"


def test_quick_and_full_results_are_not_mixed(folder: Path) -> None:
    before = (folder / "nets.csv").read_bytes()
    with pytest.raises(BadInput, match="of the quick form; choose another folder, or add --quick"):
        study.run_study(STUDY, replace(QUICK, quick=False), 2, folder)
    assert (folder / "nets.csv").read_bytes() == before


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nets\.csv: does not exist; `tenfold study nets` measures it"):
        study.write(STUDY, tmp_path)


def test_missing_cells_are_counted(folder: Path) -> None:
    path = folder / "nets.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(BadInput, match=r"lacks 1 of 4 cells; `tenfold study nets --seeds 2 --quick --out .+` measures"):
        study.write(STUDY, folder)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("seed", "sed", "the columns differ"),
        ("0.5,", "half,", "line 2: could not convert"),
        ("0.5,", "nan,", "line 2: numbers must be finite"),
        ("0.5,", "1e308,", "line 2: numbers must be finite and below 1e12"),
        ("plain,0,", "plain,-1,", "line 2: seed must be below 100, got -1"),
        ("plain,0,", "plain,1000000000,", "line 2: seed must be below 100, got 1000000000"),
        ("0.5,", "0.5,1,", "line 2: too many fields"),
        ("0.5,", ",", "cell plain, seed 1: its rows differ"),
        ("plain,plain,0", "plain,flat,0", "cell plain, seed 1: its rows differ"),
        ("plain,plain,1", "plain,plain,0", "cell plain, seed 0: a row occurs twice"),
        ("plain,plain,1,0.51,quick", "plain,plain,1,0.51,full", "quick and full rows are mixed"),
        ("quick", "brisk", "line 2: form must be quick or full, got brisk"),
    ],
)
def test_a_damaged_table_is_refused(old: str, new: str, reason: str, folder: Path) -> None:
    path = folder / "nets.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(BadInput, match=rf"is not a table of this experiment \({reason}.*\); remove it"):
        study.write(STUDY, folder)


@pytest.mark.parametrize(
    ("kept", "reason"),
    [("", "the columns differ"), ("\0", "the columns differ")],
)
def test_a_file_that_is_no_table_is_refused(kept: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "nets.csv").write_text(kept)
    with pytest.raises(BadInput, match=reason):
        study.write(STUDY, tmp_path)


@pytest.mark.parametrize(("end", "reason"), [('"', "unexpected end of data"), (",quick", "line 5: too few fields")])
def test_a_table_that_was_cut_short_is_refused(end: str, reason: str, folder: Path) -> None:
    path = folder / "nets.csv"
    text = path.read_text()
    path.write_text(text[: text.rindex(end)] if end != '"' else text.rstrip('"\n'))
    with pytest.raises(BadInput, match=rf"\({reason}.*\); remove it"):
        study.write(STUDY, folder)


def test_a_table_without_needed_numbers_is_refused(folder: Path) -> None:
    path = folder / "nets.csv"
    header, *lines = path.read_text().splitlines(keepends=True)
    path.write_text(header + "".join(line for line in lines if ",0," in line).replace("0.5,", ",").replace("0.6,", ","))
    with pytest.raises(BadInput, match=r"nets\.csv: is incomplete"):
        study.write(STUDY, folder)


def test_a_table_that_is_not_a_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "nets.csv")
    with pytest.raises(BadInput, match=r"\(not a file\)"):
        study.write(STUDY, tmp_path)


def test_a_table_saved_by_a_spreadsheet_is_read(folder: Path) -> None:
    path, page = folder / "nets.csv", (folder / "nets.md").read_text()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    study.write(STUDY, folder)
    assert (folder / "nets.md").read_text() == page


def test_the_index_warns_of_quick_studies_only() -> None:
    tables = {
        replace(STUDY, title=form): Table(
            [{"row": name, "seed": 0, "accuracy": 0.5, "form": form} for name in ("plain", "better")]
        )
        for form in ("full", "quick")
    }
    before, _, after = study.index(tables).partition("## quick")
    assert "proves nothing" not in before and "proves nothing" in after


def test_differences_are_paired_by_seed() -> None:
    measured = [
        {"row": name, "seed": seed, "accuracy": value}
        for name, values in {"a": (0.93, 0.91, 0.95), "b": (0.92, 0.90, 0.94)}.items()
        for seed, value in enumerate(values)
    ]
    assert Table(measured).points("a", "b", "accuracy") == "+1.00 ± 0.00"
    assert Table(measured[::-1]).points("a", "b", "accuracy") == "+1.00 ± 0.00"
    assert Table([row for row in measured if row["seed"] == 0]).points("b", "a", "accuracy") == "-1.00"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_quick_form_leaves_table_plot_and_verdict(
    name: Name, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With workers in processes of their own."""
    assert status(["study", name, "--quick", "--seeds", "1", "--workers", "1", "--out", str(tmp_path)]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    named = study_named(name)
    page = (tmp_path / f"{name}.md").read_text()
    assert page in output.out
    assert named.claim in page and named.protocol in page
    assert {row["cell"] for row in csv.DictReader((tmp_path / f"{name}.csv").open())} == set(named.cells(True))
    assert (tmp_path / f"{name}.svg").exists()
    assert all((tmp_path / picture).exists() for picture in named.pictures if picture in page)


@pytest.mark.parametrize("name", NAMES)
def test_stored_pages_match_their_stored_tables(name: Name, tmp_path: Path) -> None:
    shutil.copytree(STORED, tmp_path, dirs_exist_ok=True)
    table = study.write(study_named(name), tmp_path)
    for suffix in ("md", "svg"):
        assert (tmp_path / f"{name}.{suffix}").read_text() == (STORED / f"{name}.{suffix}").read_text()
    assert {row["form"] for row in table.rows} == {"full"}
    assert {row["seed"] for row in table.rows} == {0, 1, 2}


def test_the_index_is_rebuilt_without_incomplete_studies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(STORED, tmp_path, dirs_exist_ok=True)
    (tmp_path / "README.md").unlink()
    assert status(["study", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "README.md").read_text() == (STORED / "README.md").read_text()
    (tmp_path / "nets.csv").unlink()
    capsys.readouterr()
    assert status(["study", "--out", str(tmp_path)]) == 0
    assert "nets.csv: does not exist" in capsys.readouterr().out
    assert "(nets.md)" not in (tmp_path / "README.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nets", "--seeds", "0"], "seeds: must be an integer from 1 to 100, got 0"),
        (["nets"], "holds neither digit-recognizer.zip nor train.csv"),
        ([], "studies: is not a folder"),
        (["--out", "."], "holds no complete study"),
        (["nest"], "nest"),
    ],
)
def test_a_users_mistake_is_refused_in_one_sentence(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status(["study", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


# The parts of the studies


def test_the_plain_loop_learns_and_repeats_itself() -> None:
    images = np.zeros((40, 28, 28), np.uint8)
    labels = np.arange(40) % 10
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 4 : 2 * label + 6] = 255  # a bar whose position is the label
    digits = Digits.of("bars", images, labels)

    def trained(seed: int) -> torch.nn.Module:
        torch.manual_seed(0)
        net = plain_loop.Normalised(nets.dense(32))
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
        plain_loop.train(net, optimiser, digits, 12, seed, CPU, batch_size=10)
        return net

    net, same, other = trained(1), trained(1), trained(2)
    assert plain_loop.accuracy(net, digits) == 1
    first, second, third = (next(iter(one.parameters())) for one in (net, same, other))
    assert torch.equal(first, second) and not torch.equal(first, third)


@pytest.mark.parametrize(
    ("last", "conclusion"),
    [
        ((9.0, 9.5, 10.0), "real digits, it was still improving at the end"),
        ((25.0, 25.1, 25.2), "In 100 steps, which show 1,600 real digits, it improved until 90, then got worse"),
        ((19.0, 21.0, 20.5), "the steps after 90 changed it by +0.17 ± 0.60, which is not distinguishable from 0"),
    ],
)
def test_a_curve_is_level_within_two_standard_errors(last: tuple[float, ...], conclusion: str) -> None:
    curve = [[100.0 - 8 * point] * 3 for point in range(1, 9)] + [[20.0] * 3, list(last)]
    measured = [
        {"row": f"{point} of 10", "seed": seed, "steps": 10 * point, dcgan.DISTANCE: distance}
        for point, distances in enumerate(curve, 1)
        for seed, distance in enumerate(distances)
    ]
    floor = {"row": dcgan.FLOOR, "seed": 0, dcgan.DISTANCE: 1.0}
    assert conclusion in dcgan.verdict(Table([*measured, floor]))


def test_the_learning_rate_rises_then_falls() -> None:
    rates = [plain_loop.rise_and_fall(done) for done in np.linspace(0, 1, 101)]
    assert rates[0] == 0 and rates[-1] == pytest.approx(0) and max(rates) == pytest.approx(1, abs=0.01)
    assert int(np.argmax(rates)) == 15


def test_the_77_shifts_keep_a_centred_window_whole() -> None:
    window = torch.zeros(1, 1, 28, 28)
    window[0, 0, 5:23, 3:25] = 1
    moved, labels = expansion.shifted(window.expand(4000, -1, -1, -1), torch.arange(4000), torch.Generator())
    assert (moved.sum((1, 2, 3)) == window.sum()).all() and torch.equal(labels, torch.arange(4000))
    assert len({image.numpy().tobytes() for image in moved}) == 77


def test_about_a_quarter_of_digits_get_each_turn() -> None:
    image = torch.rand(1, 1, 28, 28, generator=torch.Generator())
    turned, _ = expansion.turned(image.expand(400, -1, -1, -1), torch.zeros(400), torch.Generator())
    turns = [sum(torch.equal(one, image[0].rot90(quarter, (1, 2))) for one in turned) for quarter in range(4)]
    assert sum(turns) == 400 and min(turns) > 60


def test_the_rotation_study_only_rotates() -> None:
    assert expansion.WARPED[expansion.ROTATIONS] == Warp(rotation_deg=12, shear_deg=0, scale=0, shift_px=0)


@pytest.mark.parametrize("dilation", [1, 2])
def test_the_strided_nets_have_strides_but_no_pooling(dilation: int) -> None:
    net = nets.strided(dilation)
    strides = [layer.stride for layer in net if isinstance(layer, torch.nn.Conv2d)]
    assert strides == [(1, 1), (2, 2), (2, 2)]
    assert not any("Pool" in type(layer).__name__ for layer in net)
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_the_shallow_generator_fits_its_discriminator() -> None:
    images = dcgan.Generator()(torch.randn(3, dcgan.Z_DIM, generator=torch.Generator()))
    assert images.shape == (3, 1, 28, 28) and images.abs().max() <= 1
    scores = dcgan.Discriminator()(images)
    assert scores.shape == (3, 2) and scores.abs().max() <= 1
