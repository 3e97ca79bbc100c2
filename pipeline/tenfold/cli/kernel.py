"""`tenfold kernel`: the same pipeline on Kaggle's own machines. Needs the kaggle extra, no torch."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

from cyclopts import App

from digit_recognizer.client import Limits
from tenfold.cli.run import read_settings

kernel = App(name="kernel", help="Run the pipeline on Kaggle's GPU, with internet off: build, push, status, output.")
OUT = Path("kernel-build")


@kernel.command
def build(*, config: Path | None = None, out: Path = OUT, owner: str | None = None, python: str = "3.12") -> None:
    """Make the two folders that are pushed: wheels with the settings, and the script that runs them.

    Parameters
    ----------
    config
        TOML file of settings, such as [fit] and [cgan]; they override the preset best.
    out
        Where to put the folders.
    owner
        Name of the Kaggle account; asked of the kaggle command unless given.
    python
        Version of Kaggle's Python, for which the wheels are.
    """
    from digit_recognizer import kernel as kernels

    settings = None
    if config:
        read_settings(config)  # refuses what the kernel would refuse, before anything is pushed
        settings = config.read_bytes()
    name = owner or kernels.user(Limits().call_s)
    kernels.build(out, name, settings, Path(__file__).resolve().parents[3], _carried(), python)
    count = len(list((out / "wheels").glob("*.whl")))
    print(f"built {out}: {count} wheels and the kernel of {name}; `tenfold kernel push` sends them")


@kernel.command
def push(*, out: Path = OUT) -> None:
    """Send what `build` made to Kaggle, where it starts at once.

    Parameters
    ----------
    out
        Where `build` put the folders.
    """
    from digit_recognizer import kernel as kernels

    print(f"pushed: {kernels.push(out, Limits(), print)}; `tenfold kernel status` says how it fares")


@kernel.command
def status(*, owner: str | None = None) -> None:
    """Say how the kernel fares: QUEUED, RUNNING, COMPLETE or ERROR.

    Parameters
    ----------
    owner
        Name of the Kaggle account; asked of the kaggle command unless given.
    """
    from digit_recognizer import kernel as kernels

    limit_s = Limits().call_s
    print(kernels.status(owner or kernels.user(limit_s), limit_s))


@kernel.command
def output(*, out: Path = Path("runs/kernel"), owner: str | None = None) -> None:
    """Fetch what the kernel left: submission.csv, the models, the run's folder.

    Parameters
    ----------
    out
        Where to put it.
    owner
        Name of the Kaggle account; asked of the kaggle command unless given.
    """
    from digit_recognizer import kernel as kernels

    limits = Limits()
    found = kernels.output(owner or kernels.user(limits.call_s), out, limits.score_s)
    print(f"fetched {len(found)} files into {out}; `tenfold submit {out}` hands the submission in")


def _carried() -> list[str]:
    """What the kernel needs and Kaggle's image may lack, as requirements."""
    from digit_recognizer.kernel import THERE

    wanted = [line.partition(";") for line in requires("tenfold") or []]
    chosen = [line.strip() for line, _, marker in wanted if "extra" not in marker or "train" in marker]
    return [line for line in chosen if re.split(r"[^\w.-]", line)[0].lower() not in THERE]
