"""A stand-in for Kaggle on 127.0.0.1, which the real `kaggle` command talks to. Tests replace its answers by faults."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import struct
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from digit_recognizer import rows
from tenfold.cli import status

KEY = "s3cret-0123456789abcdef"  # must never be printed or stored

HANG_S = 600  # only a hang takes as long

Reply = tuple[int, dict[str, str], bytes]  # status, headers, content
Answer = Callable[["Kaggle", dict[str, Any]], Reply]


def reply(body: Any, code: int = 200, **headers: str) -> Reply:
    """A JSON reply."""
    return code, {"Content-Type": "application/json"} | headers, json.dumps(body).encode()


def error(code: int, message: str) -> Answer:
    """An answer in the form of Kaggle's errors."""
    return lambda kaggle, request: reply({"code": code, "message": message}, code)


def web_page(kaggle: Kaggle, request: dict[str, Any]) -> Reply:
    """The answer of a captive portal."""
    return 200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>Please log in</html>"


def reset(kaggle: Kaggle, request: dict[str, Any]) -> Reply:
    """Close the connection without an answer."""
    raise ConnectionResetError


def hang(kaggle: Kaggle, request: dict[str, Any]) -> Reply:
    """Give no answer until the test is over."""
    kaggle.over.wait(HANG_S)
    raise ConnectionResetError


def accept_then(then: Answer) -> Answer:
    """Accept the submission, and then answer as `then` does."""

    def answer(kaggle: Kaggle, request: dict[str, Any]) -> Reply:
        kaggle.accept(request)
        return then(kaggle, request)

    return answer


def first(times: int, answer: Answer, later: Answer) -> Answer:
    """`answer` the first `times` times, and then `later`."""
    left = iter(range(times))
    return lambda kaggle, request: (answer if next(left, None) is not None else later)(kaggle, request)


def normal(method: str) -> Answer:
    """The answer when nothing is wrong."""
    return lambda kaggle, request: kaggle.normal(method, request)


def zip_of(**content: bytes) -> bytes:
    """A zip of NAME.csv files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in content.items():
            archive.writestr(f"{name}.csv", data)
    return out.getvalue()


def blank_rows(n: int, labelled: bool) -> bytes:
    """A CSV of `n` blank images."""
    head = rows.render(np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int64) if labelled else None)
    header, row, _ = head.split(b"\n")
    return header + b"\n" + (row + b"\n") * n


def whole_archive() -> bytes:
    """A digit-recognizer.zip with as many rows as the competition's, all of them blank images."""
    return zip_of(train=blank_rows(42_000, True), test=blank_rows(28_000, False))


