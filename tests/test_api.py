"""The Python API does what the command does, wherever it is called from, and returns what the run's files say."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from conftest import HANG_S, TINY, differing, few_digits, in_process, succeeded, wait_until
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from test_runtime import BLOCK_TORCH

import tenfold
from digit_recognizer import rows, submission
from tenfold.orchestration import pool
from tenfold.sources import sample

SETTINGS: dict[str, Any] = tomllib.loads(Path(TINY[-1]).read_text()) | {"source": "sample"}
del SETTINGS["data"]
# A script as people write it, without a `__main__` guard.
SCRIPT = f"""
import tenfold
print("once")
run = tenfold.train(**{SETTINGS!r}, out="run")
print(run)
"""


@pytest.fixture(scope="module")
def run(finished_run: Path) -> tenfold.Run:
    return tenfold.load(finished_run)


@pytest.fixture(scope="module")
def command_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of the command with the same settings, trained in this process."""
    folder = tmp_path_factory.mktemp("command")
    succeeded(in_process(*TINY, "--out", "run", cwd=folder))
    return folder / "run"


def python(*arguments: str | Path, cwd: Path, stdin: str = "") -> str:
    """What a Python program prints that must succeed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, input=stdin, env=environment, capture_output=True, text=True,
        timeout=HANG_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def as_script(folder: Path) -> str:
    (folder / "script.py").write_text(SCRIPT)
    return python("script.py", cwd=folder)


def with_a_guard(folder: Path) -> str:
    body = SCRIPT.replace("\n", "\n    ")
    (folder / "script.py").write_text(f"if __name__ == '__main__':{body}\n")
    return python("script.py", cwd=folder)


def from_the_command_line(folder: Path) -> str:
    return python("-c", SCRIPT, cwd=folder)


def from_stdin(folder: Path) -> str:
    return python("-", stdin=SCRIPT, cwd=folder)


def in_a_daemon_with_spawn(folder: Path) -> str:
    """A daemonic process, which may have no children by the rules of multiprocessing."""
    (folder / "work.py").write_text(f"def work():\n    exec({SCRIPT!r}, {{}})\n")
    program = """
import multiprocessing
from work import work

if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    process = multiprocessing.Process(target=work, daemon=True)
    process.start()
    process.join()
