"""`python -m benchmarks`: measure again what is claimed, on quiet cores. Results are appended to results.jsonl."""

from __future__ import annotations

import statistics
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

from benchmarks import reach, results
from benchmarks.members import CHOICES, paired
from cyclopts import App, Parameter, validators

from tenfold.presets import PRESETS
from tenfold.settings import Cgan
from tenfold.table import markdown

DATA: Final = Path("data")
TARGETS: Final = (0.990, 0.995)
NOT_RUN: Final = "not run"

app = App(name="benchmarks", help=__doc__, default_parameter=Parameter(consume_multiple=True))


@app.command
def throughput(
    channels: tuple[int, ...] = (16, 32, 48, 64, 96), threads: int = 1, digits: int = 12_800, rounds: int = 5
) -> None:
    """Training throughput of our loop against a plain fp32 one."""
    from benchmarks.throughput import measure

    print(results.append("throughput", measure(channels, threads, digits, rounds)))


@app.command
def profile(channels: tuple[int, ...] = (16, 32, 48, 64, 96), threads: int = 1, digits: int = 12_800) -> None:
    """Where a training step's time goes."""
    from benchmarks.profile import measure

    print(results.append("profile", measure(channels, threads, digits)))


@app.command(name="reach")
def reach_(name: str, /, *, seeds: int = 5, first_seed: int = 0, epochs: int | None = None, data: Path = DATA) -> None:
    """Time from process start to an accuracy on MNIST: ours-99.0, ours-99.5, deotte, one-epoch or examples."""
    for seed in range(first_seed, first_seed + seeds):
        print(results.append("reach", reach.measure(name, seed, data, epochs)), flush=True)


@app.command
def preset(name: str, /, *more: str, data: Path = DATA, keep: Path | None = None) -> None:
    """A preset's cost and score on Kaggle's files; the run stays in `keep`; further options go to `tenfold run`."""
    from benchmarks.scores import preset as measure

    print(results.append("preset", measure(name, data.resolve(), more, keep)))


@app.command
def one_net(
    channels: tuple[int, ...] = (16, 32, 48, 64, 96),
    tta_shift_px: int = 1,
    epochs: int = 12,
    seeds: int = 1,
    first_seed: int = 0,
    data: Path = DATA,
) -> None:
    """One net on all 42,000 rows: seconds and score on the 28,000."""
    from benchmarks.scores import one_net as measure

    from tenfold.settings import Fit, Net

    for seed in range(first_seed, first_seed + seeds):
        row = measure(Net(channels, tta_shift_px), Fit(epochs=epochs), seed, data.resolve())
        print(results.append("one net", row), flush=True)


@app.command
def reference(name: str, /, *, seed: int = 0, data: Path = DATA) -> None:
    """A well-known net with its author's settings on Kaggle's rows: deotte, one-epoch or examples."""
    from benchmarks.scores import reference as measure

    print(results.append("reference", measure(name, seed, data.resolve())))


@app.command
def members(
    n: Annotated[int, Parameter(validator=validators.Number(gte=1))] = 2,
    *,
    channels: tuple[int, ...] = (16, 32, 48, 64, 96),
    epochs: int = 6,
    four_fifths: bool = True,
    keep: Path,
    data: Path = DATA,
) -> None:
    """What more members, more digits and more views are worth to an ensemble, on training rows held out from all of it.

    What each net says stays in `keep`, by channels and epochs; the same command measures what is missing there.
    """
    from benchmarks.members import ALL, KINDS, measure

    from tenfold.settings import Fit, Net

    kinds = KINDS if four_fifths else (ALL,)
    row = measure(n, kinds, Net(channels, tta_shift_px=0), Fit(epochs=epochs), keep, data.resolve())
    print({key: value for key, value in results.append("members", row).items() if key != "wrong"})


@app.command
def latency(run: Path, /, *, rounds: int = 500) -> None:
    """How fast a run's light net answers."""
    from benchmarks.latency import measure

    print(results.append("latency", measure(run, rounds)))


