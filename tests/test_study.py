"""Studies measure what is missing, tell what they found from their stored numbers, and refuse what they can't use."""

from __future__ import annotations

import csv
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from conftest import few_digits, tenfold
from filelock import FileLock

from tenfold.cli import status
from tenfold.cli.study import Name, asked
from tenfold.errors import BadInput
from tenfold.report import figures
from tenfold.settings import Compute, Warp
from tenfold.studies import dcgan, expansion, nets, plain_loop, study
from tenfold.studies.study import Material, Measured, Study
from tenfold.studies.table import Table

ROOT = Path(__file__).resolve().parents[1]
NAMES = get_args(Name)
ONE_AT_A_TIME = Compute(device="cpu", precision="fp32", workers=1, threads=1)


def cells(quick: bool) -> list[str]:
    return ["plain", "better"] if quick else ["plain", "better", "long"]


def measure(cell: str, seed: int, its: Material) -> list[Measured]:
    assert cell != "long", "is of the full form"
    gain = 0.1 if cell == "better" else 0.0
    return [Measured(cell, {"accuracy": 0.5 + gain + seed / 100}, {f"{cell}-{seed}.txt": b"seen"})]


def plot(table: Table) -> figures.Markup:
    return figures.bars({name: table.error(name, "accuracy") for name in table.names()}, "error, %")


def verdict(table: Table) -> str:
    return f"Better by {table.points('better', 'plain', 'accuracy')}."


def verdict_of_plain(table: Table) -> str:
    return f"Plain: {table.values('plain', 'accuracy')}."


STUDY = Study("nets", "What?", "None of it", "nobody", "By hand.", ("accuracy",), cells, measure, plot, verdict)


def carried_out(folder: Path, seeds: int = 2, quick: bool = True) -> None:
    digits = few_digits(20)
    study.run_study(STUDY, digits, digits, seeds, quick, ONE_AT_A_TIME, folder)


def lines(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "nets.csv").read_text().splitlines()))


def test_every_cell_and_seed_is_a_line_and_the_page_tells_mean_spread_and_verdict(tmp_path: Path) -> None:
    carried_out(tmp_path)
    assert {(row["cell"], row["seed"]) for row in lines(tmp_path)} == {
        *(("plain", "0"), ("plain", "1")),
        *(("better", "0"), ("better", "1")),
    }
    page = (tmp_path / "nets.md").read_text()
    assert "Better by +10.00 ± 0.00." in page
    assert f"{0.605:.4f} ± {np.std([0.60, 0.61], ddof=1):.4f}" in page
    assert "settles nothing" in page and "2 seeds" in page
    assert (tmp_path / "nets.svg").read_text().lstrip().startswith("<svg ")
    assert (tmp_path / "better-1.txt").read_bytes() == b"seen"


def test_what_is_stored_is_not_measured_again(tmp_path: Path) -> None:
    carried_out(tmp_path)
    path = tmp_path / "nets.csv"
    path.write_text(path.read_text().replace("plain,plain,0,0.5,", "plain,plain,0,0.25,").replace(
        next(line for line in path.read_text().splitlines(True) if line.startswith("better,better,1")), ""
    ))  # fmt: skip
    carried_out(tmp_path, seeds=3)
    found = {(row["cell"], row["seed"]): float(row["accuracy"]) for row in lines(tmp_path)}
    assert found["plain", "0"] == 0.25
    assert found["better", "1"] == 0.61 and found["better", "2"] == 0.62
    assert len(found) == 6


def test_the_page_can_be_made_again_from_the_table_alone(tmp_path: Path) -> None:
    carried_out(tmp_path)
    made = {path.name: path.read_bytes() for path in (tmp_path / "nets.md", tmp_path / "nets.svg")}
    for name in made:
        (tmp_path / name).unlink()
    study.write(STUDY, tmp_path)
    assert made == {name: (tmp_path / name).read_bytes() for name in made}
    index = study.index({STUDY: study.load_table(STUDY, tmp_path)})
    assert "settles nothing" in index
    assert "Better by +10.00 ± 0.00." in index and "(nets.md)" in index


