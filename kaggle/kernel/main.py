"""Runs the pipeline on Kaggle's own machine, without internet: from the attached files to /kaggle/working.

The wheels come from an attached data set, the digits from the competition's; both are looked for below the
input folder, since Kaggle has moved such mounts before. Kaggle's image brings torch, torchvision, pandas and
scikit-learn; pip leaves alone what is there. A settings.toml among the wheels overrides the preset.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

INPUT = Path(os.environ.get("TENFOLD_KERNEL_INPUT", "/kaggle/input"))
WORKING = Path(os.environ.get("TENFOLD_KERNEL_WORKING", "/kaggle/working"))


def holding(*names: str) -> Path:
    """The one folder below INPUT that holds a match for every one of `names`."""
    found = sorted(path.parent for path in INPUT.rglob(names[0]) if all(any(path.parent.glob(n)) for n in names))
    if not found:
        there = (
            ", ".join(sorted(str(path.relative_to(INPUT)) for path in INPUT.rglob("*") if path.is_dir())) or "nothing"
        )
        sys.exit(f"{INPUT}: no folder in it holds {' and '.join(names)}; attached is: {there}")
    return found[0]


def main() -> None:
    """Install, run, and leave the results where Kaggle picks them up."""
    wheels, digits = holding("tenfold-*.whl"), holding("train.csv", "test.csv")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(wheels)]
    subprocess.run([*install, "tenfold[train]"], check=True)
    run = WORKING / "run"
    command = [sys.executable, "-m", "tenfold.cli", "run", "--preset", "best", "--source", "kaggle"]
    if (wheels / "settings.toml").is_file():
        command += ["--config", str(wheels / "settings.toml")]
    subprocess.run([*command, "--data", str(digits), "--out", str(run)], check=True)
    for name in ("submission.csv", "report.html", "classifier.onnx", "generator.onnx", "metrics.json"):
        shutil.copyfile(run / name, WORKING / name)  # a submission is looked for at the top


if __name__ == "__main__":
    main()
