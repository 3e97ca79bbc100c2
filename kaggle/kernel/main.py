"""Runs the pipeline on Kaggle's own machine, without internet: from the attached files to /kaggle/working.

The wheels are in one attached data set, the digits in the competition's. Both are searched for below the input
folder, since Kaggle has moved such mounts before. Kaggle's image has torch, torchvision, pandas and scikit-learn;
pip keeps these. A settings.toml among the wheels overrides the preset.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

INPUT = Path(os.environ.get("TENFOLD_KERNEL_INPUT", "/kaggle/input"))
WORKING = Path(os.environ.get("TENFOLD_KERNEL_WORKING", "/kaggle/working"))


def folder_with(*patterns: str) -> Path:
    """The first folder below INPUT that has a file for every pattern."""
    candidates = sorted(path.parent for path in INPUT.rglob(patterns[0]))
    for folder in candidates:
        if all(any(folder.glob(pattern)) for pattern in patterns):
            return folder
    attached = sorted(str(path.relative_to(INPUT)) for path in INPUT.rglob("*") if path.is_dir())
    sys.exit(f"{INPUT}: no folder has {' and '.join(patterns)}; attached: {', '.join(attached) or 'nothing'}")


def main() -> None:
    """Install, run, and copy the results to where Kaggle picks them up."""
    wheels, digits = folder_with("tenfold-*.whl"), folder_with("train.csv", "test.csv")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--find-links", str(wheels)]
    subprocess.run([*install, "tenfold[train]"], check=True)
    run = WORKING / "run"
    command = [sys.executable, "-m", "tenfold", "run", "--preset", "best", "--source", "kaggle"]
    if (wheels / "settings.toml").is_file():
        command += ["--config", str(wheels / "settings.toml")]
    subprocess.run([*command, "--data", str(digits), "--out", str(run)], check=True)
    for name in ("submission.csv", "report.html", "classifier.onnx", "generator.onnx", "metrics.json"):
        shutil.copyfile(run / name, WORKING / name)  # Kaggle expects a submission at the top


if __name__ == "__main__":
    main()
