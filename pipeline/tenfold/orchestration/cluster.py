"""Where tasks run on a Ray cluster: one actor per task, on any node that has room.

Nodes need the dependencies and nothing else: no shared folder, no data, no code of ours. A training travels with its
inputs, and what it writes comes back after each epoch. So a training whose node is lost resumes elsewhere from its
last epoch, and a run whose driver was killed continues with the same command, on a cluster or without one.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from typing import Any, Final

# Set before Ray is imported: it would report usage, and mix the output of its own processes with ours.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", "^")

import ray
from ray.exceptions import RayError, RayTaskError

import digit_recognizer
import tenfold
import tenfold_onnx
from tenfold.errors import BadInput, RunFailed
from tenfold.orchestration import transfer
from tenfold.orchestration.pool import Report, Task
from tenfold.orchestration.transfer import Delivery, Parcel
from tenfold.settings import Compute
from tenfold.storage.epoch_log import Epoch
from tenfold.terminal import note
from tenfold.training import device

CODE: Final = (tenfold, tenfold_onnx, digit_recognizer)
CONNECT_S: Final = 10.0  # how long a port may take to answer; Ray itself would try for a minute
POLL_S: Final = 5.0  # how often to check whether nodes have come or gone
QUEUED: Final = 2  # tasks waiting at the cluster: the next one is at hand, and an autoscaler sees that there is more
MAX_LOSSES: Final = 3  # without an epoch in between, before a task counts as the cause of its workers' deaths


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process has joined."""

    address: str

    def resolve(self, requested: Compute, tasks: int) -> Compute:
        """As `device.resolve`, by what one of the nodes has, a GPU if there are any. Raises BadInput."""
        gpus = ray.cluster_resources().get("GPU", 0)
        if requested.device == "cuda" and not gpus:
            raise BadInput(f"device: no node of the cluster {self.address} has a GPU; use auto instead of cuda")
        with_gpu = bool(gpus) and requested.device in ("auto", "cuda")
        remote = ray.remote(device.resolve).options(num_cpus=1, num_gpus=int(with_gpu), max_retries=MAX_LOSSES)
        try:
            compute: Compute = ray.get(remote.remote(requested, tasks))
        except RayTaskError as error:
            if isinstance(error.cause, BadInput):
                raise error.cause from error
            raise RunFailed(_node_failed(error)) from error
        except RayError as error:
            raise RunFailed(_node_failed(error)) from error
        return compute

    def capacity(self, compute: Compute) -> int:
        """How many tasks the current nodes can run at a time."""
        need = {{"num_cpus": "CPU", "num_gpus": "GPU"}[name]: amount for name, amount in _share(compute).items()}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return sum(min(int(node.get(name, 0) // amount) for name, amount in need.items()) for node in nodes)

    def run_all(self, tasks: Iterable[Task], compute: Compute, report: Report) -> None:
        """Run a plan's tasks, as many at a time as the cluster has room for; their files are written here.

        The first failure stops the others, and so does whatever stops this process. Raises RunFailed, or the
        BadInput that a task raised, or BadInput where no node is large enough.
        """
        capacity = self.capacity(compute)
        if not capacity:
            need = "a GPU" if compute.device == "cuda" else f"{compute.threads} CPUs, as many as a task has threads"
            raise BadInput(f"cluster: no node of {self.address} has {need}; add one, or lower --threads")
        waiting = iter(tasks)
        running: dict[ray.ObjectRef[Delivery], _Running] = {}
        try:
            while True:
                capacity, before = self.capacity(compute), capacity
                if before and not capacity:
                    note("cluster: no node that is large enough is left; waiting for one")
                for task in islice(waiting, max(0, capacity + QUEUED - len(running))):
                    _start(running, task, compute)
                if not running:
                    return
                ready, _ = ray.wait(list(running), timeout=POLL_S)
                for reference in ready:
                    current = running[reference]
                    delivery = _fetch(reference, current)
                    if delivery:
                        delivery.accept(current.task.argument.run)
                        if delivery.failure:
                            raise delivery.failure
                    del running[reference]
                    if delivery and delivery.progress:
                        report(delivery.progress)
                        losses = 0 if isinstance(delivery.progress, Epoch) else current.losses
                        running[current.actor.next.remote()] = _Running(current.task, current.actor, losses)
                        continue
                    ray.kill(current.actor)  # explicitly: it would keep its resources while anything here refers to it
                    if not delivery:
                        note(f"{current.task.name}: its worker was lost; resuming from its last epoch")
                        _start(running, current.task, compute, current.losses + 1)
        finally:
            for current in running.values():
                ray.kill(current.actor)


@contextmanager
def connect(address: str) -> Iterator[Cluster]:
    """Join the cluster at `address`, whatever `ray.init` takes; "local" starts one on this machine's cores.

    Raises BadInput where it can't be reached.
    """
    _require_answer(address)
    stop_handler = signal.getsignal(signal.SIGTERM)
    try:
        try:
            ray.init(
                address=address,
                runtime_env={"py_modules": [package.__path__[0] for package in CODE]},
                include_dashboard=False if address == "local" else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError, ValueError, RayError) as error:
            raise BadInput(_unreachable(address, str(error))) from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, stop_handler)  # Ray has replaced it
        yield Cluster(address)
    finally:
        ray.shutdown()


class _Actor:
    """One task on a node, in a process of its own; it works on while its deliveries are fetched."""

    def __init__(self) -> None:
        self.deliveries: SimpleQueue[Delivery] = SimpleQueue()

    def first(self, parcel: Parcel) -> Delivery:
        threading.Thread(target=transfer.run_parcel, args=(parcel, self.deliveries.put), daemon=True).start()
        return self.next()

    def next(self) -> Delivery:
        return self.deliveries.get()


@dataclass(frozen=True)
class _Running:
    task: Task
    actor: Any
    losses: int = 0  # since its last epoch


def _start(running: dict[ray.ObjectRef[Delivery], _Running], task: Task, compute: Compute, losses: int = 0) -> None:
    actor: Any = ray.remote(_Actor).options(**_share(compute), max_restarts=0).remote()
    running[actor.first.remote(transfer.pack(task))] = _Running(task, actor, losses)


def _fetch(reference: ray.ObjectRef[Delivery], current: _Running) -> Delivery | None:
    """A task's delivery; None where its worker or node was lost. Raises RunFailed where a node is at fault."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise RunFailed(f"{current.task.name}: {_node_failed(error)}") from error
    except RayError as error:
        if current.losses == MAX_LOSSES:
            raise RunFailed(_lost_too_often(current.task, error)) from error
        return None


def _share(compute: Compute) -> dict[str, int]:
    """What a task takes of a node."""
    return {"num_cpus": 1, "num_gpus": 1} if compute.device == "cuda" else {"num_cpus": compute.threads}


def _require_answer(address: str) -> None:
    """Raise BadInput where nobody listens. Ray resolves "auto" and "local" itself."""
    if not address:
        raise BadInput("cluster: the address is empty; give auto, local, or what `ray start --head` prints: host:port")
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise BadInput(_unreachable(address, str(error))) from error


def _unreachable(address: str, why: str) -> str:
    reason = " ".join(why.split()).rstrip(".")
    return f"cluster: can't join {address} ({reason}); start one with `ray start --head` and give its host:port"


def _node_failed(error: RayError) -> str:
    """Why a node could not do its work, from the end of Ray's traceback."""
    last = str(error).strip().splitlines()[-1]
    return f"a node of the cluster can't run tenfold ({last}); install the same 'tenfold[train,cluster]' on every node"


def _lost_too_often(task: Task, error: RayError) -> str:
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return (
        f"{task.name}: its worker was lost {MAX_LOSSES + 1} times without finishing an epoch ({first}), most likely "
        "because memory ran out; the same command continues from the last epoch"
    )