"""
    (folder / "script.py").write_text(program)
    return python("script.py", cwd=folder)


def without_processes(folder: Path) -> str:
    """As in a program that embeds Python: one process does all the work."""
    return python("-c", f"import sys; sys.executable = None\n{SCRIPT}", cwd=folder)


WAYS = [with_a_guard, from_the_command_line, from_stdin, in_a_daemon_with_spawn, without_processes]


@pytest.mark.parametrize("way", [as_script, *(pytest.param(way, marks=pytest.mark.slow) for way in WAYS)])
def test_a_program_trains_what_the_command_does(way: Callable[[Path], str], command_run: Path, tmp_path: Path) -> None:
    printed = way(tmp_path)
    assert printed.count("once\n") == 1 and "<tenfold run run: " in printed
    assert differing(tmp_path / "run", command_run) == []


@pytest.mark.slow
def test_a_thread_trains_what_the_command_does(command_run: Path, tmp_path: Path) -> None:
    runs: list[tenfold.Run] = []
    thread = threading.Thread(target=lambda: runs.append(tenfold.train(**SETTINGS, out=tmp_path / "run")))
    thread.start()
    thread.join(HANG_S)
    assert differing(runs[0].folder, command_run) == []


def test_a_finished_run_is_returned_at_once(
    command_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(command_run, tmp_path / "run")
    monkeypatch.setattr(pool, "run_all", None)  # nothing may train
    monkeypatch.chdir(tmp_path)
    again = tenfold.train(**SETTINGS, out="run")
    assert again == tenfold.load(copy) and again.folder == copy
    assert "is complete already" in capsys.readouterr().out
    monkeypatch.chdir("/")  # as notebooks do; the run still finds its files
    assert len(again.generate([1, 2])) == 2


def test_its_scores_are_those_of_the_metrics(run: tenfold.Run) -> None:
    metrics = json.loads((run.folder / "metrics.json").read_text())
    assert run.score == metrics["judge"]["accuracy"]
    assert run.cross_validation.mean == metrics["cross_validation"]["mean"]
    assert run.metrics.judge_light is not None


def test_without_test_labels_there_is_no_score(run: tenfold.Run) -> None:
    unscored = replace(run, metrics=replace(run.metrics, judge=None, judge_light=None))
    assert unscored.score is None
    assert "no offline test score" in repr(unscored) and "no offline test score" in unscored._repr_html_()


def test_the_submission_is_the_file(run: tenfold.Run) -> None:
    pd.testing.assert_frame_equal(run.submission, pd.read_csv(run.folder / "submission.csv"))


def test_a_damaged_submission_is_bad_input(run: tenfold.Run, tmp_path: Path) -> None:
    (tmp_path / "submission.csv").write_text("ImageId,Label\n1,x\n")
    with pytest.raises(tenfold.BadInput, match=r"submission\.csv line 2: Label must be"):
        _ = replace(run, folder=tmp_path).submission


def test_the_history_has_every_epoch(run: tenfold.Run) -> None:
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert run.history.training.tolist() == [line["task"] for line in lines]
    assert run.history.loss.notna().sum() == sum("loss" in line for line in lines)


IMAGES = sample.load()[1].images[:6]
FRAME = pd.DataFrame(IMAGES.reshape(-1, 784), columns=list(rows.PIXELS))


@pytest.mark.parametrize(
    "images",
    [
        IMAGES,
        IMAGES.reshape(-1, 784),
        IMAGES.astype(np.int64),
        IMAGES.astype(np.float32),
        IMAGES.tolist(),
        FRAME,
        FRAME.assign(label=3)[["label", *rows.PIXELS]],
        FRAME.set_axis(range(784), axis=1),
    ],
    ids=["images", "rows", "integers", "floats", "lists", "frame", "labelled frame", "frame without names"],
)
def test_it_predicts_images_in_every_form(run: tenfold.Run, images: Any) -> None:
    expected = submission.read(run.folder / "submission.csv")[:6]
    assert (run.predict(images) == expected).all()
    probs = run.predict_proba(images)
    assert (probs.argmax(1) == expected).all() and probs.sum(1) == pytest.approx(1)


@pytest.mark.parametrize("image", [IMAGES[0], IMAGES[0].ravel(), FRAME.iloc[0]], ids=["image", "row", "series"])
def test_it_predicts_one_image(run: tenfold.Run, image: Any) -> None:
    assert (run.predict(image) == run.predict(IMAGES)[:1]).all()


def test_it_predicts_no_image(run: tenfold.Run) -> None:
    assert run.predict(IMAGES[:0]).shape == (0,) and run.predict_proba(FRAME[:0]).shape == (0, 10)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[:, :27], r"images: must be \(28, 28\), \(N, 28, 28\) or \(N, 784\), got \(6, 27, 28\)"),
        (7, r"images: must be \(28, 28\), .*got \(\)"),
        ([[1, 2], [3]], "images: must be an array of numbers"),
        (IMAGES / 255, "must be integers from 0 to 255, got float64 from 0 to 1; multiply by 255 and round"),
        (IMAGES + 0.5, r"must be integers from 0 to 255, got float64 from 0\.5"),
        (IMAGES.astype(int) - 1, "must be integers from 0 to 255, got int64 from -1"),
        (IMAGES * np.nan, "must be integers from 0 to 255, got float64 from nan to nan"),
        (IMAGES.astype(str), "images: must be numbers, got <U"),
    ],
)
def test_other_images_are_refused(run: tenfold.Run, images: Any, message: str) -> None:
    with pytest.raises(tenfold.BadInput, match=message):
        run.predict(images)


def test_it_draws_what_the_command_draws(run: tenfold.Run, tmp_path: Path) -> None:
    images = run.generate([2, 0, 2, 6], seed=3)
    command = ("generate", "2026", "--model", run.folder / "generator.onnx", "--seed", "3", "--out", "drawn.csv")
    succeeded(in_process(*command, cwd=tmp_path))
    assert (images == rows.read_csv(tmp_path / "drawn.csv")[0]).all()
    assert (images != run.generate([2, 0, 2, 6], seed=4)).any()


@pytest.mark.parametrize(("labels", "seed"), [([12], 0), ([1], -1), ("two", 0)])
def test_what_it_cannot_draw_is_refused(run: tenfold.Run, labels: Any, seed: int) -> None:
    with pytest.raises(tenfold.BadInput, match=r"^(labels|seed): must be "):
        run.generate(labels, seed)


def test_a_notebook_shows_scores_and_curves(run: tenfold.Run) -> None:
    shown = run._repr_html_()
    assert shown.count("<svg") == 2 and run.cross_validation.sentence() in shown
    assert len(repr(run)) < 120 and f"{run.score:.5f}" in repr(run)


def test_the_report_is_a_path_that_shows_itself(run: tenfold.Run, tmp_path: Path) -> None:
    report = run.report()
    assert Path(report) == run.folder / "report.html" and repr(report) == str(run.folder / "report.html")
    assert report._repr_html_().startswith("<iframe srcdoc=")
    copy = shutil.copytree(run.folder, tmp_path / "run")
    (copy / "report.html").unlink()  # it may be missing; then it is written again
    assert f"tenfold app {copy}" in Path(tenfold.load(copy).report()).read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "fastest"}, "preset: must be one of demo, fast, best, smoke, got fastest"),
        ({"source": "imagenet"}, "source: must be one of auto, kaggle, mnist, sample, got imagenet"),
        ({"sead": 1}, "settings: unknown setting sead"),
        ({"fit": {"epochs": 0}}, r"fit\.epochs: must be an integer ≥ 1, got 0"),
        ({"fit": 4}, "fit: must be a table of settings, got 4"),
        ({"seed": 1.5}, "seed: must be an integer, got 1.5"),
        ({"source": "kaggle", "data": "nowhere"}, "nowhere: holds neither digit-recognizer.zip nor train.csv"),
        ({"source": "sample", "out": "file"}, "file: must be a folder, is a file"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(tenfold.BadInput, match=message) as raised:
        tenfold.train(**arguments)
    assert "\n" not in str(raised.value)
    assert raised.value._render_traceback_() == [f"BadInput: {raised.value}"]  # all that a notebook shows


def test_damaged_files_are_bad_input(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("not,the,header\n")
    (tmp_path / "test.csv").write_bytes(rows.render(few_digits(3).images))
    with pytest.raises(tenfold.BadInput, match=r"train\.csv line 1"):
        tenfold.train(source="kaggle", data=tmp_path, out=tmp_path / "run")


def test_settings_override_the_presets(command_run: Path, tmp_path: Path) -> None:
    """A table's other entries stay; values may be numpy's, tuples and paths."""
    copy = shutil.copytree(command_run, tmp_path / "run")
    changed = SETTINGS | {"seed": np.int64(1), "net": {"channels": (8, 8)}, "fit": {"epochs": 3}}
    with pytest.raises(tenfold.BadInput) as raised:
        tenfold.train(**changed, out=copy)
    assert "seed is 1 instead of 0" in str(raised.value)
    assert "net.channels is [8, 8] instead of [4, 8]" in str(raised.value)
    assert "fit.epoch_images is 2048 instead of 1" in str(raised.value)  # fast's


def test_only_a_finished_run_is_loaded(command_run: Path, tmp_path: Path) -> None:
    with pytest.raises(tenfold.BadInput, match="not a run; give the folder of a run"):
        tenfold.load(tmp_path)
    copy = shutil.copytree(command_run, tmp_path / "run")
    (copy / "done.json").unlink()
    with pytest.raises(tenfold.BadInput, match=r"no done\.json in it, so not finished"):
        tenfold.load(copy)


def test_the_package_lists_its_names() -> None:
    assert set(tenfold.__all__) <= set(dir(tenfold))
    assert all(getattr(tenfold, name).__name__ == name for name in tenfold.__all__)
    assert not hasattr(tenfold, "no_such_name")


@pytest.mark.parametrize("name", ["Run", "load", "train", "TenfoldClassifier"])
def test_the_documentation_is_complete(name: str) -> None:
    """Each name, and each method of it: with its arguments, its result, its errors, an example."""
    documented = getattr(tenfold, name)
    own = [member for key, member in vars(documented).items() if key[0] != "_" and inspect.isfunction(member)]
    for function in [documented, *own] if isinstance(documented, type) else [documented]:
        text = function.__doc__ or ""
        sections = ["Examples"] if isinstance(function, type) else ["Returns", "Raises", "Examples"]
        assert [section for section in sections if f"{section}\n    " not in text] == [], function
        assert ">>> " in text


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    program = f"""{BLOCK_TORCH}
import tenfold
assert issubclass(tenfold.BadInput, ValueError)
for name in ("train", "load", "TenfoldClassifier"):
    try:
        getattr(tenfold, name)
    except ImportError as error:
        print(error)