@app.command
def canvas(run: Path, /, *, drawings: int = 5000, data: Path = DATA) -> None:
    """What a run's canvas classifier makes of test digits placed, scaled, stretched and thickened on large canvases."""
    from benchmarks.canvases import measure
    from benchmarks.scores import kaggle

    from tenfold_onnx import CanvasClassifier

    _, test, key = kaggle(data.resolve())
    session = CanvasClassifier(run / "classifier_canvas.onnx").session
    print(results.append("canvas", measure(session, test.images[:drawings], key[:drawings], seed=0)))


@app.command
def generator(
    cgan: Cgan | None = None,
    *,
    seeds: int = 1,
    first_seed: int = 0,
    judge: Path = Path("judge.safetensors"),
    data: Path = DATA,
) -> None:
    """A generator fitted on fold 0's training part, judged on the rows that the fold validates; one thread."""
    from benchmarks.generators import measure

    for seed in range(first_seed, first_seed + seeds):
        row = measure(cgan or Cgan(), seed, judge, data.resolve())
        print(results.append("generator", row), flush=True)


@app.command
def low_data(
    n: int,
    /,
    shares: tuple[float, ...] = (0.0, 0.3),
    *,
    cgan: Cgan | None = None,
    seeds: int = 3,
    first_seed: int = 0,
    data: Path = DATA,
) -> None:
    """Nets that learn from few real digits, with and without generated ones, judged on the rest of the 42,000."""
    from benchmarks.low_data import measure

    for seed in range(first_seed, first_seed + seeds):
        row = measure(n, shares, cgan or Cgan(epochs=6), seed, data.resolve())
        print(results.append("low data", row), flush=True)


@app.command
def table() -> None:
    """Everything measured so far, as RESULTS.md has it."""
    text = everything()
    Path(__file__).with_name("RESULTS.md").write_text(text, "utf-8")
    print(text, end="")


INTRODUCTION: Final = """# What is measured

Made from `results.jsonl` by `python -m benchmarks table`; `python -m benchmarks --help` lists what measures each row
again. Run nothing beside it."""


def everything() -> str:
    """The whole of RESULTS.md."""
    scores = (_throughput(), _presets(), _members(), _single(), _reached())
    parts = (*scores, _latency(), _canvas(), _generators(), _low_data())
    return "\n\n".join((INTRODUCTION, *parts)) + "\n"


def _throughput() -> str:
    lines = [
        [
            "-".join(map(str, row["channels"])),
            f"{row['precision']}, {row['threads']} threads",
            f"{row['ours_per_s']:,}",
            f"{row['plain_per_s']:,}",
            f"{row['ratio']} ({row['ratio_range'][0]} to {row['ratio_range'][1]}, n = {row['rounds']})",
            _place(row),
        ]
        for row in results.rows("throughput")
    ]
    header = ["net", "ours in", "images/s, ours", "images/s, plain fp32 loop", "ratio (median, range)", "where"]
    return "## Training throughput\n\n" + markdown(header, lines or [[NOT_RUN, *[""] * 5]])


def _presets() -> str:
    lines = []
    for name in PRESETS:
        found = [row for row in results.rows("preset") if row["preset"] == name]
        lines += [
            [
                f"`{name}` {' '.join(row['options'])}",
                f"{row['minutes']} min",
                f"{row['cv'][0]:.5f} ± {row['cv'][1]:.5f} ({row['cv_errors']} errors)",
                f"{row['judge']:.5f} ({row['judge_errors']} errors)",
                f"{row['light_judge']:.5f}",
                _place(row),
            ]
            for row in found
        ] or [[f"`{name}`", NOT_RUN, "", "", "", ""]]
    header = ["preset", "wall time", "cross-validation, 42,000", "judge, 28,000", "its light net", "where"]
    return "## Presets on Kaggle's files\n\n" + markdown(header, lines)


