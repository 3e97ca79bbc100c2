"""On a cluster a run comes out as it does at home, whatever becomes of nodes, workers and the driver."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import SMOKE, few_digits, tenfold
from test_cli import refused
from test_run import differing

ray = pytest.importorskip("ray")

from tenfold.errors import BadInput, RunFailed  # noqa: E402
from tenfold.orchestration import pool  # noqa: E402
from tenfold.orchestration.cluster import CODE, LOSSES, Cluster, connect  # noqa: E402
from tenfold.seeds import SeedStream  # noqa: E402
from tenfold.settings import Compute, Settings  # noqa: E402
from tenfold.storage import atomic  # noqa: E402
from tenfold.storage.run_folder import RunFolder  # noqa: E402
from tenfold.training.tasks import GeneratorTask  # noqa: E402

LONGER = [*SMOKE, "--fit.epochs", "6", "--cgan.epochs", "4", "--generator.epochs", "4", "--light.epochs", "6"]
LAYOUT = Compute("cpu", "fp32", 2, 1)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9", "127.0.0.1:many", ""])
def test_a_cluster_that_cannot_be_reached_is_one_sentence(address: str, tmp_path: Path) -> None:
    said = refused(*SMOKE, "--cluster", address, "--out", "run", cwd=tmp_path)
    assert said.startswith(f"tenfold: cluster: {address or 'empty'} ") and "ray start --head" in said
    assert not (tmp_path / "run").exists()


def task(path: Path, name: str, work: Any) -> pool.Task:
    """A task of any work, in a folder of the run at `path`."""
    return pool.Task(name, work, GeneratorTask(Settings(), SeedStream(0, 0), few_digits(10), name, RunFolder(path)))


def an_epoch(task: GeneratorTask, report: pool.Report, epoch: int) -> None:
    atomic.write(task.folder / "state", str(epoch).encode())
    report({"task": task.name, "stage": "cgan", "epoch": epoch})


def sleep(task: GeneratorTask, report: pool.Report) -> None:
    an_epoch(task, report, 1)
    time.sleep(120)


def fail(task: GeneratorTask, report: pool.Report) -> None:
    time.sleep(2)
    raise BadInput("it broke")


def run_out_of_room(task: GeneratorTask, report: pool.Report) -> None:
    raise OSError(28, "No space left on device")


def be_killed_twice(task: GeneratorTask, report: pool.Report) -> None:
    done = int((task.folder / "state").read_text()) if (task.folder / "state").exists() else 0
    an_epoch(task, report, done + 1)
    if done < 2:
        time.sleep(1)  # so that the epoch is fetched
        os.kill(os.getpid(), signal.SIGKILL)


def tell_its_code(task: GeneratorTask, report: pool.Report) -> None:
    atomic.write(task.folder / "code", "\n".join(str(package.__file__) for package in CODE).encode())


def be_killed_always(task: GeneratorTask, report: pool.Report) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def trainings() -> list[int]:
    """The processes on this machine that carry out tasks."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and b"ray::_Training" in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def soon(true: Any, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(scope="module", autouse=True)
def own_token() -> Iterator[None]:
    """A token for these tests' clusters, or Ray would leave one in the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        yield


@pytest.fixture(scope="module")
def local() -> Iterator[Cluster]:
    """A cluster of this machine's cores, which this process has joined, and whose workers find this file."""
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(Path(__file__).parent))
            cluster = stack.enter_context(connect("local"))
        yield cluster


@pytest.mark.slow
def test_it_settles_what_it_runs_on_by_its_nodes(local: Cluster) -> None:
    from tenfold.training import device

    assert local.resolve(Compute(), 3) == device.resolve(Compute(), 3)
    with pytest.raises(BadInput, match="device: mps is not there"):
        local.resolve(Compute(device="mps"), 3)
    with pytest.raises(BadInput, match=r"device: cuda is asked for, and no node .* has a GPU"):
        local.resolve(Compute(device="cuda"), 3)
    with pytest.raises(BadInput, match=r"no node of local has 200 CPUs, a task's threads"):
        local.run_all([], replace(LAYOUT, threads=200), print)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "raised", "sentence"),
    [
        (fail, BadInput, r"^it broke$"),
        (run_out_of_room, RunFailed, r"^failing: .*No space left on device; make room or mend it"),
        (be_killed_always, RunFailed, rf"^failing: its worker was lost {LOSSES + 1} times without finishing an epoch"),
    ],
)
def test_what_a_task_raises_comes_back_as_it_does_at_home_and_stops_the_others(
    work: Any, raised: type[Exception], sentence: str, local: Cluster, tmp_path: Path
) -> None:
    with pytest.raises(raised, match=sentence):
        local.run_all([task(tmp_path, "sleeper", sleep), task(tmp_path, "failing", work)], LAYOUT, lambda _: None)
    assert soon(lambda: not trainings(), 20)