def test_a_cell_that_no_seed_changes_is_measured_once(tmp_path: Path) -> None:
    digits = few_digits(20)
    still = replace(STUDY, once=("plain",), verdict=verdict_of_plain)
    study.run_study(still, digits, digits, 3, True, ONE_AT_A_TIME, tmp_path)
    assert [(row["cell"], row["seed"]) for row in lines(tmp_path) if row["cell"] == "plain"] == [("plain", "0")]
    assert "Plain: [0.5]." in (tmp_path / "nets.md").read_text()


def test_two_processes_do_not_measure_in_one_another(tmp_path: Path) -> None:
    with FileLock(tmp_path / ".nets.lock"), pytest.raises(BadInput, match="another `tenfold study nets` is at work"):
        carried_out(tmp_path)
    assert not (tmp_path / "nets.csv").exists()


def test_a_folder_that_can_not_be_one_is_found_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(BadInput, match=r"can't be a folder .* give another --out"):
            carried_out(folder)
    assert (tmp_path / "taken").read_text() == "mine"


def test_the_two_forms_are_not_mixed(tmp_path: Path) -> None:
    carried_out(tmp_path)
    before = (tmp_path / "nets.csv").read_bytes()
    with pytest.raises(BadInput, match="of the quick form; give another --out, or ask for --quick"):
        carried_out(tmp_path, quick=False)
    assert (tmp_path / "nets.csv").read_bytes() == before


