"""The wheel has the three packages and nothing else, and does not shadow the installed `kaggle`."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from tenfold.cli import command_line
from tenfold.models.export import MODELS

ROOT = Path(__file__).resolve().parents[1]


def test_the_kaggle_folder_shadows_nothing() -> None:
    program = "import importlib.util; print(importlib.util.find_spec('kaggle').origin)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert "site-packages" in done.stdout


def test_the_base_installation_does_not_require_torch() -> None:
    requirements = importlib.metadata.requires("tenfold") or []
    base = sorted(line.split(">")[0] for line in requirements if "extra ==" not in line)
    assert base == ["cyclopts", "numpy", "onnxruntime", "pillow", "rich"]


def test_the_release_uses_existing_options() -> None:
    workflow = (ROOT / ".github/workflows/release.yml").read_text()
    commands = re.findall(r"- run: tenfold (.+)", workflow)
    assert commands == ["run --source mnist --preset fast --out runs/release"]
    command_line.parse_args(commands[0], exit_on_error=False, print_error=False)  # raises for an unknown option
    assert "runs/release/*.onnx" in workflow and all(name.endswith(".onnx") for name in MODELS)


def test_only_the_job_that_publishes_may_ask_pypi_for_a_token() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    publishing = [name for name, job in jobs.items() if "id-token" in job.get("permissions", {})]
    assert publishing == ["publish"]
    publish = jobs["publish"]
    assert publish["permissions"] == {"id-token": "write"} and publish["environment"] == "pypi"
    actions = [step["uses"].partition("@")[0] for step in publish["steps"]]
    assert actions == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]  # runs nothing of ours
    built = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    assert "python -m build" in built and publish["needs"] == "build"  # sdist and wheel


def test_the_citation_and_the_changes_name_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert version in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").iterdir()), ids=lambda path: path.stem)
def test_an_issue_form_has_what_github_requires(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert form["name"] and form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids) > 0
    assert all(field["type"] in ("input", "textarea") and field["attributes"]["label"] for field in form["body"])
    assert any(field.get("validations", {}).get("required") for field in form["body"])


@pytest.mark.slow
def test_the_built_wheel_has_only_the_packages(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        roots = {name.partition("/")[0] for name in archive.namelist()}
        assert {name for name in roots if not name.endswith(".dist-info")} == {
            "tenfold",
            "tenfold_onnx",
            "digit_recognizer",
        }
        endings = (".py", "py.typed", ".html", ".css", ".js", ".svg", ".onnx")
        assert all(name.endswith(endings) or ".dist-info/" in name for name in archive.namelist())
        assert {"tenfold_onnx/app/static/index.html", "tenfold_onnx/app/in_browser/answer.js"} <= {*archive.namelist()}


@pytest.mark.slow
def test_the_base_installation_predicts_without_torch(finished_run: Path, tmp_path: Path) -> None:
    """In a virtual environment of its own."""
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
