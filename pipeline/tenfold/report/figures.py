"""Figures as inline SVG. Text stays text; what is black here takes the page's own colour, dark or light."""

from __future__ import annotations

import io
import math
import os
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tenfold.storage import cache, epoch_log
from tenfold.storage.epoch_log import ClassifierEpoch, Epoch, GeneratorEpoch

# matplotlib would keep its list of fonts in a folder of its own, and warn where it can't.
os.environ.setdefault("MPLCONFIGDIR", cache.fonts())

import matplotlib as mpl
from cycler import cycler
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from tenfold.evaluation.diagnostics import Bin

INK: Final = "#010203"  # replaced by the page's text colour once the figure is drawn
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


@contextmanager
def _axes(name: str, width: float, height: float) -> Iterator[tuple[Axes, list[Markup]]]:
    """Axes to draw on; afterwards the list holds the SVG. `name` makes the ids of several figures differ."""
    svgs: list[Markup] = []
    with mpl.rc_context(STYLE | {"svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axis = figure.subplots()
        for ground in (figure.patch, axis.patch):
            ground.set_alpha(0)
        yield axis, svgs
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # nothing refers to a group, and figures name theirs alike
    svgs.append(Markup(svg[svg.index("<svg") :].replace(INK, "currentColor")))


def losses(epochs: Sequence[ClassifierEpoch]) -> Markup:
    """Every classifier's training loss against its epochs."""
    with _axes("losses", *HALF) as (axis, svg):
        for task, lines in _by_task(epochs).items():
            axis.plot([line.epoch for line in lines], [line.loss for line in lines], label=task, alpha=0.85)
        axis.set(ylabel="training loss")
        _over_epochs(axis, epochs)
        if len(axis.lines) <= len(COLOURS):
            axis.legend(fontsize=9)
    return svg[0]


def validation_errors(epochs: Sequence[ClassifierEpoch]) -> Markup | None:
    """Every fold's error on held-out digits against its epochs, logarithmic; None if there never was an error."""
    curves = [
        [
            (line.epoch, round(100 * (1 - line.validation_accuracy), 6))  # 1 %, not 1.0000000000000009 %
            for line in lines
            if line.validation_accuracy is not None
        ]
        for lines in _by_task(epochs).values()
    ]
    rates = [rate for curve in curves for _, rate in curve]
    if not any(rates):
        return None
    with _axes("validation", *HALF) as (axis, svg):
        for curve in filter(None, curves):
            axis.plot(*zip(*curve, strict=True), "o-", markersize=3, alpha=0.85, clip_on=False)
        axis.set(ylabel="validation error")
        _logarithmic_rates(axis, rates)
        _over_epochs(axis, epochs)
    return svg[0]


def _logarithmic_rates(axis: Axes, rates: Sequence[float]) -> None:
    """A vertical axis for error rates in percent: logarithmic, and below the smallest of them linear down to 0."""
    smallest, largest = min(filter(None, rates)), max(rates)
    exponents = range(math.floor(math.log10(smallest)), math.ceil(math.log10(largest)) + 1)
    nice = [step * 10.0**exponent for exponent in exponents for step in (1, 2, 5)]
    low = max(tick for tick in nice if tick <= smallest)
    high = min(tick for tick in nice if tick >= largest)
    ticks = [tick for tick in nice if low <= tick <= high]
    if high > 30 * low:
        ticks = [10.0**exponent for exponent in exponents if low <= 10.0**exponent <= high]
    if min(rates) == 0:
        axis.set_yscale("symlog", linthresh=low, linscale=0.3)
        axis.set_ylim(0, high)
        ticks = [0, *ticks]
    else:
        axis.set_yscale("log")
        axis.set_ylim(low, high)
    axis.set_yticks(ticks)
    axis.yaxis.set_major_formatter(lambda rate, _: f"{rate:g} %")
    axis.yaxis.set_minor_locator(NullLocator())


def reliability(before: Sequence[Bin], after: Sequence[Bin]) -> Markup:
    """Accuracy against confidence, before and after calibration."""
    with _axes("reliability", 4.6, 4.2) as (axis, svg):
        axis.plot([0, 1], [0, 1], color=INK, alpha=0.4, linewidth=1, linestyle="--", label="perfectly calibrated")
        for name, bins, colour in (("before", before, COLOURS[7]), ("after", after, COLOURS[0])):
            at = [entry.confidence for entry in bins]
            axis.plot(at, [entry.accuracy for entry in bins], "o-", color=colour, label=name, markersize=4)
        axis.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.02))
        axis.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axis.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        axis.legend(loc="lower right", fontsize=9)
    return svg[0]


def gan_losses(epochs: Sequence[GeneratorEpoch]) -> Markup:
    """The losses of generator and discriminator against epochs."""
    lines = {
        "discriminator": [line.loss_discriminator for line in epochs],
        "generator": [line.loss_generator for line in epochs],
    }
    return _by_epoch("gan-losses", epochs, lines, "loss", bottom=0)


def scores(epochs: Sequence[GeneratorEpoch]) -> Markup:
    """The discriminator's mean scores of real and generated digits against epochs."""
    lines = {"real": [line.score_real for line in epochs], "generated": [line.score_generated for line in epochs]}
    return _by_epoch("scores", epochs, lines, "discriminator's mean score")


