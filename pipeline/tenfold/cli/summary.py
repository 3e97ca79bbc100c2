"""The end of a command that trains: scores, files, and what to do next."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tenfold.terminal import Verbosity, console, draw, note, result, verbosity

if TYPE_CHECKING:
    from tenfold.evaluation.judge import Verdict
    from tenfold.evaluation.metrics import RunMetrics

OPENERS: Final = {"darwin": "open", "win32": "start"}  # the command that opens a file; elsewhere xdg-open
ROOM_FOR_THREE: Final = 66  # columns of a terminal in which a score and its explanation fit on one line


def show_summary(run: Path, metrics: RunMetrics) -> None:
    """Print a finished run's scores and files, and the next commands; with --quiet only the scores."""
    if console().is_terminal:
        _draw_scores(metrics)
    else:
        for sentence in metrics.sentences():
            result(sentence)
    from tenfold.models.export import MODELS
    from tenfold.storage.run_folder import REPORT, SUBMISSION

    note(f"written to {run}: {SUBMISSION}, {REPORT}, {', '.join(MODELS)}")
    commands = [(open_command(run), "scores, curves, the hardest digits")]
    commands += [(command("app", run), "draw a digit and see it read")]
    if metrics.source == "kaggle" and metrics.honest:
        commands += [(command("submit", run), f"upload {SUBMISSION} to Kaggle")]
    show_next(commands)


def show_next(commands: Sequence[tuple[str, str]]) -> None:
    """Print commands to go on with, each whole on a line of its own, and what each does; not with --quiet."""
    if verbosity() == Verbosity.QUIET:
        return
    if not console().is_terminal:
        for line, purpose in commands:
            print(f"next: {line}  # {purpose}")
        return
    from rich.text import Text

    width = max(len(line) for line, _ in commands)
    beside = all(4 + width + len(purpose) <= console().width for _, purpose in commands)
    draw(Text("\nNext", "bold"))
    for line, purpose in commands:
        between = " " * (2 + width - len(line)) if beside else "\n    "
        # Unwrapped: a command that a terminal itself breaks can still be copied whole.
        draw(Text.assemble("  ", (line, "bold cyan"), between, (purpose, "dim")), wrap=False)


def command(*words: str | Path) -> str:
    """A command of tenfold, to be pasted into a shell. A path that begins with a hyphen is no option."""
    given = [f"./{word}" if isinstance(word, Path) and str(word).startswith("-") else str(word) for word in words]
    return f"tenfold {shlex.join(given)}"


def open_command(run: Path) -> str:
    """The command that shows a run's report on this machine."""
    from tenfold.storage.run_folder import REPORT

    opener = OPENERS.get(sys.platform, "xdg-open")
    if sys.platform == "win32" or shutil.which(opener):
        return f"{opener} {shlex.quote(str(run / REPORT))}"
    return command("report", run, "--open")


def _draw_scores(metrics: RunMetrics) -> None:
    from rich.table import Table
    from rich.text import Text

    cv = metrics.cross_validation
    rows = [("cross-validation", f"{cv.mean:.5f} ± {cv.std:.5f}", f"{cv.errors:,} errors in {cv.rows:,}")]
    if metrics.judge:
        rows.append(("offline test score", *_cells(metrics.judge)))
    if metrics.judge_light:
        rows.append(("light net alone", *_cells(metrics.judge_light)))
    if metrics.generator:
        rows.append(("generated digits", f"{100 * metrics.generator.agreement_mean:.1f} %", "read as requested"))
    style = "bold green" if metrics.honest else "bold red"
    grid = Table.grid(padding=(0, 2))
    for name, score, explanation in rows:
        if console().width >= ROOM_FOR_THREE:
            grid.add_row(name, Text(score, style), explanation)
        else:
            grid.add_row(name, Text.assemble((score, style), "\n", explanation))
    draw("", grid)
    if not metrics.honest:
        draw(Text("LEAKED: trained on test images with their labels; none of these scores means anything", "bold red"))
    draw("")


def _cells(verdict: Verdict) -> tuple[str, str]:
    return f"{verdict.accuracy:.5f}", f"{verdict.errors:,} errors in {verdict.rows:,}"
