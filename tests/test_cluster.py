"""A run on a cluster gives the same bytes as one without, whatever becomes of nodes, workers and the driver."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import HANG_S, SMOKE, few_digits, refused, succeeded, tenfold, wait_until

ray = pytest.importorskip("ray")

from tenfold.errors import BadInput, RunFailed  # noqa: E402
from tenfold.orchestration.cluster import CODE, MAX_LOSSES, Cluster, connect  # noqa: E402
from tenfold.orchestration.pool import Report, Task  # noqa: E402
from tenfold.seeds import SeedStream  # noqa: E402
from tenfold.settings import Cgan, Compute  # noqa: E402
from tenfold.storage import atomic  # noqa: E402
from tenfold.storage.completion import DONE, finished  # noqa: E402
from tenfold.storage.epoch_log import Epoch, EpochLog, GeneratorEpoch  # noqa: E402
from tenfold.storage.run_folder import METRICS, RunFolder  # noqa: E402
from tenfold.training import device  # noqa: E402
from tenfold.training.tasks import GeneratorTask  # noqa: E402

LONGER = [*SMOKE, "--fit.epochs", "6", "--cgan.epochs", "4", "--generator.epochs", "4", "--light.epochs", "6"]
COMPUTE = Compute("cpu", "fp32", workers=2, threads=1)


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("127.0.0.1:9", "cluster: can't join 127.0.0.1:9 ("),
        ("ray://127.0.0.1:9", "cluster: can't join ray://127.0.0.1:9 ("),
        ("127.0.0.1:many", "cluster: can't join 127.0.0.1:many ("),
        ("", "cluster: the address is empty; give auto, local, or what `ray start --head` prints: host:port"),
    ],
)
def test_an_unreachable_cluster_is_refused(address: str, sentence: str, tmp_path: Path) -> None:
    message = refused(*SMOKE, "--cluster", address, "--out", "run", cwd=tmp_path)
    assert message.startswith(f"tenfold: {sentence}") and "`ray start --head`" in message
    assert not (tmp_path / "run").exists()


def a_task(path: Path, name: str, work: Callable[[GeneratorTask, Report], None]) -> Task:
    """A task that does `work` in a folder of the run at `path`."""
    argument = GeneratorTask(
        name=name,
        run=RunFolder(path),
        seeds=SeedStream(0, 0),
        compute=COMPUTE,
        cgan=Cgan(),
        train=few_digits(10),
    )
    return Task(name, work, argument)


def finish_epoch(task: GeneratorTask, report: Report, epoch: int) -> None:
    atomic.write(task.folder / "state", str(epoch).encode())
    report(
        GeneratorEpoch(
            task=task.name,
            epoch=epoch,
            epochs=3,
            loss_discriminator=1.0,
            loss_generator=1.0,
            score_real=0.0,
            score_generated=0.0,
            variety=1.0,
        )
    )


# Work for tasks. All nodes are on this machine, so a task can read the log in the `run_folder` of the driver.


def sleep(task: GeneratorTask, report: Report) -> None:
    finish_epoch(task, report, 1)
    time.sleep(HANG_S)


def fail_beside_a_sleeper(task: GeneratorTask, report: Report, run_folder: Path) -> None:
    wait_until(EpochLog(run_folder).read)
    raise BadInput("it broke")


def run_out_of_disk(task: GeneratorTask, report: Report, run_folder: Path) -> None:
    raise OSError(28, "No space left on device")


def be_killed(task: GeneratorTask, report: Report, run_folder: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def be_killed_after_two_epochs(task: GeneratorTask, report: Report, run_folder: Path) -> None:
    state = task.folder / "state"
    epoch = int(state.read_text()) + 1 if state.exists() else 1
    finish_epoch(task, report, epoch)
    if epoch < 3:
        wait_until(lambda: len(EpochLog(run_folder).read()) == epoch)
        os.kill(os.getpid(), signal.SIGKILL)


def write_paths_of_code(task: GeneratorTask, report: Report) -> None:
    atomic.write(task.folder / "code", "\n".join(str(package.__file__) for package in CODE).encode())


def worker_ids() -> list[int]:
    """The processes on this machine that run tasks of a cluster."""
    ids = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and b"ray::_Actor" in (entry / "cmdline").read_bytes():
                ids.append(int(entry.name))
    return ids


def results(run: Path) -> dict[str, dict[str, str]]:
    """The hashes of all results of a finished run, by folder; without the metrics, which hold times."""
    hashes = {}
    for path in (run, *(done.parent for done in run.glob(f"*/{DONE}"))):
        done = finished(path)
        assert done
        hashes[path.name] = {name: digest for name, digest in done["files"].items() if name != METRICS}
    return hashes


@pytest.fixture(scope="module", autouse=True)
def own_token() -> Iterator[None]:
    """A token for these tests' clusters, or Ray would leave one in the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        yield


@pytest.fixture(scope="module")
def local() -> Iterator[Cluster]:
    """A cluster of this machine's cores, which this process has joined and whose workers find this file."""
    with contextlib.ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(Path(__file__).parent))
            cluster = stack.enter_context(connect("local"))
        yield cluster


@pytest.mark.slow
def test_auto_takes_what_a_node_has(local: Cluster) -> None:
    assert local.resolve(Compute(), 3) == device.resolve(Compute(), 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mps", r"device: mps is not available \(this torch sees none\); use auto"),
        ("cuda", r"device: no node of the cluster local has a GPU; use auto instead of cuda"),
    ],
)
def test_a_device_that_no_node_has_is_refused(name: Any, sentence: str, local: Cluster) -> None:
    with pytest.raises(BadInput, match=sentence):
        local.resolve(Compute(device=name), 3)


