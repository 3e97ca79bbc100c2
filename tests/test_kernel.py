"""What is pushed to Kaggle's machines is whole, finds its way about there, and is not called pushed when it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kaggle_server import Answer, Kaggle, error, reply, served

from digit_recognizer import kernel as kernels
from digit_recognizer import rows, submission
from tenfold.sources import sample

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "kaggle" / "kernel" / "main.py"
TINY = """
folds = 2
net = { channels = [4, 8] }
fit = { epochs = 1, epoch_images = 256 }
cgan = { epochs = 1, epoch_images = 256, width = 4, least_variety = 0, cas_seeds = 0 }
generator = { epochs = 1 }
"""


@pytest.fixture
def kaggle() -> Iterator[Kaggle]:
    with served() as server:
        yield server


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What `build` makes, with a wheel of no content."""
    wheels, kernel = tmp_path / "kernel-build" / "wheels", tmp_path / "kernel-build" / "kernel"
    wheels.mkdir(parents=True)
    kernel.mkdir()
    (wheels / "tenfold-0.1.0-py3-none-any.whl").write_bytes(b"wheel")
    metadata = {"title": "tenfold wheels", "id": "someone/tenfold-wheels", "licenses": [{"name": "other"}]}
    (wheels / "dataset-metadata.json").write_text(json.dumps(metadata))
    (kernel / "main.py").write_bytes(SCRIPT.read_bytes())
    text = (SCRIPT.parent / "kernel-metadata.json").read_text().replace("USER", "someone")
    (kernel / "kernel-metadata.json").write_text(text)
    return tmp_path


def on_kaggle(inputs: Path, working: Path) -> subprocess.CompletedProcess[str]:
    """The script as Kaggle starts it: no arguments, no internet."""
    roots = {"TENFOLD_KERNEL_INPUT": str(inputs), "TENFOLD_KERNEL_WORKING": str(working)}
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = os.environ | roots | nowhere | {"XDG_CACHE_HOME": str(working / "cache")}
    return subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    "mounts",
    [
        "competitions/digit-recognizer datasets/someone/tenfold-wheels",
        pytest.param("digit-recognizer tenfold-wheels", marks=pytest.mark.slow),
    ],
)
def test_the_script_finds_what_is_attached_and_leaves_a_submission(tmp_path: Path, mounts: str) -> None:
    digits, wheels = (tmp_path / "input" / mount for mount in mounts.split())
    digits.mkdir(parents=True)
    wheels.mkdir(parents=True)
    train, test = sample.load()
    (digits / "train.csv").write_bytes(rows.render(train.images, train.known_labels()))
    (digits / "test.csv").write_bytes(rows.render(test.images))
    (wheels / "tenfold-0.1.0-py3-none-any.whl").touch()  # pip finds the installed one first, as for torch there
    (wheels / "settings.toml").write_text(TINY)
    working = tmp_path / "working"
    working.mkdir()
    done = on_kaggle(tmp_path / "input", working)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(submission.read(working / "submission.csv")) == 360
    assert {"submission.csv", "report.html", "classifier.onnx", "generator.onnx", "metrics.json", "run"} <= {
        path.name for path in working.iterdir()
    }
    assert (working / "submission.csv").read_bytes() == (working / "run" / "submission.csv").read_bytes()


def test_what_is_not_attached_is_named(tmp_path: Path) -> None:
    (tmp_path / "input" / "something-else").mkdir(parents=True)
    done = on_kaggle(tmp_path / "input", tmp_path)
    assert done.returncode == 1
    assert done.stderr == (f"{tmp_path / 'input'}: no folder in it holds tenfold-*.whl; attached is: something-else\n")


@pytest.mark.slow
def test_the_build_holds_all_that_the_image_lacks(kaggle: Kaggle, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TINY)
    command = [sys.executable, "-m", "tenfold.cli", "kernel", "build", "--owner", "someone", "--config", "mine.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    wheels, kernel = tmp_path / "kernel-build" / "wheels", tmp_path / "kernel-build" / "kernel"
    there = {path.name.partition("-")[0].lower().replace("_", "-") for path in wheels.glob("*.whl")}
    assert {"tenfold", "cyclopts", "onnx", "onnxscript", "onnxruntime", "safetensors", "filelock", "tomli-w"} <= there
    assert not there & set(kernels.THERE)
    assert (wheels / "settings.toml").read_text() == TINY
    metadata = json.loads((kernel / "kernel-metadata.json").read_text())
    assert metadata["id"] == "someone/tenfold-digit-recognizer" and metadata["enable_internet"] is False
    assert metadata["dataset_sources"] == ["someone/tenfold-wheels"]
    assert (kernel / metadata["code_file"]).read_bytes() == SCRIPT.read_bytes()


def test_the_owner_is_asked_of_the_command(kaggle: Kaggle, tmp_path: Path) -> None:
    done = kaggle.tenfold("kernel", "status", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "RUNNING\n"), done.stderr


def test_a_kernel_is_pushed_after_its_wheels(kaggle: Kaggle, built: Path) -> None:
    for count in (1, 2):  # first the data set is created, then it gets another version
        done = kaggle.tenfold("kernel", "push", cwd=built)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "pushed: http://localhost/code/someone/tenfold" in done.stdout
        assert len(kaggle.kernels) == kaggle.datasets == count
    assert b"wheel" in kaggle.uploads
    (sent, _) = kaggle.kernels
    assert sent["slug"] == "someone/tenfold-digit-recognizer" and sent["text"] == SCRIPT.read_text()
    assert sent["datasetDataSources"] == ["someone/tenfold-wheels"]
    assert sent["competitionDataSources"] == ["digit-recognizer"]
    assert sent["enableGpu"] is True and sent.get("enableInternet", False) is False and sent["isPrivate"] is True


@pytest.mark.parametrize(
    ("method", "fault", "code", "sentence"),
    [
        ("SaveKernel", lambda k, a: reply({"error": "Maximum weekly GPU quota reached"}), 1, "weekly GPU quota"),
        ("SaveKernel", error(401, "Unauthenticated"), 4, "credentials were refused"),
        ("SaveKernel", error(500, "oops"), 1, "the kernel was not pushed"),
        ("CreateDataset", lambda k, a: reply({"status": "error", "error": "bad title"}), 1, "bad title"),
        ("CreateDataset", error(403, "denied"), 1, "the data set someone/tenfold-wheels was not pushed"),
        ("PUT", error(403, "expired"), 1, "the data set someone/tenfold-wheels was not pushed"),
    ],
)
def test_what_was_not_pushed_is_not_called_pushed(
    kaggle: Kaggle, built: Path, method: str, fault: Answer, code: int, sentence: str
) -> None:
    kaggle.faults[method] = fault
    done = kaggle.tenfold("kernel", "push", cwd=built)
    assert done.returncode == code, done.stdout + done.stderr
    assert sentence in done.stderr and done.stderr.count("\n") == 1
    assert "pushed: http" not in done.stdout


def test_every_page_of_the_output_is_fetched(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.archive = b"content"
    done = kaggle.tenfold("kernel", "output", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("fetched 2 files into runs/kernel")
    assert (tmp_path / "runs" / "kernel" / "run" / "metrics.json").read_bytes() == b"content"


def test_a_push_of_nothing_is_refused(kaggle: Kaggle, tmp_path: Path) -> None:
    done = kaggle.tenfold("kernel", "push", cwd=tmp_path)
    assert done.returncode == 1 and "holds no kernel to push; `tenfold kernel build` makes it" in done.stderr
    assert kaggle.asked == []