"""
    sentences = python("-c", program, cwd=tmp_path).splitlines()
    assert len(sentences) == 3
    assert all(
        re.fullmatch(r"(torch|pandas|sklearn) is not installed; .*pip install .*\[train\]'?", one) for one in sentences
    )


def notebook(*sources: str) -> Any:
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])


def execute(cells: Any, folder: Path) -> Any:
    """The notebook with its outputs, executed in a folder."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    client = NotebookClient(cells, timeout=HANG_S, allow_errors=True, resources={"metadata": {"path": str(folder)}})
    return client.execute(env=environment)


def outputs(cell: Any, kind: str) -> str:
    """What a cell shows in one format."""
    return "".join(output.data.get(kind, "") for output in cell.outputs if "data" in output)


@pytest.mark.slow
def test_a_notebook_trains_and_shows_the_run(command_run: Path, tmp_path: Path) -> None:
    cells = notebook(SCRIPT, "run", "run.report()", "tenfold.train(sead=1)")
    train, shown, report, refused = execute(cells, tmp_path).cells
    assert [output for output in train.outputs if output.output_type == "error"] == []
    assert differing(tmp_path / "run", command_run) == []
    assert outputs(shown, "text/plain").startswith("<tenfold run run: ")
    assert outputs(shown, "text/html").count("<svg") == 2
    assert outputs(report, "text/html").startswith("<iframe srcdoc=")
    (error,) = refused.outputs
    assert error.traceback == [f"BadInput: {error.evalue}"] and "sead" in error.evalue


def workers(process_id: int) -> list[str]:
    """The ids of a process's children that do tasks."""
    children = Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()
    return [child for child in children if b"pool import serve" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.mark.slow
def test_an_interrupted_cell_continues(command_run: Path, tmp_path: Path) -> None:
    """Interrupted once the first training is done: its processes stop, and the same cell does the rest."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    manager, client = start_new_kernel(cwd=str(tmp_path), env=environment, startup_timeout=HANG_S)
    try:
        request = client.execute(SCRIPT)
        wait_until(lambda: any(tmp_path.glob("run/fold-*/done.json")) and workers(manager.provisioner.pid))
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=HANG_S)
        assert reply["parent_header"]["msg_id"] == request and reply["content"]["ename"] == "KeyboardInterrupt"
        assert workers(manager.provisioner.pid) == []
        reply = client.execute_interactive(SCRIPT, timeout=HANG_S, output_hook=lambda message: None)
        assert reply["content"]["status"] == "ok"
        assert differing(tmp_path / "run", command_run) == []
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