@pytest.mark.slow
def test_nodes_without_enough_cores_are_refused(local: Cluster) -> None:
    with pytest.raises(BadInput, match=r"no node of local has 200 CPUs, as many as a task has threads"):
        local.run_all([], replace(COMPUTE, threads=200), print)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("work", "kind", "sentence"),
    [
        (fail_beside_a_sleeper, BadInput, r"^it broke$"),
        (run_out_of_disk, RunFailed, r"^failing: .*No space left on device; make room or fix the cause"),
        (be_killed, RunFailed, rf"^failing: its worker was lost {MAX_LOSSES + 1} times without finishing an epoch"),
    ],
)
def test_a_failure_comes_back_and_stops_the_other_tasks(
    work: Any, kind: type[Exception], sentence: str, local: Cluster, tmp_path: Path
) -> None:
    tasks = [a_task(tmp_path, "sleeper", sleep), a_task(tmp_path, "failing", partial(work, run_folder=tmp_path))]
    with pytest.raises(kind, match=sentence):
        local.run_all(tasks, COMPUTE, lambda _: None)
    wait_until(lambda: not worker_ids())


@pytest.mark.slow
def test_a_task_resumes_when_its_worker_is_lost(local: Cluster, tmp_path: Path) -> None:
    reported: list[Epoch] = []
    task = a_task(tmp_path, "unlucky", partial(be_killed_after_two_epochs, run_folder=tmp_path))
    local.run_all([task], COMPUTE, reported.append)
    assert [epoch.epoch for epoch in reported] == [1, 2, 3]
    assert EpochLog(tmp_path).read() == reported
    assert (tmp_path / "unlucky/state").read_bytes() == b"3"


@pytest.mark.slow
def test_the_code_travels_too(local: Cluster, tmp_path: Path) -> None:
    local.run_all([a_task(tmp_path, "writer", write_paths_of_code)], COMPUTE, lambda _: None)
    paths = (tmp_path / "writer/code").read_text().splitlines()
    assert len(paths) == 3 and all("runtime_resources/py_modules_files" in path for path in paths)


@pytest.mark.slow
def test_a_run_on_a_cluster_gives_the_same_bytes(finished_run: Path, tmp_path: Path) -> None:
    done = tenfold(*SMOKE, "--cluster", "local", "--out", "run", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert results(tmp_path / "run") == results(finished_run)


class TwoNodes:
    """Two nodes on one machine, with one core each; the driver joins the first."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster as Nodes

        stop_handler = signal.getsignal(signal.SIGTERM)
        self.nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        self.second = self.nodes.add_node(num_cpus=1)
        signal.signal(signal.SIGTERM, stop_handler)  # Ray has replaced it
        self.nodes.wait_for_nodes()

    def start_run(self, folder: Path) -> subprocess.Popen[str]:
        """Start the longer run, and return once both nodes have reported two epochs."""
        driver = subprocess.Popen(
            [sys.executable, "-u", "-m", "tenfold", *LONGER, "--cluster", self.nodes.address, "--out", "run"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        log = EpochLog(folder / "run")
        wait_until(lambda: driver.poll() is not None or len([epoch for epoch in log.read() if epoch.epoch == 2]) >= 2)
        assert driver.poll() is None, driver.communicate()[1]
        return driver


@pytest.fixture
def two_nodes() -> Iterator[TwoNodes]:
    nodes = TwoNodes()
    try:
        yield nodes
    finally:
        nodes.nodes.shutdown()


@pytest.fixture(scope="module")
def without_cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the longer run without a cluster."""
    folder = tmp_path_factory.mktemp("without-cluster")
    succeeded(tenfold(*LONGER, "--out", "run", cwd=folder))
    return folder / "run"


@pytest.mark.slow
def test_a_run_survives_the_loss_of_a_node(two_nodes: TwoNodes, without_cluster: Path, tmp_path: Path) -> None:
    driver = two_nodes.start_run(tmp_path)
    two_nodes.nodes.remove_node(two_nodes.second, allow_graceful=False)
    out, err = driver.communicate(timeout=HANG_S)
    assert (driver.returncode, err) == (0, ""), out
    assert "its worker was lost; resuming from its last epoch" in out
    assert results(tmp_path / "run") == results(without_cluster)
    epochs = EpochLog(tmp_path / "run").read()
    assert len(epochs) == len({(epoch.task, epoch.epoch) for epoch in epochs}) == 3 * 4 + 3 * 6


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_continues_without_the_cluster(
    stop: signal.Signals, two_nodes: TwoNodes, without_cluster: Path, tmp_path: Path
) -> None:
    driver = two_nodes.start_run(tmp_path)
    assert worker_ids()
    driver.send_signal(stop)
    _, err = driver.communicate(timeout=HANG_S)
    if stop == signal.SIGTERM:
        assert driver.returncode == 130
        assert err == "tenfold: stopped; the same command continues\n"
    wait_until(lambda: not worker_ids())
    log = EpochLog(tmp_path / "run")
    before = log.read()
    succeeded(tenfold(*LONGER, "--out", "run", cwd=tmp_path))
    after = log.read()
    assert len(after) == 3 * 4 + 3 * 6
    # Finished epochs are not repeated, but for the last of each training, whose checkpoint the stop may have prevented.
    last = {epoch.task: epoch for epoch in before}
    assert all(epoch in after or epoch == last[epoch.task] for epoch in before)
    assert any(epoch not in last.values() for epoch in before)
    assert results(tmp_path / "run") == results(without_cluster)