def test_a_table_that_is_missing_damaged_or_not_whole_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nets\.csv: is not there"):
        study.write(STUDY, tmp_path)
    carried_out(tmp_path)
    path = tmp_path / "nets.csv"
    whole = path.read_text()
    path.write_text("\n".join(whole.splitlines()[:-1]) + "\n")
    with pytest.raises(BadInput, match=r"lacks 1 of 4 cells, which `tenfold study nets --seeds 2 --quick --out .+` me"):
        study.write(STUDY, tmp_path)
    header, *rows = whole.splitlines(True)
    for damage, said in (
        (whole.replace("seed", "sed"), "other columns"),
        (whole.replace("0.5,", "half,"), "line 2: could not convert"),
        ("\0", "other columns"),
        ("", "other columns"),
        (whole.replace("0.5,", "nan,"), "line 2: a number beyond all measure"),
        (whole.replace("0.5,", "1e308,"), "line 2: a number beyond all measure"),
        (whole.replace("plain,0,", "plain,-1,"), "line 2: seed -1"),
        (whole.replace("plain,0,", "plain,1000000000,"), "line 2: seed 1000000000"),
        (whole[:-20], "unexpected end of data"),
        (whole[: whole.rindex(",quick")], "line 5: missing fields"),
        (whole.replace("0.5,", "0.5,1,"), "line 2: surplus fields"),
        (whole + "".join(rows), "cell plain of seed 0 has a row twice"),
        (whole.replace("0.5,", ","), "cell plain of seed 1 has other rows"),
        (whole.replace("plain,plain,0", "plain,flat,0"), "cell plain of seed 1 has other rows"),
        (whole.replace("quick", "full", 1), "rows of both forms"),
        (whole.replace("quick", "brisk"), "line 2: form brisk"),
    ):
        path.write_text(damage)
        with pytest.raises(BadInput, match=rf"is no table of this study \({said}.*\); remove it"):
            study.write(STUDY, tmp_path)
    path.write_text(header + "".join(rows[:2]).replace("0.5,", ",").replace("0.6,", ","))
    with pytest.raises(BadInput, match=r"nets\.csv: is not whole"):  # one seed, with nothing to compare it with
        study.write(STUDY, tmp_path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(BadInput, match=r"\(no file\)"):
        study.write(STUDY, tmp_path)


def test_a_table_that_a_spreadsheet_saved_is_still_that_table(tmp_path: Path) -> None:
    carried_out(tmp_path)
    path, page = tmp_path / "nets.csv", (tmp_path / "nets.md").read_text()
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    study.write(STUDY, tmp_path)
    assert (tmp_path / "nets.md").read_text() == page


def test_the_index_warns_of_quick_studies_alone() -> None:
    tables = {
        replace(STUDY, title=form): Table(
            [{"row": name, "seed": 0, "accuracy": 0.5, "form": form} for name in ("plain", "better")]
        )
        for form in ("full", "quick")
    }
    before, _, after = study.index(tables).partition("## quick")
    assert "settles nothing" not in before and "settles nothing" in after


def test_differences_are_paired_by_seed() -> None:
    rows = [
        {"row": name, "seed": seed, "accuracy": value}
        for name, values in {"a": (0.93, 0.91, 0.95), "b": (0.92, 0.90, 0.94)}.items()
        for seed, value in enumerate(values)
    ]
    assert Table(rows).points("a", "b", "accuracy") == "+1.00 ± 0.00"
    assert Table(rows[::-1]).points("a", "b", "accuracy") == "+1.00 ± 0.00"
    assert Table([row for row in rows if row["seed"] == 0]).points("b", "a", "accuracy") == "-1.00"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_quick_form_leaves_a_table_a_plot_and_a_verdict(
    name: Name, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, which has torch already; the README's command runs one in its own."""
    out = tmp_path / "found"
    assert status(["study", name, "--quick", "--seeds", "1", "--workers", "1", "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    its = asked(name)
    page = (tmp_path / "found" / f"{name}.md").read_text()
    assert page in said.out
    assert its.claim in page and its.protocol in page
    for cell in its.cells(True):
        assert any(line.startswith(f"{cell},") or line.startswith(f'"{cell}"') for line in
                   (tmp_path / "found" / f"{name}.csv").read_text().splitlines()), cell  # fmt: skip
    left = {path.name for path in (tmp_path / "found").iterdir()}
    assert {f"{name}.csv", f"{name}.svg", f"{name}.md"} <= left
    assert all(picture in left for picture in its.pictures if picture in page)


@pytest.mark.parametrize("name", NAMES)
def test_the_stored_pages_say_what_the_stored_tables_do(name: Name, tmp_path: Path) -> None:
    """In full forms; a verdict is no more than its numbers."""
    shutil.copytree(ROOT / "docs/studies", tmp_path, dirs_exist_ok=True)
    its = asked(name)
    study.write(its, tmp_path)
    assert (tmp_path / f"{name}.md").read_text() == (ROOT / f"docs/studies/{name}.md").read_text()
    table = study.load_table(its, ROOT / "docs/studies")
    assert {row["form"] for row in table.rows} == {"full"}
    assert {row["seed"] for row in table.rows} == {0, 1, 2}


def test_the_index_is_made_from_the_stored_tables() -> None:
    folder = ROOT / "docs/studies"
    tables = {one: study.load_table(one, folder) for one in map(asked, NAMES)}
    assert study.index(tables) == (folder / study.INDEX).read_text()


def test_a_command_refuses_in_a_sentence(tmp_path: Path) -> None:
    for arguments, said in (
        (("nets", "--seeds", "0"), "seeds: is 0"),
        (("nets",), "holds neither digit-recognizer.zip nor train.csv"),
        ((), "studies: is no folder of studies"),
        (("nest",), "nest"),
    ):
        done = tenfold("study", *arguments, cwd=tmp_path)
        assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr, arguments
    assert [path.name for path in tmp_path.iterdir()] == []


# What the studies are made of


def test_the_plain_loop_learns_and_repeats_itself() -> None:
    images = np.zeros((40, 28, 28), np.uint8)
    labels = np.arange(40) % 10
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 4 : 2 * label + 6] = 255  # a bar whose place is the label

    def learnt(seed: int) -> torch.nn.Module:
        torch.manual_seed(0)
        net = plain_loop.Normalised(nets.dense(32))
        optimiser = torch.optim.Adam(net.parameters(), lr=0.01)
        plain_loop.train(net, optimiser, images, labels, 12, seed, ONE_AT_A_TIME, batch_size=10)
        return net

    net, same, other = learnt(1), learnt(1), learnt(2)
    assert (plain_loop.answers(net, images) == labels).all()
    first, second, third = (next(iter(its.parameters())) for its in (net, same, other))
    assert torch.equal(first, second) and not torch.equal(first, third)


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ((9.0, 9.5, 10.0), "real digits, it had not stopped getting better when the time was up"),
        ((25.0, 25.1, 25.2), "In 100 steps, which show 1,600 real digits, it got better until 90, and worse"),
        ((19.0, 21.0, 20.5), "real digits, what came after 90 changed it by +0.17 ± 0.60, which can't be told"),
    ],
)
def test_a_course_is_level_where_its_end_is_within_two_standard_errors(last: tuple[float, ...], said: str) -> None:
    course = [[100.0 - 8 * point] * 3 for point in range(1, 9)] + [[20.0] * 3, list(last)]
    rows = [
        {"row": f"{point} of 10", "seed": seed, "steps": 10 * point, dcgan.DISTANCE: distance}
        for point, distances in enumerate(course, 1)
        for seed, distance in enumerate(distances)
    ]
    floor = {"row": dcgan.FLOOR, "seed": 0, dcgan.DISTANCE: 1.0}
    assert said in dcgan.verdict(Table([*rows, floor]))


def test_rates_rise_and_fall() -> None:
    rates = [plain_loop.rise_and_fall(done) for done in np.linspace(0, 1, 101)]
    assert rates[0] == 0 and rates[-1] == pytest.approx(0) and max(rates) == pytest.approx(1, abs=0.01)
    assert int(np.argmax(rates)) == 15


def test_the_grid_of_shifts_has_77_places_and_loses_no_ink_of_a_centred_window() -> None:
    window = torch.zeros(1, 1, 28, 28)
    window[0, 0, 5:23, 3:25] = 1  # what stays inside wherever it is moved to
    moved, labels = expansion.shifted(window.expand(4000, -1, -1, -1), torch.arange(4000), torch.Generator())
    assert (moved.sum((1, 2, 3)) == window.sum()).all() and torch.equal(labels, torch.arange(4000))
    assert len({image.numpy().tobytes() for image in moved}) == 77


def test_a_quarter_of_all_digits_are_turned_each_way() -> None:
    image = torch.rand(1, 1, 28, 28, generator=torch.Generator())
    turned, _ = expansion.turned(image.expand(400, -1, -1, -1), torch.zeros(400), torch.Generator())
    ways = [sum(torch.equal(one, image[0].rot90(quarter, (1, 2))) for one in turned) for quarter in range(4)]
    assert sum(ways) == 400 and min(ways) > 60


def test_rotations_alone_shear_nothing() -> None:
    assert expansion.WARPED[expansion.ROTATIONS] == Warp(rotation_deg=12, shear_deg=0, scale=0, shift_px=0)


@pytest.mark.parametrize("dilation", [1, 2])
def test_strides_take_the_place_of_pooling(dilation: int) -> None:
    net = nets.strided(dilation)
    strides = [layer.stride for layer in net if isinstance(layer, torch.nn.Conv2d)]
    assert strides == [(1, 1), (2, 2), (2, 2)]
    assert not any("Pool" in type(layer).__name__ for layer in net)
    assert net(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_the_shallow_players_fit_each_other() -> None:
    made = dcgan.Generator()(torch.randn(3, dcgan.Z_DIM, generator=torch.Generator()))
    assert made.shape == (3, 1, 28, 28) and made.abs().max() <= 1
    said = dcgan.Discriminator()(made)
    assert said.shape == (3, 2) and said.abs().max() <= 1
