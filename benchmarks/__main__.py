"""`python -m benchmarks`: measure what is claimed again, on quiet cores. Results are appended to results.jsonl."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from benchmarks import reach, results
from cyclopts import App, Parameter, validators

from tenfold import cli
from tenfold.presets import Preset
from tenfold.settings import Cgan, Compute, Data, Fit, Net, Warp
from tenfold.storage import atomic
from tenfold_onnx import CanvasClassifier, shipped_models
from tenfold_onnx.contract import CANVAS_ONNX

if TYPE_CHECKING:
    from tenfold.studies.cells import Material

Reference = Literal["deotte", "one-epoch", "examples"]
Reached = Literal["ours-99.0", "ours-99.5", "deotte", "one-epoch", "examples"]
Count = Annotated[int, Parameter(validator=validators.Number(gte=1))]
NET: Final = Net().channels
DATA: Final = Path("data")
MODELS: Final = shipped_models()

app = App(
    name="python -m benchmarks",
    help=__doc__,
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(consume_multiple=True),
)


@app.command
def throughput(channels: tuple[int, ...] = NET, threads: Count = 1, digits: Count = 12_800, rounds: Count = 5) -> None:
    """Training throughput of our loop and of a plain fp32 one."""
    from benchmarks.throughput import measure

    print(results.append("throughput", measure(channels, threads, digits, rounds)))


@app.command
def profile(channels: tuple[int, ...] = NET, threads: Count = 1, digits: Count = 12_800) -> None:
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
    """Time and score of a preset on Kaggle's files; `keep` is the folder for the run.

    Options after `--` go to `tenfold run`.
    """
    from benchmarks.scores import preset as measure

    print(results.append("preset", measure(name, data.resolve(), more, keep)))


@app.command
def one_net(
    channels: tuple[int, ...] = NET,
    tta_shift_px: int = 1,
    epochs: int = 12,
    seeds: Count = 1,
    first_seed: int = 0,
    data: Path = DATA,
) -> None:
    """Time of one net on all 42,000 rows, and its score on the 28,000."""
    from benchmarks.scores import one_net as measure

    for seed in range(first_seed, first_seed + seeds):
        row = measure(Net(channels, tta_shift_px), Fit(epochs=epochs), seed, data)
        print(results.append("one net", row), flush=True)


@app.command
def reference(name: Reference, /, *, seed: int = 0, data: Path = DATA) -> None:
    """A well-known net with its author's settings on Kaggle's rows: deotte, one-epoch or examples."""
    from benchmarks.scores import reference as measure

    print(results.append("reference", measure(name, seed, data)))


@app.command
def members(
    n: Count = 2,
    *,
    channels: tuple[int, ...] = NET,
    epochs: int = 6,
    four_fifths: bool = True,
    warp: Warp | None = None,
    keep: Path,
    data: Path = DATA,
) -> None:
    """What more members, more digits and more views are worth to an ensemble, on training rows held out from it.

    `keep` is the folder for each net's probabilities; the same command measures what is missing there.
    """
    from benchmarks.members import ALL, KINDS, measure

    kinds, net = KINDS if four_fifths else (ALL,), Net(channels, tta_shift_px=0)
    row = measure(n, kinds, net, Fit(epochs=epochs), warp or Warp(), keep, kaggle(data, Compute(threads=1)))
    print({key: value for key, value in results.append("members", row).items() if key != "wrong"})


@app.command
def distilled(
    folds: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=5))] = 3,
    *,
    channels: tuple[int, ...] = NET,
    epochs: int = 6,
    cgan: Cgan | None = None,
    keep: Path,
    data: Path = DATA,
) -> None:
    """Whether an ensemble teaches a light net better than labels do, on training rows held out from both.

    `keep` is the folder for each fold's answers; the same command measures what is missing there.
    """
    from benchmarks.distilled import measure

    net, fit = Net(channels, tta_shift_px=0), Fit(epochs=epochs)
    row = measure(folds, net, fit, cgan or Cgan(epochs=4), keep, kaggle(data, Compute(threads=1)))
    print({key: value for key, value in results.append("distilled", row).items() if key != "wrong"})


@app.command
def latency(run: Path, /, *, rounds: Count = 500) -> None:
    """Latency of a run's light net."""
    from benchmarks.latency import measure

    print(results.append("latency", measure(run, rounds)))


@app.command
def canvas(run: Path = MODELS, /, *, drawings: Count = 5000, data: Path = DATA) -> None:
    """Accuracy of a canvas classifier on test digits placed, scaled and stretched on large canvases."""
    from benchmarks.canvases import measure

    test = kaggle(data, Compute()).test
    session = CanvasClassifier(run / CANVAS_ONNX).session
    print(results.append("canvas", measure(session, test.images[:drawings], test.known_labels()[:drawings], seed=0)))


@app.command
def pictures(run: Path = MODELS, /, *, each: Count = 200, data: Path = DATA) -> None:
    """Accuracy of a canvas classifier on test digits as photographs and scans, by what is difficult about them."""
    from benchmarks.pictures import measure

    test = kaggle(data, Compute()).test
    print(
        results.append("pictures", measure(CanvasClassifier(run / CANVAS_ONNX), test.images, test.known_labels(), each))
    )


@app.command
def non_digits(fonts: Path, /, run: Path = MODELS, *, each: Count = 200, data: Path = DATA) -> None:
    """How many pictures of no single digit a canvas classifier answers, and how many of digits, by probability.

    `fonts` is a folder with fonts of handwriting, such as `npm pack @fontsource/caveat` delivers.
    """
    from benchmarks.non_digits import measure

    test = kaggle(data, Compute()).test
    classifier = CanvasClassifier(run / CANVAS_ONNX, threads=1)
    print(results.append("non-digits", measure(classifier, test.images, test.known_labels(), fonts, each)))


@app.command
def generator(cgan: Cgan | None = None, *, seeds: Count = 1, first_seed: int = 0, data: Path = DATA) -> None:
    """A generator trained on fold 0's training part, scored on the rows that the fold validates; one thread."""
    from benchmarks.generators import measure

    for row in measure(
        cgan or Cgan(), range(first_seed, first_seed + seeds), kaggle(data, Compute(workers=1, threads=1))
    ):
        print(results.append("generator", row), flush=True)


@app.command
def table() -> None:
    """Write everything measured so far to RESULTS.md."""
    from benchmarks.tables import everything

    text = everything()
    atomic.write(Path(__file__).with_name("RESULTS.md"), text.encode())
    print(text, end="")


def kaggle(data: Path, compute: Compute) -> Material:
    """Kaggle's digits and what to compute on."""
    from tenfold.studies.cells import load_material

    return load_material(Data("kaggle", data.resolve()), compute)


if __name__ == "__main__":
    cli.main(app)
