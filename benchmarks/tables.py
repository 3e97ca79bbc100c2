"""RESULTS.md: everything measured so far, as tables; what was not measured says "not run"."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from benchmarks import reach, results
from benchmarks.distilled import LABELS, TITLES
from benchmarks.members import CHOICES
from benchmarks.non_digits import THRESHOLDS
from benchmarks.references import REFERENCES
from scipy import stats

from tenfold.presets import PRESETS
from tenfold.report.markdown import markdown
from tenfold.settings import Cgan, Warp
from tenfold.studies.table import COUNT, DECIMAL, summary

Result = Mapping[str, Any]  # a line of results.jsonl
Named = dict[str, list[Result]]  # the results of each line of a table, by its name
Columns = Mapping[str, tuple[str, str]]  # header to the key of a number ("quality.copies") and its format

NOT_RUN: Final = "not run"
TARGETS: Final = (0.990, 0.995)
INTRODUCTION: Final = """# What is measured

Made from `results.jsonl` by `python -m benchmarks table`; `python -m benchmarks --help` lists the commands that measure
each line again. Run nothing beside them. Cells are mean ± standard deviation over n measurements on one machine."""


def everything() -> str:
    """The whole of RESULTS.md."""
    scores = (_throughput(), _presets(), _members(), _distilled(), _single_nets(), _reached())
    return (
        "\n\n".join(
            (INTRODUCTION, *scores, _latency(), _canvas(), _pictures(), _non_digits(), _generators(), _low_data())
        )
        + "\n"
    )


def _throughput() -> str:
    columns = {
        "images/s, ours": ("ours_per_s", COUNT),
        "images/s, plain fp32 loop": ("plain_per_s", COUNT),
        "ratio, median": ("ratio", ".2f"),
        "lowest": ("ratio_range.0", ".2f"),
        "highest": ("ratio_range.1", ".2f"),
        "rounds": ("rounds", COUNT),
    }
    named = _named(
        results.rows("throughput"),
        lambda result: results.described(result["channels"], result["precision"], f"threads: {result['threads']}"),
    )
    return _section("Training throughput", "our loop", columns, named)


def _presets() -> str:
    columns = {
        "minutes": ("minutes", ".1f"),
        "cross-validation, 42,000": ("cv.0", ".5f"),
        "± over folds": ("cv.1", ".5f"),
        "errors": ("cv_errors", COUNT),
        "offline test score, 28,000": ("judge", ".5f"),
        "test errors": ("judge_errors", COUNT),
        "test score of the light net": ("light_judge", ".5f"),
    }
    named: Named = {}
    for preset in [name for name in PRESETS if name != "demo"]:  # that is for the sample
        measured = [result for result in results.rows("preset") if result["preset"] == preset]
        of_preset = _named(measured, lambda result: " ".join([f"`{result['preset']}`", *result["options"]]))
        named |= of_preset or {f"`{preset}`": []}
    return _section("Presets on Kaggle's files", "preset", columns, named)


def _members() -> str:
    note = (
        "Errors on all 42,000 training rows, each predicted by an ensemble that its fold of five was held out from. "
        "Members are trained on all other rows or on four fifths of them, and see as many digits either way. In "
        "brackets: difference from the first line, paired by training row, ± standard error."
    )
    measured = results.rows("members")
    lines = []
    for result in measured:
        first = {wrong["views"]: wrong["rows"] for wrong in reversed(measured[0]["wrong"])}
        ensembles: dict[str, list[str]] = defaultdict(list)
        for wrong in result["wrong"]:
            errors = _errors(wrong["rows"], first[wrong["views"]], result["rows"])
            ensembles[f"{wrong['n']} on {wrong['kind']}"].append(errors)
        warp = results.differing(result.get("warp", {}), Warp())
        settings = results.described(result["net"], f"{result['epochs']} epochs", *warp)
        lines += [[f"{members}: {settings}", *errors, _place(result)] for members, errors in ensembles.items()]
    return _titled("What an ensemble's members are worth", ["members", *CHOICES, "where"], lines, note)


def _distilled() -> str:
    note = (
        "Errors of a light net without test-time shifts, on training rows held out from it, from the ensemble that "
        "teaches it and from the generator. In brackets: difference from the net that learns from labels, paired by "
        "training row, ± standard error."
    )
    lines = [
        [
            TITLES[name],
            results.described(result["net"], f"{result['epochs']} epochs"),
            f"{_errors(wrong, result['wrong'][LABELS], result['rows'])} of {result['rows']:,}",
            _place(result),
        ]
        for result in results.rows("distilled")
        for name, wrong in result["wrong"].items()
    ]
    header = ["net", "settings", "errors", "where"]
    return _titled("A light net taught by an ensemble", header, lines, note)


def _single_nets() -> str:
    columns = {"seconds": ("seconds", COUNT), "offline test score, 28,000": ("judge", ".5f")}

    def ours(result: Result) -> str:
        shifts = "shifts" if result["tta_shift_px"] else "no shifts"
        return "ours, " + results.described(result["net"], f"{result['epochs']} epochs", shifts)

    references = [{**result, "seconds": result["training_s"]} for result in results.rows("reference")]
    named = _named(results.rows("one net"), ours)
    named |= _named(references, lambda result: f"{result['name']}, {result['precision']}")
    named |= {name: [] for name in REFERENCES if name not in {result["name"] for result in references}}
    return _section("Single nets on Kaggle's files", "one net on all 42,000 rows", columns, named)


def _reached() -> str:
    note = (
        "From process start, with imports and data. Ours: a recipe fixed beforehand, measured once at its end. The "
        "others: the first epoch after which the mean over seeds reaches the target, which favours them. An empty "
        "cell: not reached, or not the recipe's target."
    )
    columns = {f"seconds to {100 * target:.1f} %": (_seconds_to(target), ".1f") for target in TARGETS}
    named: Named = {}
    for name in (*reach.RECIPES, *REFERENCES):
        measured = with_targets([result for result in results.rows("reach") if result["name"] == name])
        named |= _named(measured, _epochs) or {name: []}
    columns["accuracy at the end"] = ("last", DECIMAL)
    return _section("Time to an accuracy", "MNIST 60,000 / 10,000", columns, named, note)


def _epochs(result: Result) -> str:
    name, epochs = result["name"], result["epochs"]
    return name if name in reach.RECIPES else f"{name}, {epochs} epoch{'s' if epochs > 1 else ''}"


def _seconds_to(target: float) -> str:
    return f"seconds_to_{1000 * target:.0f}"


def with_targets(measured: Iterable[Result]) -> Iterator[Result]:
    """Results of one training for each number of epochs, with the seconds to each target reached within these.

    A target is reached in the first epoch after which the mean over the results of one machine is there.
    """
    for group in _by_machine(measured):
        for epochs in sorted({len(result["accuracy"]) for result in group}):
            longer = [result for result in group if len(result["accuracy"]) >= epochs]
            means = [statistics.mean(result["accuracy"][epoch] for result in longer) for epoch in range(epochs)]
            first = {target: next((n for n, mean in enumerate(means) if mean >= target), None) for target in TARGETS}
            for result in longer:
                recipe = reach.RECIPES.get(result["name"])
                seconds = {
                    _seconds_to(target): result["seconds"][n]
                    for target, n in first.items()
                    if n is not None and (recipe is None or recipe.target == target)
                }
                yield {**result, "epochs": epochs, "last": result["accuracy"][epochs - 1], **seconds}


def _latency() -> str:
    columns = {
        "batch 1, ms": ("times.1", ".3f"),
        "32, ms": ("times.32", ".3f"),
        "1000, ms": ("times.1000", ".3f"),
        "cold start, s": ("fastest", ".3f"),
        "slowest": ("slowest", ".3f"),
        "MB": ("mb", COUNT),
    }
    measured = []
    for result in results.rows("latency"):
        cold = {"fastest": min(result["cold_s"]), "slowest": max(result["cold_s"]), "mb": result["cold_mb"]}
        measured += [
            {**result, "engine": engine, "times": times, **(cold if engine == "onnxruntime" else {})}
            for engine, times in result["ms"].items()
        ]
    named = _named(measured, lambda result: results.described(result["channels"], result["engine"]))
    note = "A cold start is the time from importing numpy to the first answer: the fastest and the slowest of five."
    return _section("Latency", "light net, one thread", columns, named, note)


def _canvas() -> str:
    columns = {
        "accuracy": ("accuracy", DECIMAL),
        "label of a blank": ("no_digit.blank", COUNT),
        "of a dot": ("no_digit.dot", COUNT),
        "of a full canvas": ("no_digit.full", COUNT),
        "share of 1,000 noise images with no probability ≥ ½": ("noise_below_half", ".3f"),
    }
    named = _named(results.rows("canvas"), lambda result: f"{result['drawings']:,}")
    return _section("The canvas classifier", "drawings of test digits", columns, named)


def _pictures() -> str:
    columns = {
        "accuracy": ("accuracy", DECIMAL),
        "wrong answers above 0.9": ("sure", COUNT),
        "pictures": ("each", COUNT),
    }
    measured = [
        {**result, "picture": kind, "accuracy": accuracy, "sure": result["sure_and_wrong"][kind]}
        for result in results.rows("pictures")
        for kind, accuracy in result["accuracy"].items()
    ]
    return _section("Photographs and scans", "picture", columns, _named(measured, lambda result: result["picture"]))


def _non_digits() -> str:
    columns = {f"p ≥ {least}": (f"shares.{place}", ".3f") for place, least in enumerate(THRESHOLDS)}
    measured = [
        {**result, "picture": kind, "shares": shares}
        for result in results.rows("non-digits")
        for kind, shares in result["answered"].items()
    ]
    note = "The share that is answered. `digits` are those of the line above that mixes all difficulties."
    named = _named(measured, lambda result: result["picture"])
    return _section("Pictures of no single digit", "picture", columns, named, note)


def _generators() -> str:
    note = (
        "Trained on the training part of fold 0 of 5, one thread; scored on the 8,400 rows that the fold validates, by "
        "a light net of six epochs on the same training part. Commit `bb82c74` has the options "
        f"{', '.join(f'`{name}`' for name in results.REMOVED)}."
    )
    columns = {
        "seconds": ("seconds", COUNT),
        "CAS": ("cas", DECIMAL),
        "agreement": ("quality.agreement_mean", DECIMAL),
        "Fréchet distance / floor": ("frechet", ".1f"),
        **{name: (f"manifold.{name}", ".3f") for name in ("precision", "recall", "coverage")},
        "copies": ("quality.copies", ".3f"),
    }
    measured, real = [], []
    for result in results.rows("generator"):
        quality = result["quality"]
        frechet = quality["frechet"] / quality["frechet_floor"]
        measured.append({**result, "frechet": frechet, "manifold": quality["manifold"]})
        place = {key: value for key, value in result.items() if key in ("date", "machine", "note")}
        real.append({**place, "frechet": 1, "manifold": quality["manifold_floor"], "quality": {"copies": 0.01}})
    named = _named(measured, lambda result: ", ".join(results.differing(result["cgan"], Cgan())) or "the defaults")
    named |= _named(real, lambda result: "real digits")
    return _section("Generators", "what differs from the defaults", columns, named, note)


def _low_data() -> str:
    note = (
        "Measured with warps, by `python -m benchmarks low-data` of commit `bb82c74`. "
        "`tenfold study low-data` now tests the question ([its page](../docs/studies/low-data.md))."
    )
    columns = {"accuracy on the rest of the 42,000": ("reached", DECIMAL), "points gained, paired": ("gain", "+.2f")}
    measured = []
    for result in sorted(results.rows("low data"), key=lambda result: result["n"]):
        none = result["accuracy"]["0.0"]
        for share, accuracy in result["accuracy"].items():
            gain = {"gain": 100 * (accuracy - none)} if float(share) else {}
            measured.append({**result, "share": float(share), "reached": accuracy, **gain})
    named = _named(
        measured, lambda result: f"{result['n']:,} real digits, {100 * result['share']:g} % generated in a batch"
    )
    return _section("Few real digits", "trained on", columns, named, note)


def paired(a: Sequence[int], b: Sequence[int], n: int) -> tuple[int, float]:
    """Errors of `a` minus errors of `b`, and the standard error, given which of the same `n` rows each misreads."""
    difference = np.zeros(n, np.int64)
    difference[list(a)] += 1
    difference[list(b)] -= 1
    return int(difference.sum()), float(n * stats.sem(difference))


def _errors(wrong: Sequence[int], first: Sequence[int], n: int) -> str:
    """The number of errors, and its difference from that of another net on the same rows."""
    difference, error = paired(wrong, first, n)
    return f"{len(wrong)}" if wrong is first else f"{len(wrong)} ({difference:+} ± {error:.0f})"


def _named(measured: Iterable[Result], name: Callable[[Result], str]) -> Named:
    """Results by name, in the order of first appearance."""
    named: Named = {}
    for result in measured:
        named.setdefault(name(result), []).append(result)
    return named


def _by_machine(measured: Iterable[Result]) -> Iterable[list[Result]]:
    """Results that can be averaged: of one machine, under the same note."""
    return _named(measured, lambda result: f"{result['machine']}; {result.get('note')}").values()


def _section(title: str, what: str, columns: Columns, named: Named, note: str = "") -> str:
    """A table with one line per name and machine; a name without results is not run."""
    lines = []
    for name, measured in named.items():
        for group in _by_machine(measured):
            cells = [summary(_numbers(group, key), form) for key, form in columns.values()]
            lines.append([name, *cells, str(len(group)), _place(group[-1])])
        if not measured:
            lines.append([name, NOT_RUN, *[""] * (len(columns) + 1)])
    return _titled(title, [what, *columns, "n", "where"], lines, note)


def _numbers(measured: Iterable[Result], path: str) -> list[float]:
    """The number under a key such as "quality.copies" or "cv.0", of each result that has it."""
    found: list[Any] = list(measured)
    for key in path.split("."):
        found = [part[int(key)] if isinstance(part, list) else part.get(key) for part in found]
    return [number for number in found if number is not None]


def _titled(title: str, header: Sequence[str], lines: Sequence[Sequence[str]], note: str = "") -> str:
    table = markdown(header, lines or [[NOT_RUN, *[""] * (len(header) - 1)]])
    return "\n\n".join(filter(None, (f"## {title}", note, table)))


def _place(result: Result) -> str:
    return f"{result['date']}, {result['machine']}" + (f"; {result['note']}" if "note" in result else "")
