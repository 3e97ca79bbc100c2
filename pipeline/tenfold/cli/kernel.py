"""`tenfold kernel`: the same pipeline on Kaggle's own machines. Needs the kaggle extra, no torch."""

from __future__ import annotations

import re
from importlib.metadata import requires
from pathlib import Path

from cyclopts import App

from digit_recognizer.account import account_name
from digit_recognizer.limits import Limits
from tenfold.cli.run import read_settings
from tenfold.extras import CHECKOUT

kernel = App(name="kernel", help="Train on Kaggle's GPU: build, push, status, output.")
OUT = Path("kernel-build")


@kernel.command
def build(*, config: Path | None = None, out: Path = OUT, owner: str | None = None, python: str = "3.12") -> None:
    """Write the two folders to push: wheels with the settings, and the script that runs them.

    Parameters
    ----------
    config
        TOML file of settings, such as [fit] and [cgan], which override the preset best.
    out
        Where to write the folders. Those of an earlier build are replaced; anything else is refused.
    owner
        Name of the Kaggle account; by default the kaggle command's.
    python
        Kaggle's Python version, for which wheels are downloaded.
    """
    from digit_recognizer import kernel_build

    settings = None
    if config:
        read_settings(config)  # refuse a wrong file before anything is pushed
        settings = config.read_bytes()
    account = owner or account_name(Limits().call_s)
    kernel_build.build(out, account, settings, CHECKOUT, _requirements(), python)
    count = len(list((out / "wheels").glob("*.whl")))
    print(f"built {out}: {count} wheels and the kernel of {account}; `tenfold kernel push` sends them")


@kernel.command
def push(*, out: Path = OUT) -> None:
    """Send what `build` wrote to Kaggle, where it starts at once.

    Parameters
    ----------
    out
        Where `build` wrote the folders.
    """
    from digit_recognizer import kernel as kernels

    print(f"pushed: {kernels.push(out, Limits(), print)}; `tenfold kernel status` shows its status")


@kernel.command
def status(*, owner: str | None = None) -> None:
    """Print the kernel's status: QUEUED, RUNNING, COMPLETE or ERROR.

    Parameters
    ----------
    owner
        Name of the Kaggle account; by default the kaggle command's.
    """
    from digit_recognizer import kernel as kernels

    limit_s = Limits().call_s
    print(kernels.status(owner or account_name(limit_s), limit_s))


@kernel.command
def output(*, out: Path = Path("runs/kernel"), owner: str | None = None) -> None:
    """Download the kernel's output: submission.csv, the models, the run's folder.

    Parameters
    ----------
    out
        Where to put it.
    owner
        Name of the Kaggle account; by default the kaggle command's.
    """
    from digit_recognizer import kernel as kernels

    limits = Limits()
    files = kernels.output(owner or account_name(limits.call_s), out, limits.score_s)
    print(f"downloaded {len(files)} files into {out}; `tenfold submit {out}` submits its submission.csv")


def _requirements() -> list[str]:
    """The requirements of training that Kaggle's image lacks."""
    from digit_recognizer.kernel_build import PREINSTALLED

    lines = [line.partition(";") for line in requires("tenfold") or []]
    training = [line.strip() for line, _, marker in lines if "extra" not in marker or "train" in marker]
    return [line for line in training if re.split(r"[^\w.-]", line)[0].lower() not in PREINSTALLED]