def _members() -> str:
    note = (
        "Errors on all 42,000 training rows, each answered by an ensemble that its fold of five was held out from. Its "
        "members learnt from all that the fold leaves, or from four fifths of that, and either way are shown as many "
        "digits. In brackets, against the first line of the table: paired by training row, ± standard error."
    )
    found = results.rows("members")
    lines = []
    for row in found:
        for kind, n in dict.fromkeys((wrong["kind"], wrong["n"]) for wrong in row["wrong"]):
            cells = []
            for wrong in row["wrong"]:
                if (wrong["kind"], wrong["n"]) == (kind, n):
                    first = next(one for one in found[0]["wrong"] if one["views"] == wrong["views"])
                    errors, se = paired(wrong["rows"], first["rows"], row["rows"])
                    against = f" ({errors:+} ± {se:.0f})" if wrong is not first else ""
                    cells.append(f"{len(wrong['rows'])}{against}")
            name = f"{n} of {'-'.join(map(str, row['net']))}, {row['epochs']} epochs, on {kind}"
            lines.append([name, *cells, _place(row)])
    header = ["members", *CHOICES, "where"]
    return f"## What an ensemble's members are worth\n\n{note}\n\n" + markdown(header, lines or [[NOT_RUN, *[""] * 5]])


def _single() -> str:
    nets: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in results.rows("one net"):
        nets[(*row["net"], "shifts" if row["tta_shift_px"] else "no shifts", row["epochs"], _place(row))].append(row)
    lines = []
    for (*net, shifts, epochs, place), found in nets.items():
        name = f"ours, {'-'.join(map(str, net))}, {shifts}, {epochs} epochs"
        lines.append([name, _spread([row["seconds"] for row in found], ".0f", " s"), _scores(found), place])
    for name in ("deotte", "one-epoch", "examples"):
        found = [row for row in results.rows("reference") if row["name"] == name]
        if not found:
            lines.append([name, NOT_RUN, "", ""])
            continue
        seconds = _spread([row["training_s"] for row in found], ".0f", " s")
        lines.append([f"{name}, {found[-1]['precision']}", seconds, _scores(found), _place(found[-1])])
    header = ["one net on all 42,000", "time", "judge, 28,000", "where"]
    return "## Single nets on Kaggle's files\n\n" + markdown(header, lines)


def _reached() -> str:
    lines = []
    for name in (*reach.RECIPES, "deotte", "one-epoch", "examples"):
        found = [row for row in results.rows("reach") if row["name"] == name]
        aims = [reach.RECIPES[name].target] if name in reach.RECIPES else TARGETS
        cells = ["" if target not in aims else _time_to(target, found) if found else NOT_RUN for target in TARGETS]
        last = _spread([row["accuracy"][-1] for row in found], ".4f", "") if found else ""
        lines.append([name, *cells, last, _place(found[-1]) if found else ""])
    header = ["MNIST 60,000 / 10,000", "to 99.0 %", "to 99.5 %", "last accuracy", "where"]
    note = (
        "From process start, imports and data included. Ours: a recipe fixed beforehand, judged once at its end. The "
        "others: the first epoch after which the mean over seeds is there, which favours them."
    )
    return f"## Time to an accuracy\n\n{note}\n\n" + markdown(header, lines)


def _latency() -> str:
    lines = [
        [
            f"{'-'.join(map(str, row['channels']))}, {engine}",
            *(f"{row['ms'][engine][batch]} ms" for batch in ("1", "32", "1000")),
            f"{min(row['cold_s'])} to {max(row['cold_s'])} s, {row['cold_mb']} MB" if engine == "onnxruntime" else "",
            _place(row),
        ]
        for row in results.rows("latency")
        for engine in row["ms"]
    ]
    header = ["light net, one thread", "batch 1", "32", "1000", "from importing numpy to the first answer", "where"]
    return "## Answering\n\n" + markdown(header, lines or [[NOT_RUN, *[""] * 5]])


def _canvas() -> str:
    lines = [
        [
            f"{row['accuracy']:.4f} on {row['drawings']:,}",
            ", ".join(f"{name} {label}" for name, label in row["no_digit"].items()),
            f"{100 * row['noise_below_half']:.1f} %",
            _place(row),
        ]
        for row in results.rows("canvas")
    ]
    header = ["drawings of test digits", "label of none", "of 1,000 noise images, none likelier than a half", "where"]
    return "## The canvas classifier\n\n" + markdown(header, lines or [[NOT_RUN, *[""] * 3]])