@dataclass
class Kaggle:
    """The server's state. `faults` replaces answers, by the API method's name or PUT and GET for files."""

    port: int = 0
    submissions: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[str, Answer] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)  # the methods called so far
    uploads: list[bytes] = field(default_factory=list)
    allowed: int = 5
    pending: int = 0  # how many times the list still shows submissions without a score
    archive: bytes = b""
    datasets: int = 0
    kernels: list[dict[str, Any]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def accept(self, request: dict[str, Any]) -> dict[str, Any]:
        """Add a submission."""
        entry = {
            "ref": 100 + len(self.submissions),
            "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "fileName": "submission.csv",
            "description": request.get("submissionDescription", ""),
            "status": "COMPLETE",
            "publicScore": "0.99650",
        }
        self.submissions.insert(0, entry)
        return entry

    def answer(self, method: str, request: dict[str, Any]) -> Reply:
        """The answer to one request."""
        return self.faults[method](self, request) if method in self.faults else self.normal(method, request)

    def normal(self, method: str, request: dict[str, Any]) -> Reply:
        """Kaggle's answer when nothing is wrong."""
        handle = getattr(self, f"_{method.lower()}", None)
        return handle(request) if handle else error(404, f"no such method {method}")(self, request)

    def _startsubmissionupload(self, request: dict[str, Any]) -> Reply:
        return reply({"token": "t", "createUrl": "http://localhost/upload"})

    def _createsubmission(self, request: dict[str, Any]) -> Reply:
        entry = self.accept(request)
        return reply({"message": "Successfully submitted to Digit Recognizer", "ref": entry["ref"]})

    def _listsubmissions(self, request: dict[str, Any]) -> Reply:
        entries = self.submissions
        if self.pending > 0 and entries:
            self.pending -= 1
            entries = [entry | {"status": "PENDING", "publicScore": ""} for entry in entries]
        return reply({"submissions": entries})

    def _getsubmissionlimits(self, request: dict[str, Any]) -> Reply:
        done = len(self.submissions)
        return reply({"numToday": done, "numTotal": done, "numAllowedNow": self.allowed - done})

    def _downloaddatafiles(self, request: dict[str, Any]) -> Reply:
        return 302, {"Location": "http://localhost/archive.zip?signed=1"}, b""

    def _startblobupload(self, request: dict[str, Any]) -> Reply:
        return reply({"token": "t", "createUrl": "http://localhost/upload"})

    def _getdatasetstatus(self, request: dict[str, Any]) -> Reply:
        if self.datasets == 0:
            return error(404, "Not found")(self, request)
        return reply({"status": "READY"})

    def _createdataset(self, request: dict[str, Any]) -> Reply:
        self.datasets += 1
        return reply({"ref": "someone/tenfold-wheels", "url": "http://localhost/d", "status": "ok"})

    _createdatasetversion = _createdataset

    def _savekernel(self, request: dict[str, Any]) -> Reply:
        self.kernels.append(request)
        return reply({"ref": "", "url": "http://localhost/code/someone/tenfold", "versionNumber": len(self.kernels)})

    def _getkernelsessionstatus(self, request: dict[str, Any]) -> Reply:
        return reply({"status": "RUNNING"})

    def _listkernelsessionoutput(self, request: dict[str, Any]) -> Reply:
        page = int(request.get("pageToken") or 0)
        names = ["submission.csv", "run/metrics.json"]
        files = [{"url": f"http://localhost/files/{names[page]}", "fileName": names[page]}]
        return reply({"files": files, "nextPageToken": "1"} if page == 0 else {"files": files})

    def _get(self, request: dict[str, Any]) -> Reply:
        headers = {"Content-Type": "application/zip", "Last-Modified": "Wed, 11 Dec 2019 02:02:37 GMT"}
        return 200, headers, self.archive

    def _put(self, request: dict[str, Any]) -> Reply:
        return 200, {}, b""

    def environment(self, home: Path) -> dict[str, str]:
        """The variables that make the real command talk to this server and to nothing else."""
        cleared = ("KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR", "NO_PROXY", "no_proxy", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
        kept = {key: value for key, value in os.environ.items() if key not in cleared}
        server = f"http://127.0.0.1:{self.port}"
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), server)
        names = {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": KEY, "KAGGLE_API_ENVIRONMENT": "LOCALHOST"}
        return kept | proxies | names | {"HOME": str(home)}

    def tenfold(self, *arguments: str | Path, cwd: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """`tenfold ARGUMENTS` in a process of its own, with the real `kaggle` command behind it.

        `environment` sets variables, and removes those that are None.
        """
        done = subprocess.run(
            [sys.executable, "-m", "tenfold", *map(str, arguments)],
            cwd=cwd,
            env=self._changed(cwd, environment),
            capture_output=True,
            text=True,
            timeout=HANG_S,
        )
        return without_secrets(done)

    def call(self, *arguments: str | Path, cwd: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """The same in the test's process, which is faster."""
        out, err = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, self._changed(cwd, environment), clear=True),
            contextlib.chdir(cwd),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = status([str(argument) for argument in arguments])
        return without_secrets(subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue()))

    def _changed(self, home: Path, environment: dict[str, str | None]) -> dict[str, str]:
        changed: dict[str, str | None] = {**self.environment(home), **environment}
        return {key: value for key, value in changed.items() if value is not None}


def without_secrets(done: subprocess.CompletedProcess[str]) -> subprocess.CompletedProcess[str]:
    """The finished command, whose output must not show the key or a traceback."""
    assert KEY not in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return done


@contextlib.contextmanager
def served() -> Iterator[Kaggle]:
    """A server on a free port, for as long as the context lasts."""
    kaggle = Kaggle()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._answer(self.path.rpartition("/")[2])

        def do_PUT(self) -> None:
            self._answer("PUT")

        def do_GET(self) -> None:
            self._answer("GET")

        def do_CONNECT(self) -> None:  # an attempt to reach another host
            self._answer(f"CONNECT {self.path}")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kaggle.requests.append(method)
            if method == "PUT":
                kaggle.uploads.append(body)
            request = json.loads(body) if body.startswith(b"{") else {}
            try:
                code, headers, content = kaggle.answer(method, request)
            except ConnectionResetError:
                # with a linger of 0, closing resets the connection
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(code)
            for name, value in (headers | {"Content-Length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def handle_one_request(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                super().handle_one_request()
                return
            self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kaggle.port = server.server_address[1]
    poll_s = 0.02  # until it notices the shutdown
    threading.Thread(target=server.serve_forever, args=(poll_s,), daemon=True).start()
    try:
        yield kaggle
    finally:
        kaggle.over.set()
        server.shutdown()
        server.server_close()
