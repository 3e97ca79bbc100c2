"""RESULTS.md: everything measured so far, as tables; what was not run says so."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from benchmarks import reach, results
from benchmarks.distilled import LABELS
from benchmarks.members import CHOICES, paired
from benchmarks.references import REFERENCES

from tenfold.presets import PRESETS
from tenfold.report.markdown import markdown
from tenfold.settings import Cgan, Warp

TARGETS: Final = (0.990, 0.995)
NOT_RUN: Final = "not run"
INTRODUCTION: Final = """# What is measured

Made from `results.jsonl` by `python -m benchmarks table`; `python -m benchmarks --help` lists what measures each row
again. Run nothing beside it."""


def everything() -> str:
    """The whole of RESULTS.md."""
    scores = (_throughput(), _presets(), _members(), _distilled(), _single(), _reached())
    parts = (*scores, _latency(), _canvas(), _generators(), _low_data())
    return "\n\n".join((INTRODUCTION, *parts)) + "\n"


def _throughput() -> str:
    lines = [
        [
            "-".join(map(str, row["channels"])),
            f"{row['precision']}, {row['threads']} thread{'s' if row['threads'] > 1 else ''}",
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
            unusual = _named(results.differing(row.get("warp", {}), Warp()))
            lines.append([", ".join(filter(None, (name, unusual))), *cells, _place(row)])
    header = ["members", *CHOICES, "where"]
    return f"## What an ensemble's members are worth\n\n{note}\n\n" + markdown(header, lines or [[NOT_RUN, *[""] * 5]])


def _distilled() -> str:
    note = (
        "A light net as it answers without shifts, on training rows that are held out from it, from the ensemble that "
        "teaches it and from the generator. In brackets, against the net that learnt from the labels: paired by "
        "training row, ± standard error."
    )
    lines = []
    for row in results.rows("distilled"):
        for name, wrong in row["wrong"].items():
            errors, se = paired(wrong, row["wrong"][LABELS], row["rows"])
            against = "" if name == LABELS else f" ({errors:+} ± {se:.0f})"
            net = f"{'-'.join(map(str, row['net']))}, {row['epochs']} epochs"
            lines.append([name, net, f"{len(wrong)}{against} of {row['rows']:,}", _place(row)])
    header = ["taught by, or itself a teacher", "net", "errors", "where"]
    return f"## A light net taught by an ensemble\n\n{note}\n\n" + markdown(header, lines or [[NOT_RUN, *[""] * 3]])


def _single() -> str:
    nets: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in results.rows("one net"):
        shifts = "shifts" if row["tta_shift_px"] else "no shifts"
        nets[f"ours, {'-'.join(map(str, row['net']))}, {shifts}, {row['epochs']} epochs"].append(row)
    lines = []
    for name, of_net in nets.items():
        for found in _by_machine(of_net):
            seconds = _spread([row["seconds"] for row in found], ".0f", " s")
            lines.append([name, seconds, _scores(found), _place(found[-1])])
    for name in REFERENCES:
        measured = _by_machine(row for row in results.rows("reference") if row["name"] == name)
        for found in measured:
            seconds = _spread([row["training_s"] for row in found], ".0f", " s")
            lines.append([f"{name}, {found[-1]['precision']}", seconds, _scores(found), _place(found[-1])])
        if not measured:
            lines.append([name, NOT_RUN, "", ""])
    header = ["one net on all 42,000", "time", "judge, 28,000", "where"]
    return "## Single nets on Kaggle's files\n\n" + markdown(header, lines)


def _reached() -> str:
    lines = []
    for name in (*reach.RECIPES, *REFERENCES):
        aims = [reach.RECIPES[name].target] if name in reach.RECIPES else TARGETS
        measured = _by_machine(row for row in results.rows("reach") if row["name"] == name)
        for found in measured:
            for epochs in sorted({len(row["accuracy"]) for row in found}):
                long_enough = [row for row in found if len(row["accuracy"]) >= epochs]
                cells = [_time_to(target, long_enough, epochs) if target in aims else "" for target in TARGETS]
                last = _spread([row["accuracy"][epochs - 1] for row in long_enough], ".4f", "")
                lines.append([name, *cells, last, _place(long_enough[-1])])
        if not measured:
            lines.append([name, *(NOT_RUN if target in aims else "" for target in TARGETS), "", ""])
    header = ["MNIST 60,000 / 10,000", "to 99.0 %", "to 99.5 %", "at the end", "where"]
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
    kinds: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in results.rows("generator"):
        kinds[_named(results.differing(row["cgan"], Cgan())) or "the defaults", _place(row)].append(row)
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


def _time_to(target: float, found: list[dict[str, Any]], epochs: int) -> str:
    """The time after which the mean accuracy over seeds is at the target, of the first so many epochs."""
    for epoch in range(epochs):
        if statistics.mean(row["accuracy"][epoch] for row in found) >= target:
            return _spread([row["seconds"][epoch] for row in found], ".1f", " s")
    return f"not in {epochs} epoch{'s' if epochs > 1 else ''}"


def _by_machine(rows: Iterable[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Measurements that can be averaged: of one machine, under the same remark."""
    places: dict[tuple[str, str | None], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        places[row["machine"], row.get("note")].append(row)
    return list(places.values())


def _named(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


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