def _generators() -> str:
    usual = asdict(Cgan())
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in results.rows("generator"):
        given = [f"{name} {value}" for name, value in row["cgan"].items() if value != usual[name]]
        kinds[", ".join(given) or "the defaults", _place(row)].append(row)
    lines = [
        [
            name,
            _spread([row["seconds"] for row in found], ".0f", " s"),
            _spread([row["cas"] for row in found], ".4f", ""),
            *_looked_at([row["quality"] for row in found], "manifold"),
            place,
        ]
        for (name, place), found in kinds.items()
    ]
    every = [row["quality"] for row in results.rows("generator")]
    if every:
        lines.append(["real digits", "", "", "", "1", *_looked_at(every, "manifold_floor")[2:5], "0.010", ""])
    header = ["what differs from the defaults", "time", "CAS", "agreement", "Fréchet distance / floor"]
    header += ["precision", "recall", "coverage", "copies", "where"]
    note = (
        "Fitted on the training part of fold 0 of 5, one thread, and judged on the 8,400 rows that the fold validates, "
        "by a light net of six epochs on the same part."
    )
    return f"## Generators\n\n{note}\n\n" + markdown(header, lines or [[NOT_RUN, *[""] * 9]])


def _looked_at(looks: list[dict[str, Any]], manifold: str) -> list[str]:
    """Cells of a table: means over fitted generators."""
    shares = [statistics.mean(look[manifold][name] for look in looks) for name in ("precision", "recall", "coverage")]
    return [
        f"{statistics.mean(look['agreement_mean'] for look in looks):.4f}",
        f"{statistics.mean(look['frechet'] / look['frechet_floor'] for look in looks):.1f}",
        *(f"{share:.3f}" for share in shares),
        f"{statistics.mean(look['copies'] for look in looks):.3f}",
    ]


def _low_data() -> str:
    amounts: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
    for row in results.rows("low data"):
        amounts[row["n"], _place(row)].append(row)
    lines = []
    for (n, place), found in amounts.items():
        for share in found[0]["accuracy"]:
            accuracy = [row["accuracy"][share] for row in found]
            gains = [100 * (row["accuracy"][share] - row["accuracy"]["0.0"]) for row in found]
            gain = _spread(gains, "+.2f", "") if float(share) else ""
            lines.append([f"{n:,}", f"{100 * float(share):g} %", _spread(accuracy, ".4f", ""), gain, place])
    header = [
        "real digits",
        "generated in a batch",
        "accuracy on the rest of the 42,000",
        "points gained, paired",
        "where",
    ]
    return "## Few real digits, with warps\n\n" + markdown(header, lines or [[NOT_RUN, *[""] * 4]])


def _time_to(target: float, found: list[dict[str, Any]]) -> str:
    """The time after which the mean accuracy over seeds is at the target."""
    for epoch in range(min(len(row["accuracy"]) for row in found)):
        if statistics.mean(row["accuracy"][epoch] for row in found) >= target:
            return _spread([row["seconds"][epoch] for row in found], ".1f", " s")
    return f"not in {len(found[0]['accuracy'])} epochs"


def _scores(found: list[dict[str, Any]]) -> str:
    return _spread([row["judge"] for row in found], ".5f", "")


def _spread(values: list[float], form: str, unit: str) -> str:
    """Mean ± standard deviation, and how many."""
    mean = statistics.mean(values)
    if len(values) == 1:
        return f"{mean:{form}}{unit} (n = 1)"
    return f"{mean:{form}} ± {statistics.stdev(values):{form.lstrip('+')}}{unit} (n = {len(values)})"


def _place(row: dict[str, Any]) -> str:
    return f"{row['date']}, {row['machine']}" + (f"; {row['note']}" if "note" in row else "")


if __name__ == "__main__":
    app()