def variety(epochs: Sequence[GeneratorEpoch]) -> Markup:
    """How much generated digits of a class vary, against epochs."""
    lines = {"generated": [line.variety for line in epochs]}
    return _by_epoch("variety", epochs, lines, "variety within a class", bottom=0, level=("real", 1))


@dataclass(frozen=True)
class Box:
    """A labelled box of a diagram, and the boxes that its incoming arrows start at."""

    text: str
    column: float
    row: int
    after: Sequence[Box] = ()
    colour: int = 0


def boxes(every: Sequence[Box]) -> Markup:
    """A diagram, from top to bottom."""
    columns, rows = (max(getattr(box, name) for box in every) + 1 for name in ("column", "row"))
    with _axes("boxes", 4.4 * columns, 0.52 * rows) as (axis, svg):
        axis.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5))
        axis.axis("off")
        for box in every:
            edge = {"boxstyle": "round,pad=0.35", "facecolor": "none", "edgecolor": COLOURS[box.colour]}
            axis.text(box.column, box.row, box.text, ha="center", va="center", fontsize=9, bbox=edge)
            for before in box.after:
                ends = (box.column, box.row - 0.26), (before.column, before.row + 0.26)
                axis.annotate("", *ends, arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 0.8})
    return svg[0]


def timeline(epochs: Sequence[Epoch]) -> Markup:
    """Every epoch as a bar on the run's clock, one row per training."""
    placed = epoch_log.timeline(epochs)
    tasks = list(dict.fromkeys(line.task for _, line in placed))
    with _axes("timeline", 9, 0.8 + 0.3 * len(tasks)) as (axis, svg):
        for begin, line in placed:
            colour = STAGE_COLOURS[line.stage]
            axis.barh(tasks.index(line.task), line.seconds / 60, left=begin / 60, color=colour, height=0.7)
        axis.set_yticks(range(len(tasks)), tasks)
        axis.invert_yaxis()
        axis.set(xlabel="minutes", xlim=(0, None))
    return svg[0]


def bars(values: Mapping[str, Sequence[float]], label: str) -> Markup:
    """One bar per name for the mean of its values, one dot per value."""
    with _axes("bars", 8, 0.8 + 0.36 * len(values)) as (axis, svg):
        for row, points in enumerate(values.values()):
            axis.barh(row, statistics.fmean(points), color=COLOURS[1], height=0.6, alpha=0.5)
            axis.plot(points, [row] * len(points), "o", color=COLOURS[0], markersize=4)
        axis.set_yticks(range(len(values)), list(values))
        axis.invert_yaxis()
        axis.set(xlabel=label)
        axis.set_xlim(left=0)
    return svg[0]


def scattered(values: Mapping[str, tuple[float, float]], across: str, up: str) -> Markup:
    """One point per name, distinguished by colour and shape."""
    with _axes("scattered", 8, 4.6) as (axis, svg):
        for index, (name, (x, y)) in enumerate(values.items()):
            shape, colour = divmod(index, len(COLOURS))
            axis.plot(
                x, y, "os^D"[shape % 4], color=COLOURS[colour], markersize=8, linestyle="", label=name, alpha=0.85
            )
        axis.set(xlabel=across, ylabel=up)
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return svg[0]


def courses(
    lines: Mapping[str, Sequence[tuple[float, float]]], across: str, up: str, level: tuple[str, float]
) -> Markup:
    """Lines through points, and a level to compare them with, on a logarithmic vertical axis."""
    with _axes("courses", 7.2, 4) as (axis, svg):
        for name, points in lines.items():
            axis.plot(*zip(*points, strict=True), "o-", label=name, markersize=4, alpha=0.85)
        _level(axis, *level)
        axis.set(xlabel=across, ylabel=up, yscale="log")
        axis.legend(fontsize=9)
    return svg[0]


def standalone(svg: Markup) -> bytes:
    """An SVG file on a white background: what takes a page's colour elsewhere is black here."""
    return str(svg).replace("<svg ", '<svg style="background:#fff;color:#000" ', 1).encode()


def _by_epoch(
    name: str,
    epochs: Sequence[Epoch],
    lines: Mapping[str, Sequence[float]],
    label: str,
    bottom: float | None = None,
    level: tuple[str, float] | None = None,
) -> Markup:
    with _axes(name, *HALF) as (axis, svg):
        for line, values in lines.items():
            axis.plot([epoch.epoch for epoch in epochs], values, "o-", label=line, markersize=4)
        if level:
            _level(axis, *level)
        axis.set(ylabel=label)
        axis.set_ylim(bottom=bottom)
        axis.legend(fontsize=9)
        _over_epochs(axis, epochs)
    return svg[0]


def _level(axis: Axes, name: str, at: float) -> None:
    axis.axhline(at, color=INK, alpha=0.4, linewidth=1, linestyle="--", label=name)


def _by_task(epochs: Sequence[ClassifierEpoch]) -> dict[str, list[ClassifierEpoch]]:
    tasks: dict[str, list[ClassifierEpoch]] = {}
    for epoch in epochs:
        tasks.setdefault(epoch.task, []).append(epoch)
    return dict(sorted(tasks.items()))


def _over_epochs(axis: Axes, epochs: Sequence[Epoch]) -> None:
    axis.set(xlabel="epoch", xlim=(0.8, max(line.epoch for line in epochs) + 0.2))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
