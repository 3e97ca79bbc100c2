"""`python -m benchmarks`: measure again what is claimed, on quiet cores. Results are appended to results.jsonl."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from benchmarks import reach, results
from cyclopts import App, Parameter, validators

from tenfold import cli
from tenfold.presets import Preset
from tenfold.settings import Cgan, Warp
from tenfold.storage import atomic

Reference = Literal["deotte", "one-epoch", "examples"]
Reached = Literal["ours-99.0", "ours-99.5", "deotte", "one-epoch", "examples"]
Count = Annotated[int, Parameter(validator=validators.Number(gte=1))]
Share = Annotated[float, Parameter(validator=validators.Number(gte=0, lt=1))]
DATA: Final = Path("data")

app = App(
    name="python -m benchmarks",
    help=__doc__,
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(consume_multiple=True),
)


@app.command
def throughput(
    channels: tuple[int, ...] = (16, 32, 48, 64, 96), threads: Count = 1, digits: Count = 12_800, rounds: Count = 5
) -> None:
    """Training throughput of our loop against a plain fp32 one."""
    from benchmarks.throughput import measure

    print(results.append("throughput", measure(channels, threads, digits, rounds)))


@app.command
def profile(channels: tuple[int, ...] = (16, 32, 48, 64, 96), threads: Count = 1, digits: Count = 12_800) -> None:
    """Where a training step's time goes."""
    from benchmarks.profile import measure

    print(results.append("profile", measure(channels, threads, digits)))


@app.command(name="reach")
def reach_(
    name: Reached, /, *, seeds: Count = 5, first_seed: int = 0, epochs: Count | None = None, data: Path = DATA
) -> None:
    """Time from process start to an accuracy on MNIST: ours-99.0, ours-99.5, deotte, one-epoch or examples."""
    for seed in range(first_seed, first_seed + seeds):
        print(results.append("reach", reach.measure(name, seed, data, epochs)), flush=True)


@app.command
def preset(name: Preset, /, *more: str, data: Path = DATA, keep: Path | None = None) -> None:
    """A preset's cost and score on Kaggle's files; the run stays in `keep`.

    Further options, after `--`, go to `tenfold run`.
    """
    from benchmarks.scores import preset as measure

    print(results.append("preset", measure(name, data.resolve(), more, keep)))


@app.command
def one_net(
    channels: tuple[int, ...] = (16, 32, 48, 64, 96),
    tta_shift_px: int = 1,
    epochs: int = 12,
    seeds: Count = 1,
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
def reference(name: Reference, /, *, seed: int = 0, data: Path = DATA) -> None:
    """A well-known net with its author's settings on Kaggle's rows: deotte, one-epoch or examples."""
    from benchmarks.scores import reference as measure

    print(results.append("reference", measure(name, seed, data.resolve())))


@app.command
def members(
    n: Count = 2,
    *,
    channels: tuple[int, ...] = (16, 32, 48, 64, 96),
    epochs: int = 6,
    four_fifths: bool = True,
    warp: Warp | None = None,
    keep: Path,
    data: Path = DATA,
) -> None:
    """What more members, more digits and more views are worth to an ensemble, on training rows held out from all of it.

    What each net says stays in `keep`, by channels, epochs and warp; the same command measures what is missing there.
    """
    from benchmarks.members import ALL, KINDS, measure

    from tenfold.settings import Fit, Net

    kinds = KINDS if four_fifths else (ALL,)
    net, fit = Net(channels, tta_shift_px=0), Fit(epochs=epochs)
    row = measure(n, kinds, net, fit, warp or Warp(), keep, data.resolve())
    print({key: value for key, value in results.append("members", row).items() if key != "wrong"})


@app.command
def distilled(
    folds: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=5))] = 3,
    *,
    channels: tuple[int, ...] = (16, 32, 48, 64, 96),
    epochs: int = 6,
    cgan: Cgan | None = None,
    keep: Path,
    data: Path = DATA,
) -> None:
    """Whether an ensemble teaches a light net better than labels do, on training rows held out from all of it.

    What is trained stays in `keep`; the same command trains what is missing there, so give other settings another.
    """
    from benchmarks.distilled import measure

    from tenfold.settings import Fit, Net

    row = measure(
        folds, Net(channels, tta_shift_px=0), Fit(epochs=epochs), cgan or Cgan(epochs=4), keep, data.resolve()
    )
    print({key: value for key, value in results.append("distilled", row).items() if key != "wrong"})


@app.command
def latency(run: Path, /, *, rounds: Count = 500) -> None:
    """How fast a run's light net answers."""
    from benchmarks.latency import measure

    print(results.append("latency", measure(run, rounds)))


@app.command
def canvas(run: Path, /, *, drawings: Count = 5000, data: Path = DATA) -> None:
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
    seeds: Count = 1,
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
    n: Annotated[int, Parameter(validator=validators.Number(gte=100, lte=40_000))],
    /,
    shares: tuple[Share, ...] = (0.0, 0.3),
    *,
    cgan: Cgan | None = None,
    seeds: Count = 3,
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
    from benchmarks.tables import everything

    text = everything()
    atomic.write(Path(__file__).with_name("RESULTS.md"), text.encode())
    print(text, end="")


if __name__ == "__main__":
    cli.main(app)
