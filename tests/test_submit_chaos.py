"""Seeded trials of everything at once: kills, lists that lag, slow or failing servers, one file in two folders.

However a trial goes, the server counts the file once, since no trial says --again, and no sentence is false. The real
`kaggle` command runs against a server on 127.0.0.1.
"""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import wait_until
from kaggle_server import HANG_S, Answer, Kaggle, Reply, accept_then, error, normal, reply, reset, served

from digit_recognizer import submission

COMMANDS = 4  # per trial
SIGNALS = (None, None, signal.SIGKILL, signal.SIGKILL, signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
MOMENTS = ("StartSubmissionUpload", "PUT", "PUT", "CreateSubmission", "CreateSubmission", "GetSubmissionLimits")
REFUSALS = ("You have reached your daily limit of 5", "Your team has used its submission allowance (5 of 5)")
SAYS_NOT_SENT = re.compile(r"not sent(?! again)")


@dataclass
class Server:
    """A Kaggle that is as slow and as unreliable as `chance` decides."""

    kaggle: Kaggle
    chance: random.Random
    lag_s: float  # until the list shows a submission
    listed_at: dict[int, float] = field(default_factory=dict)
    working: int = 0  # requests for a submission that are not answered yet

    def __post_init__(self) -> None:
        self.kaggle.allowed = 100
        self.kaggle.faults["ListSubmissions"] = self._list
        self.kaggle.faults["PUT"] = self._upload
        self.kaggle.faults["CreateSubmission"] = self._create
        self.lock = threading.Lock()

    def _list(self, kaggle: Kaggle, request: dict[str, Any]) -> Reply:
        now = time.monotonic()
        with self.lock:
            entries = [e for e in kaggle.submissions if now >= self.listed_at.setdefault(e["ref"], now + self.lag_s)]
        return reply({"submissions": entries})

    def _upload(self, kaggle: Kaggle, request: dict[str, Any]) -> Reply:
        time.sleep(self.chance.choice((0.0, 0.0, 0.3, 1.0)))
        return self.chance.choice((normal("PUT"),) * 8 + (error(403, "expired"),))(kaggle, request)

    def _create(self, kaggle: Kaggle, request: dict[str, Any]) -> Reply:
        with self.lock:
            self.working += 1
            delay_s = self.chance.choice((0.0, 0.0, 0.0, 1.0, 3.0))
            answer = self.chance.choice(self._answers())
        try:
            time.sleep(delay_s)  # it works on, whether or not anybody waits
            return answer(kaggle, request)
        finally:
            with self.lock:
                self.working -= 1

    def _answers(self) -> tuple[Answer, ...]:
        accepted = (normal("CreateSubmission"),) * 4
        lost = (accept_then(reset), accept_then(error(500, "oops")), accept_then(lambda k, r: reply({})))
        nothing = (reset, error(500, "oops"), lambda k, r: reply({}))
        refused = *(error(400, words) for words in REFUSALS), lambda k, r: reply({"message": REFUSALS[0]})
        return accepted + lost + nothing + refused


@dataclass
class Command:
    """One `tenfold submit` of a trial."""

    folder: Path
    process: subprocess.Popen[str]
    ids_before: set[str]
    ids_after: set[str] = field(default_factory=set)  # without those of later commands, which may arrive
    output: str = ""


def attempts(folder: Path) -> dict[str, str]:
    """The state of every attempt recorded in a folder, by id."""
    path = folder / "submissions.json"
    return {record["id"]: record["state"] for record in json.loads(path.read_text())} if path.is_file() else {}


def start(server: Server, home: Path, name: str) -> Command:
    chance = server.chance
    limits = {"--upload-s": chance.choice((1.5, 3.0, 20.0)), "--appear-s": chance.choice((0.1, 0.5, 2.0))}
    limits |= {"--poll-s": 0.1, "--call-s": HANG_S}
    arguments = [str(part) for option in limits.items() for part in option]
    process = subprocess.Popen(
        [sys.executable, "-m", "tenfold", "submit", f"{name}/submission.csv", "--no-wait", *arguments],
        cwd=home,
        env=server.kaggle.environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return Command(home / name, process, set(attempts(home / name)))


def disturb(server: Server, command: Command, seen: int) -> None:
    """Send the process a signal, or none, once the server got a certain request after the first `seen`, or later."""
    chance, process = server.chance, command.process
    signal_, moment, delay_s = chance.choice(SIGNALS), chance.choice(MOMENTS), chance.uniform(0, 0.4)
    if signal_ is not None:
        wait_until(lambda: moment in server.kaggle.requests[seen:] or process.poll() is not None)
        time.sleep(delay_s)
        process.send_signal(signal_)
    command.output, _ = process.communicate(timeout=HANG_S)
    command.ids_after = set(attempts(command.folder))


def trial(seed: int, home: Path) -> list[str]:
    """What went wrong in one trial: submissions too many, and false sentences."""
    chance = random.Random(seed)
    content = submission.render(np.random.default_rng(seed).integers(0, 10, 28_000))
    for name in ("a", "b"):
        (home / name).mkdir(parents=True)
        (home / name / "submission.csv").write_bytes(content)
    done: list[Command] = []
    with served() as kaggle:
        server = Server(kaggle, chance, lag_s=chance.choice((0.0, 0.0, 2.0, 5.0)))
        while len(done) < COMMANDS:
            names = ["a", "b"] if chance.random() < 0.3 else [chance.choice("ab")]
            seen = len(kaggle.requests)
            commands = [start(server, home, name) for name in names]
            for command in commands:
                disturb(server, command, seen)
            done += commands
        wait_until(lambda: server.working == 0)
        time.sleep(0.5)  # for a command that outlived its parent, if there is one
        wait_until(lambda: server.working == 0)
        received = [str(entry["description"]) for entry in kaggle.submissions]
    return [*_too_many(received), *_false_sentences(done, received)]


def _too_many(received: list[str]) -> list[str]:
    return [f"{len(received)} submissions of one file"] if len(received) > 1 else []


def _false_sentences(done: list[Command], received: list[str]) -> list[str]:
    false: list[str] = []
    for command in done:
        new = command.ids_after - command.ids_before
        arrived = any(id_ in description for id_ in new for description in received)
        if SAYS_NOT_SENT.search(command.output) and arrived:
            false.append(f"said although it arrived: {command.output.splitlines()[-1]}")
        if "submitted: 1" in command.output and not arrived:
            false.append(f"said although it did not arrive: {command.output.splitlines()[-1]}")
        if "Traceback" in command.output:
            false.append(command.output)
    for folder in {command.folder for command in done}:
        for id_, state in attempts(folder).items():
            if state in ("refused", "not sent") and any(id_ in description for description in received):
                false.append(f"recorded as {state} although it arrived")
    return false


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_a_file_is_counted_once_and_no_sentence_is_false(tmp_path: Path, seed: int) -> None:
    assert trial(seed, tmp_path) == []