@pytest.mark.slow
def test_a_task_whose_worker_is_lost_goes_on_from_its_last_epoch(local: Cluster, tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    local.run_all([task(tmp_path, "unlucky", be_killed_twice)], LAYOUT, heard.append)
    assert [record["epoch"] for record in heard] == [1, 2, 3]
    assert [line["epoch"] for line in RunFolder(tmp_path).epochs()] == [1, 2, 3]
    assert (tmp_path / "unlucky/state").read_bytes() == b"3"


@pytest.mark.slow
def test_the_code_travels_too(local: Cluster, tmp_path: Path) -> None:
    local.run_all([task(tmp_path, "teller", tell_its_code)], LAYOUT, lambda _: None)
    places = (tmp_path / "teller/code").read_text().splitlines()
    assert len(places) == 3 and all("runtime_resources/py_modules_files" in place for place in places)


@pytest.mark.slow
def test_a_run_on_a_cluster_ends_with_the_bytes_of_one_without(finished_run: Path, tmp_path: Path) -> None:
    done = tenfold(*SMOKE, "--cluster", "local", "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert differing(tmp_path / "run", finished_run) == []


class TwoNodes:
    """Two nodes on one machine, of one core each; the driver is joined to the first."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Nodes

        stop = signal.getsignal(signal.SIGTERM)
        self.nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        self.second = self.nodes.add_node(num_cpus=1)
        signal.signal(signal.SIGTERM, stop)  # Ray puts its own in its place
        self.nodes.wait_for_nodes()

    def started(self, home: Path) -> subprocess.Popen[str]:
        """The longer run on both, in which both have reported an epoch."""
        running = subprocess.Popen(
            [sys.executable, "-u", "-m", "tenfold.cli", *LONGER, "--cluster", self.nodes.address, "--out", "run"],
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        run = RunFolder(home / "run")
        while running.poll() is None:
            if len({line["task"] for line in run.epochs()}) == 2:
                return running
            time.sleep(0.05)
        raise AssertionError(running.communicate()[1])


@pytest.fixture
def two_nodes() -> Iterator[TwoNodes]:
    nodes = TwoNodes()
    try:
        yield nodes
    finally:
        nodes.nodes.shutdown()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The longer run without a cluster."""
    home = tmp_path_factory.mktemp("alone")
    done = tenfold(*LONGER, "--out", "run", cwd=home)
    assert done.returncode == 0, done.stderr
    return home / "run"


@pytest.mark.slow
def test_a_run_that_loses_a_node_ends_with_the_same_bytes(two_nodes: TwoNodes, alone: Path, tmp_path: Path) -> None:
    running = two_nodes.started(tmp_path)
    two_nodes.nodes.remove_node(two_nodes.second, allow_graceful=False)
    out, err = running.communicate(timeout=600)
    assert running.returncode == 0 and err == "", out + err
    assert "its worker was lost; it goes on from its last epoch" in out
    assert differing(tmp_path / "run", alone) == []
    lines = [(line["task"], line["stage"], line["epoch"]) for line in RunFolder(tmp_path / "run").epochs()]
    assert len(lines) == len(set(lines)) == 3 * 4 + 3 * 6


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_driver_that_is_stopped_leaves_no_task_behind_and_the_run_continues_without_the_cluster(
    how: signal.Signals, two_nodes: TwoNodes, alone: Path, tmp_path: Path
) -> None:
    running = two_nodes.started(tmp_path)
    assert trainings()
    running.send_signal(how)
    _, err = running.communicate(timeout=60)
    if how == signal.SIGTERM:
        assert running.returncode == 130
        assert err == "tenfold: stopped; the same command continues where this one was\n"
    assert soon(lambda: not trainings(), 30)
    before = RunFolder(tmp_path / "run").epochs()
    done = tenfold(*LONGER, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = RunFolder(tmp_path / "run").epochs()
    assert len(after) == 3 * 4 + 3 * 6
    # What came home whole was not done again; the stop may fall between the last line and its checkpoint.
    assert sum(line in after for line in before) >= 1
    assert differing(tmp_path / "run", alone) == []
