"""Curves as inline SVG: text stays text, and what is black here takes the page's own colour, dark or light."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tenfold import cache, timing

# matplotlib would keep its list of fonts in a folder of its own, and warn where it can't.
os.environ.setdefault("MPLCONFIGDIR", cache.fonts())

import matplotlib as mpl
from cycler import cycler
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from tenfold.report.findings import Bin

INK: Final = "#010203"  # stands for the page's text colour, which is put in once the figure is drawn
COLOURS: Final = ("#d9822b", "#3a87c8", "#3f9b62", "#c44e52", "#8c6bb1", "#8a6d4b", "#c65f9e", "#7f8790", "#a3a02f")
STAGE_COLOURS: Final = {"cgan": COLOURS[1], "classifier": COLOURS[0]}
HALF: Final = (4.8, 3.2)  # inches: two of them side by side, or one below the other
STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.prop_cycle": cycler(color=COLOURS),
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}

Epoch = Mapping[str, Any]


@contextmanager
def _drawn(name: str, width: float, height: float) -> Iterator[tuple[Axes, list[Markup]]]:
    """Axes to draw on; afterwards the list holds the SVG. `name` keeps the ids of several figures apart."""
    finished: list[Markup] = []
    with mpl.rc_context(STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axis = figure.subplots()
        for ground in (figure.patch, axis.patch):
            ground.set_alpha(0)
        yield axis, finished
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    finished.append(Markup(svg[svg.index("<svg") :].replace(INK, "currentColor")))


def losses(epochs: Sequence[Epoch]) -> Markup:
    """Every classifier's training loss against its epochs."""
    with _drawn("losses", *HALF) as (axis, svg):
        for task, lines in _by_task(epochs).items():
            axis.plot([line["epoch"] for line in lines], [line["loss"] for line in lines], label=task, alpha=0.85)
        axis.set(ylabel="training loss")
        _over_epochs(axis, epochs)
        if len(axis.lines) <= len(COLOURS):
            axis.legend(fontsize=9)
    return svg[0]


def validation_errors(epochs: Sequence[Epoch]) -> Markup:
    """Every fold's share of wrong answers to held-out digits against its epochs."""
    with _drawn("validation", *HALF) as (axis, svg):
        for lines in _by_task(epochs).values():
            if "validation_accuracy" in lines[0]:
                wrong = [100 * (1 - line["validation_accuracy"]) for line in lines]
                axis.plot([line["epoch"] for line in lines], wrong, alpha=0.85)
        axis.set(ylabel="validation error, %")
        axis.set_ylim(bottom=0)
        _over_epochs(axis, epochs)
    return svg[0]


def reliability(before: Sequence[Bin], after: Sequence[Bin]) -> Markup:
    """Accuracy against sureness, as the nets said it and as the models say it."""
    with _drawn("reliability", 4.6, 4.2) as (axis, svg):
        axis.plot([0, 1], [0, 1], color=INK, alpha=0.4, linewidth=1, linestyle="--", label="as sure as right")
        for name, bins, colour in (("before", before, COLOURS[7]), ("after", after, COLOURS[0])):
            at = [entry.confidence for entry in bins]
            axis.plot(at, [entry.accuracy for entry in bins], "o-", color=colour, label=name, markersize=4)
        axis.set(xlabel="how sure the answer was", ylabel="how often it was right", xlim=(0, 1.02), ylim=(0, 1.02))
        axis.xaxis.set_major_formatter(PercentFormatter(1))
        axis.yaxis.set_major_formatter(PercentFormatter(1))
        axis.legend(loc="upper left", fontsize=9)
    return svg[0]


def players(epochs: Sequence[Epoch]) -> Markup:
    """Both players' losses against the generator's epochs."""
    with _drawn("players", *HALF) as (axis, svg):
        at = [line["epoch"] for line in epochs]
        for player in ("discriminator", "generator"):
            axis.plot(at, [line[f"loss_{player}"] for line in epochs], "o-", label=player, markersize=4)
        axis.set(ylabel="loss")
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=9)
        _over_epochs(axis, epochs)
    return svg[0]


def scores(epochs: Sequence[Epoch]) -> Markup:
    """What the discriminator gives real and generated digits against the generator's epochs."""
    with _drawn("scores", *HALF) as (axis, svg):
        at = [line["epoch"] for line in epochs]
        for kind in ("real", "generated"):
            axis.plot(at, [line[f"score_{kind}"] for line in epochs], "o-", label=kind, markersize=4)
        axis.set(ylabel="discriminator's mean score")
        axis.legend(fontsize=9)
        _over_epochs(axis, epochs)
    return svg[0]


@dataclass(frozen=True)
class Box:
    """A labelled box of a diagram, and the boxes that arrows lead to it from."""

    text: str
    column: float
    row: int
    after: Sequence[Box] = ()
    colour: int = 0


def boxes(every: Sequence[Box]) -> Markup:
    """A diagram, from top to bottom."""
    columns, rows = (max(getattr(box, name) for box in every) + 1 for name in ("column", "row"))
    with _drawn("boxes", 4.4 * columns, 0.52 * rows) as (axis, svg):
        axis.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
        axis.axis("off")
        for box in every:
            edge = {"boxstyle": "round,pad=0.35", "facecolor": "none", "edgecolor": COLOURS[box.colour]}
            axis.text(box.column, box.row, box.text, ha="center", va="center", fontsize=9, bbox=edge)
            for before in box.after:
                ends = (box.column, box.row - 0.26), (before.column, before.row + 0.26)
                axis.annotate("", *ends, arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 0.8})
    return svg[0]


def variety(epochs: Sequence[Epoch]) -> Markup:
    """How much generated digits of a class differ against the generator's epochs."""
    with _drawn("variety", *HALF) as (axis, svg):
        at, found = [line["epoch"] for line in epochs], [line["variety"] for line in epochs]
        axis.plot(at, found, "o-", color=COLOURS[2], markersize=4)
        axis.axhline(1, color=INK, alpha=0.4, linewidth=1, linestyle="--")
        axis.set(ylabel="variety (real digits: 1)")
        axis.set_ylim(bottom=0)
        _over_epochs(axis, epochs)
    return svg[0]


def timeline(epochs: Sequence[Epoch]) -> Markup:
    """Every epoch as a bar on the run's own clock, a row a training."""
    placed = timing.on_own_clock(epochs)
    tasks = list(dict.fromkeys(line["task"] for _, line in placed))
    with _drawn("timeline", 9, 0.8 + 0.3 * len(tasks)) as (axis, svg):
        for begin, line in placed:
            colour = STAGE_COLOURS[line["stage"]]
            axis.barh(tasks.index(line["task"]), line["seconds"] / 60, left=begin / 60, color=colour, height=0.7)
        axis.set_yticks(range(len(tasks)), tasks)
        axis.invert_yaxis()
        axis.set(xlabel="minutes", xlim=(0, None))
    return svg[0]


def _by_task(epochs: Sequence[Epoch]) -> dict[str, list[Epoch]]:
    found: dict[str, list[Epoch]] = {}
    for line in epochs:
        found.setdefault(line["task"], []).append(line)
    return dict(sorted(found.items()))


def _over_epochs(axis: Axes, epochs: Sequence[Epoch]) -> None:
    axis.set(xlabel="epoch", xlim=(0.8, max(line["epoch"] for line in epochs) + 0.2))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
