"""The wheel holds the three packages and nothing else, and hides nobody's `kaggle`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_the_kaggle_folder_shadows_nothing_even_from_the_root() -> None:
    program = "import importlib.util; print(importlib.util.find_spec('kaggle').origin)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert "site-packages" in done.stdout


def test_every_package_folder_is_listed_for_the_wheel() -> None:
    import tomllib

    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    there = {
        ".".join(path.parent.relative_to(root).parts)
        for root in (ROOT / "pipeline", ROOT / "export", ROOT / "kaggle")
        for path in root.rglob("__init__.py")
    }
    assert listed == there


def test_the_base_installation_asks_for_no_torch() -> None:
    asked = importlib.metadata.requires("tenfold") or []
    base = sorted(line.split(">")[0] for line in asked if "extra ==" not in line)
    assert base == ["cyclopts", "numpy", "onnxruntime"]


def test_the_release_asks_for_what_there_is() -> None:
    from tenfold.cli import command_line
    from tenfold.models.export import MODELS

    workflow = (ROOT / ".github/workflows/release.yml").read_text()
    commands = re.findall(r"- run: tenfold (.+)", workflow)
    assert commands == ["run --source mnist --preset fast --out runs/release"]
    command_line.parse_args(commands[0], exit_on_error=False, print_error=False)  # raises where an option is unknown
    assert "runs/release/*.onnx" in workflow and all(name.endswith(".onnx") for name in MODELS)


@pytest.mark.slow
def test_the_wheel_is_built_and_holds_just_the_packages(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
        assert {name for name in tops if not name.endswith(".dist-info")} == {
            "tenfold",
            "tenfold_onnx",
            "digit_recognizer",
        }
        known = (".py", "py.typed", ".html", ".css", ".js", ".svg")
        assert all(name.endswith(known) or ".dist-info/" in name for name in archive.namelist())
        assert "tenfold_onnx/app/static/index.html" in archive.namelist()


@pytest.mark.slow
def test_the_runtime_alone_predicts_in_an_environment_of_its_own(finished_run: Path, tmp_path: Path) -> None:
    """What a person who only runs models installs: no torch, no pandas."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", ROOT], check=True)
    command = [tmp_path / "env" / "bin" / "tenfold", "generate", "0123456789", "--out", "drawn.csv"]
    done = subprocess.run(
        [*command, "--model", finished_run / "generator.onnx"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    predict = [command[0], "predict", "drawn.csv", "--model", finished_run / "classifier.onnx"]
    done = subprocess.run(predict, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.startswith("ImageId,Label\n1,") and done.stdout.count("\n") == 11, done.stderr
    probe = subprocess.run([python, "-c", "import torch"], capture_output=True)
    assert probe.returncode != 0
