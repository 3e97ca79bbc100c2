"""What is pushed to Kaggle is complete and runs there; a push that failed is not called pushed."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kaggle_server import HANG_S, Answer, Kaggle, error, reply

from digit_recognizer import kernel_build, rows, submission
from tenfold.cli import command_line
from tenfold.sources import sample

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "kaggle" / "kernel" / "main.py"
RESULTS = {"submission.csv", "report.html", "classifier.onnx", "generator.onnx", "metrics.json"}
TINY = """
folds = 2
net = { channels = [4, 8] }
fit = { epochs = 1, epoch_images = 256 }
cgan = { epochs = 1, epoch_images = 256, width = 4, least_variety = 0, cas_seeds = 0 }
generator = { epochs = 1 }
"""
MOUNTS = ("competitions/digit-recognizer datasets/someone/tenfold-wheels", "digit-recognizer tenfold-wheels")


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """What `build` writes, with an empty wheel."""
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


def attach(inputs: Path, mounts: str) -> tuple[Path, Path]:
    """The folders with the digits and with the wheels, laid out as on Kaggle."""
    digits, wheels = (inputs / mount for mount in mounts.split())
    digits.mkdir(parents=True)
    wheels.mkdir(parents=True)
    train, test = sample.load()
    (digits / "train.csv").write_bytes(rows.render(train.images, train.known_labels()))
    (digits / "test.csv").write_bytes(rows.render(test.images))
    (wheels / "tenfold-0.1.0-py3-none-any.whl").touch()  # pip prefers what is installed, as for torch on Kaggle
    (wheels / "settings.toml").write_text(TINY)
    return digits, wheels


def roots(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "working").mkdir()
    folders = {"TENFOLD_KERNEL_INPUT": tmp_path / "input", "TENFOLD_KERNEL_WORKING": tmp_path / "working"}
    return {name: str(folder) for name, folder in folders.items()}


@pytest.mark.parametrize("mounts", MOUNTS)
def test_the_script_installs_runs_and_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mounts: str) -> None:
    digits, wheels = attach(tmp_path / "input", mounts)
    commands: list[list[str]] = []

    def run(command: list[str], check: bool) -> None:
        commands.append(command)
        if "--out" in command:
            folder = Path(command[command.index("--out") + 1])
            folder.mkdir()
            for name in RESULTS:
                (folder / name).write_text(name)

    monkeypatch.setattr(subprocess, "run", run)
    for name, folder in roots(tmp_path).items():
        monkeypatch.setenv(name, folder)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    install, train = commands
    assert install[1:4] == ["-m", "pip", "install"] and install[-1] == "tenfold[train]"
    assert "--no-index" in install and install[install.index("--find-links") + 1] == str(wheels)
    assert train[:4] == [sys.executable, "-m", "tenfold", "run"] and train[train.index("--data") + 1] == str(digits)
    assert train[train.index("--config") + 1] == str(wheels / "settings.toml")
    command_line.parse_args(train[3:], exit_on_error=False, print_error=False)  # raises for an unknown option
    assert {path.name: path.read_text() for path in (tmp_path / "working").iterdir() if path.is_file()} == {
        name: name for name in RESULTS
    }


def run_script(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """The script as Kaggle starts it: no arguments, no internet."""
    no_internet = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    environment = os.environ | roots(tmp_path) | no_internet | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    return subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, timeout=3 * HANG_S)


@pytest.mark.slow
def test_the_script_writes_a_submission(tmp_path: Path) -> None:
    attach(tmp_path / "input", MOUNTS[0])
    done = run_script(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    working = tmp_path / "working"
    assert len(submission.read(working / "submission.csv")) == 1000
    assert {path.name for path in working.iterdir()} >= RESULTS | {"run"}
    assert (working / "submission.csv").read_bytes() == (working / "run" / "submission.csv").read_bytes()


def test_a_missing_attachment_is_named(tmp_path: Path) -> None:
    (tmp_path / "input" / "something-else").mkdir(parents=True)
    done = run_script(tmp_path)
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path / 'input'}: no folder has tenfold-*.whl; attached: something-else\n"


@pytest.mark.slow
def test_the_build_has_all_that_the_image_lacks(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TINY)
    command = [sys.executable, "-m", "tenfold", "kernel", "build", "--owner", "someone", "--config", "mine.toml"]
    for _ in range(2):  # the second replaces the first
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "kernel-build").iterdir()} == {"wheels", "kernel"}
    wheels, kernel = tmp_path / "kernel-build" / "wheels", tmp_path / "kernel-build" / "kernel"
    names = {path.name.partition("-")[0].lower().replace("_", "-") for path in wheels.glob("*.whl")}
    assert {"tenfold", "cyclopts", "onnx", "onnxscript", "onnxruntime", "safetensors", "filelock", "tomli-w"} <= names
    assert not names & set(kernel_build.PREINSTALLED)
    assert (wheels / "settings.toml").read_text() == TINY
    metadata = json.loads((kernel / "kernel-metadata.json").read_text())
    assert metadata["id"] == "someone/tenfold-digit-recognizer" and metadata["enable_internet"] is False
    assert metadata["dataset_sources"] == ["someone/tenfold-wheels"]
    assert (kernel / metadata["code_file"]).read_bytes() == SCRIPT.read_bytes()


def test_the_owner_is_the_commands_account(kaggle: Kaggle, tmp_path: Path) -> None:
    done = kaggle.call("kernel", "status", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "RUNNING\n"), done.stderr


def test_a_kernel_is_pushed_after_its_wheels(kaggle: Kaggle, built: Path) -> None:
    for count in (1, 2):  # the data set is created, then it gets a second version
        done = kaggle.call("kernel", "push", cwd=built)
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
    ("method", "fault", "code", "message"),
    [
        ("SaveKernel", lambda k, r: reply({"error": "Maximum weekly GPU quota reached"}), 1, "weekly GPU quota"),
        ("SaveKernel", error(401, "Unauthenticated"), 4, "credentials were refused"),
        ("SaveKernel", error(500, "oops"), 1, "the kernel was not pushed"),
        ("CreateDataset", lambda k, r: reply({"status": "error", "error": "bad title"}), 1, "bad title"),
        ("CreateDataset", error(403, "denied"), 1, "the data set someone/tenfold-wheels was not pushed"),
        ("PUT", error(403, "expired"), 1, "the data set someone/tenfold-wheels was not pushed"),
    ],
)
def test_a_failed_push_is_not_called_pushed(
    kaggle: Kaggle, built: Path, method: str, fault: Answer, code: int, message: str
) -> None:
    kaggle.faults[method] = fault
    done = kaggle.call("kernel", "push", cwd=built)
    assert done.returncode == code, done.stdout + done.stderr
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert "pushed: http" not in done.stdout


@pytest.mark.parametrize(
    ("field", "name"),
    [("invalidCompetitionSources", "digit-recognizer"), ("invalidDatasetSources", "someone/tenfold-wheels")],
)
def test_a_kernel_without_its_sources_is_not_called_pushed(kaggle: Kaggle, built: Path, field: str, name: str) -> None:
    saved = {"ref": "", "url": "http://localhost/code/someone/tenfold", "versionNumber": 1, field: [name]}
    kaggle.faults["SaveKernel"] = lambda kaggle, request: reply(saved)
    done = kaggle.call("kernel", "push", cwd=built)
    assert done.returncode == 1 and "pushed: http" not in done.stdout
    assert f"sources ['{name}']" in done.stderr and "accept the competition's rules" in done.stderr
    assert done.stderr.count("\n") == 1


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


FOREIGN = {
    "another folder wheels": "wheels/notes.txt",
    "another folder kernel": "kernel/vmlinuz",
    "another kernel": "kernel/kernel-metadata.json",
    "a wheel alone": "wheels/tenfold-0.1.0-py3-none-any.whl",
    "a file of that name": "kernel",
}


@pytest.mark.parametrize("name", FOREIGN.values(), ids=FOREIGN)
def test_a_build_removes_nothing_that_no_build_wrote(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"id": "someone/another-kernel"}')
    before = files_below(tmp_path)
    with pytest.raises(kernel_build.BuildFailed, match=r"nothing was changed; move it away, or give another --out"):
        kernel_build.build(tmp_path, "someone", None, ROOT, [], "3.12")
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("name", ["wheels/mine.csv", "kernel/my_notes.md"])
def test_a_build_refuses_a_file_among_its_own(built: Path, name: str) -> None:
    out = built / "kernel-build"
    (out / name).write_text("mine")
    before = files_below(out)
    with pytest.raises(kernel_build.BuildFailed, match=name):
        kernel_build.build(out, "someone", None, ROOT, [], "3.12")
    assert files_below(out) == before


def test_a_folder_behind_a_link_is_refused(built: Path) -> None:
    out = built / "kernel-build"
    (out / "kernel").rename(built / "elsewhere")
    (out / "kernel").symlink_to(built / "elsewhere")
    with pytest.raises(kernel_build.BuildFailed, match="nothing was changed"):
        kernel_build.build(out, "someone", None, ROOT, [], "3.12")
    assert (built / "elsewhere" / "main.py").is_file()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small project in place of this one, whose wheel is quickly built, and without the internet."""
    folder = tmp_path / "checkout"
    shutil.copytree(SCRIPT.parent, folder / "kaggle" / "kernel")
    backend = "import pathlib\ndef build_wheel(folder, *_):\n    name = 'tenfold-9-py3-none-any.whl'\n"
    backend += "    (pathlib.Path(folder) / name).write_bytes(b'new')\n    return name\n"
    (folder / "backend.py").write_text(backend)
    system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (folder / "pyproject.toml").write_text(system)
    return folder


