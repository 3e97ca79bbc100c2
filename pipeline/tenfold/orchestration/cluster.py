"""Where tasks run when there is a Ray cluster: an actor each, on whatever node has room.

Nodes need the dependencies and nothing else: no shared folder, no data, no code of ours. A training travels as a
parcel, and what it writes comes home after each epoch. So one whose node is lost goes on elsewhere from its last
epoch, and a run whose driver was killed continues by the same command, on a cluster or without one.
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

# Before Ray is imported: it would report its use, and print what its own processes say among our lines.
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
from tenfold.training import device

CODE: Final = (tenfold, tenfold_onnx, digit_recognizer)
PORT_S: Final = 10.0  # how long a port may take to answer; Ray itself would try for a minute
LOOK_S: Final = 5.0  # how often to see whether nodes have come or gone
AHEAD: Final = 2  # tasks that wait at the cluster: the next is at hand, and an autoscaler sees that there is more
LOSSES: Final = 3  # in a row without an epoch in between, before a task counts as what kills its workers


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster that this process is joined to."""

    address: str

    def resolve(self, asked: Compute, tasks: int) -> Compute:
        """As `device.resolve`, by what one of the nodes has, a GPU where there are any. Raises BadInput."""
        gpus = ray.cluster_resources().get("GPU", 0)
        if asked.device == "cuda" and not gpus:
            raise BadInput(f"device: cuda is asked for, and no node of the cluster {self.address} has a GPU; use auto")
        with_gpu = bool(gpus) and asked.device in ("auto", "cuda")
        there = ray.remote(device.resolve).options(num_cpus=1, num_gpus=int(with_gpu), max_retries=LOSSES)
        try:
            found: Compute = ray.get(there.remote(asked, tasks))
        except RayTaskError as error:
            if isinstance(error.cause, BadInput):
                raise error.cause from error
            raise RunFailed(_unready(error)) from error
        except RayError as error:
            raise RunFailed(_unready(error)) from error
        return found

    def room(self, layout: Compute) -> int:
        """How many tasks the nodes that are there hold at a time."""
        need = {{"num_cpus": "CPU", "num_gpus": "GPU"}[name]: amount for name, amount in _share(layout).items()}
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return sum(min(int(node.get(name, 0) // amount) for name, amount in need.items()) for node in nodes)

    def run_all(self, tasks: Iterable[Task], layout: Compute, report: Report) -> None:
        """Run a plan's tasks, as many at a time as the cluster has room for; their files are written here.

        The first failure stops the others, and so does whatever stops this process. Raises RunFailed, or the
        BadInput that a task raised, or BadInput where no node is large enough.
        """
        room = self.room(layout)
        if not room:
            wanted = "a GPU" if layout.device == "cuda" else f"{layout.threads} CPUs, a task's threads"
            raise BadInput(f"cluster: no node of {self.address} has {wanted}; add one, or ask for another layout")
        waiting = iter(tasks)
        running: dict[ray.ObjectRef[Delivery], _Running] = {}
        try:
            while True:
                room, before = self.room(layout), room
                if before and not room:
                    print("cluster: no node is left that is large enough; waiting for one")
                for task in islice(waiting, max(0, room + AHEAD - len(running))):
                    _begin(running, task, layout)
                if not running:
                    return
                ready, _ = ray.wait(list(running), timeout=LOOK_S)
                for reference in ready:
                    its = running[reference]
                    delivery = _fetched(reference, its)
                    if delivery:
                        delivery.accept(its.task.argument.run)
                        if delivery.failure:
                            raise delivery.failure
                    del running[reference]
                    if delivery and delivery.record:
                        report(delivery.record)
                        running[its.actor.next.remote()] = _Running(its.task, its.actor)
                        continue
                    ray.kill(its.actor)  # by name: it would hold its place for as long as anything here refers to it
                    if not delivery:
                        print(f"{its.task.name}: its worker was lost; it goes on from its last epoch")
                        _begin(running, its.task, layout, its.losses + 1)
        finally:
            for its in running.values():
                ray.kill(its.actor)


@contextmanager
def connect(address: str) -> Iterator[Cluster]:
    """Join the cluster at `address`, whatever `ray.init` takes; "local" starts one on this machine's cores.

    Raises BadInput where it can't be reached.
    """
    _require_answer(address)
    stop = signal.getsignal(signal.SIGTERM)
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
            signal.signal(signal.SIGTERM, stop)  # Ray has put its own in the place of ours
        yield Cluster(address)
    finally:
        ray.shutdown()


class _Training:
    """One task on a node, in a process of its own; it works on while its deliveries are fetched."""

    def __init__(self) -> None:
        self.deliveries: SimpleQueue[Delivery] = SimpleQueue()

    def first(self, its: Parcel) -> Delivery:
        threading.Thread(target=transfer.run_parcel, args=(its, self.deliveries.put), daemon=True).start()
        return self.next()

    def next(self) -> Delivery:
        return self.deliveries.get()


@dataclass(frozen=True)
class _Running:
    task: Task
    actor: Any
    losses: int = 0  # since its last epoch


def _begin(running: dict[ray.ObjectRef[Delivery], _Running], task: Task, layout: Compute, losses: int = 0) -> None:
    actor: Any = ray.remote(_Training).options(**_share(layout), max_restarts=0).remote()
    running[actor.first.remote(transfer.pack(task))] = _Running(task, actor, losses)


def _fetched(reference: ray.ObjectRef[Delivery], its: _Running) -> Delivery | None:
    """What a task sends home; None where its worker or node was lost. Raises RunFailed where a node is at fault."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        raise RunFailed(f"{its.task.name}: {_unready(error)}") from error
    except RayError as error:
        if its.losses == LOSSES:
            raise RunFailed(_lost_again(its.task, error)) from error
        return None


def _share(layout: Compute) -> dict[str, int]:
    """What a task takes of a node."""
    return {"num_cpus": 1, "num_gpus": 1} if layout.device == "cuda" else {"num_cpus": layout.threads}


def _require_answer(address: str) -> None:
    """Raise BadInput where nobody listens. Of "auto" and "local" Ray knows by itself."""
    if not address:
        raise BadInput("cluster: empty is no address; give auto, local, or what `ray start --head` says: host:port")
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), PORT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise BadInput(_unreachable(address, str(error))) from error


def _unreachable(address: str, why: str) -> str:
    reason = " ".join(why.split()).rstrip(".")
    return f"cluster: {address} can't be joined ({reason}); start one with `ray start --head` and give its host:port"


def _unready(error: RayError) -> str:
    """Why a node could not carry out what it was given, from Ray's account with its traceback."""
    last = str(error).strip().splitlines()[-1]
    return f"a node of the cluster can't work for us ({last}); install the same 'tenfold[train,cluster]' on every node"


def _lost_again(task: Task, error: RayError) -> str:
    first = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return (
        f"{task.name}: its worker was lost {LOSSES + 1} times without finishing an epoch ({first}), most likely for "
        "want of memory; the same command continues from the last epoch"
    )