def test_a_failed_build_leaves_the_earlier_one_whole(built: Path, checkout: Path) -> None:
    (checkout / "backend.py").write_text("def build_wheel(folder, *_):\n    raise SystemExit(1)\n")
    for out in (built / "kernel-build", built / "new"):
        before = files_below(out)
        with pytest.raises(kernel_build.BuildFailed, match="pip wheel failed"):
            kernel_build.build(out, "someone", None, checkout, [], "3.12")
        assert files_below(out) == before
    assert {path.name for path in (built / "kernel-build").iterdir()} == {"wheels", "kernel"}
    assert not (built / "new").exists()


def test_a_swap_that_fails_leaves_the_earlier_build_whole(built: Path, tmp_path: Path) -> None:
    out, staging = built / "kernel-build", tmp_path / "staging"
    (staging / "wheels").mkdir(parents=True)  # and no kernel
    before = files_below(out)
    with pytest.raises(FileNotFoundError):
        kernel_build._swap(staging, out / "wheels", out / "kernel")
    assert files_below(out) == before


def test_every_page_of_the_output_is_downloaded(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.archive = b"content"
    done = kaggle.call("kernel", "output", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("downloaded 2 files into runs/kernel")
    assert (tmp_path / "runs" / "kernel" / "run" / "metrics.json").read_bytes() == b"content"


def test_a_push_without_a_build_is_refused(kaggle: Kaggle, tmp_path: Path) -> None:
    done = kaggle.call("kernel", "push", cwd=tmp_path)
    assert done.returncode == 1 and "has no kernel to push; `tenfold kernel build` makes it" in done.stderr
    assert kaggle.requests == []
