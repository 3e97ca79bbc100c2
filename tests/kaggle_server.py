"""A Kaggle of the tests' own, on 127.0.0.1: what the real `kaggle` command talks to, faults included."""

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

import numpy as np

from digit_recognizer import rows

KEY = "s3cret-0123456789abcdef"  # what must never be seen anywhere

Reply = tuple[int, dict[str, str], bytes]
Answer = Callable[["Kaggle", dict[str, Any]], Reply]


def reply(body: Any, code: int = 200, **headers: str) -> Reply:
    """A JSON reply."""
    return code, {"Content-Type": "application/json"} | headers, json.dumps(body).encode()


def error(code: int, message: str) -> Answer:
    """An answer that refuses as Kaggle does."""
    return lambda kaggle, asked: reply({"code": code, "message": message}, code)


def page(kaggle: Kaggle, asked: dict[str, Any]) -> Reply:
    """What a captive portal answers to everything."""
    return 200, {"Content-Type": "text/html"}, b"<!DOCTYPE html><html>Please log in</html>"


def reset(kaggle: Kaggle, asked: dict[str, Any]) -> Reply:
    """Hang up without a word."""
    raise ConnectionResetError


def hang(kaggle: Kaggle, asked: dict[str, Any]) -> Reply:
    """Answer nothing until the test is over."""
    kaggle.over.wait(60)
    raise ConnectionResetError


def counted_then(then: Answer) -> Answer:
    """Take the submission, and go on as `then` does."""

    def answer(kaggle: Kaggle, asked: dict[str, Any]) -> Reply:
        kaggle.take(asked)
        return then(kaggle, asked)

    return answer


def first(times: int, answer: Answer, later: Answer) -> Answer:
    """`answer` for so many times, and then `later`."""
    left = iter(range(times))
    return lambda kaggle, asked: (answer if next(left, None) is not None else later)(kaggle, asked)


def archived(**content: bytes) -> bytes:
    """A zip of NAME.csv files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in content.items():
            archive.writestr(f"{name}.csv", data)
    return out.getvalue()


def blank(n: int, labelled: bool) -> bytes:
    """`n` rows of an empty digit, written at once."""
    head = rows.render(np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int64) if labelled else None)
    header, row, _ = head.split(b"\n")
    return header + b"\n" + (row + b"\n") * n


def whole_archive() -> bytes:
    """A digit-recognizer.zip with as many rows as the competition's, all of them empty digits."""
    return archived(train=blank(42_000, True), test=blank(28_000, False))


@dataclass
class Kaggle:
    """The server's state; `faults` replaces an answer by its method's name (or PUT, GET)."""

    port: int = 0
    submissions: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    allowed: int = 5
    pending: int = 0  # times that the list shows a submission without its score
    archive: bytes = b""
    datasets: int = 0
    kernels: list[dict[str, Any]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def take(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Count a submission."""
        entry = {
            "ref": 100 + len(self.submissions),
            "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "fileName": "submission.csv",
            "description": asked.get("submissionDescription", ""),
            "status": "COMPLETE",
            "publicScore": "0.99650",
        }
        self.submissions.insert(0, entry)
        return entry

    def answer(self, method: str, asked: dict[str, Any]) -> Reply:
        """What Kaggle would say."""
        if method in self.faults:
            return self.faults[method](self, asked)
        normal = getattr(self, f"_{method.lower()}", None)
        return normal(asked) if normal else error(404, f"no such method {method}")(self, asked)

    def _startsubmissionupload(self, asked: dict[str, Any]) -> Reply:
        return reply({"token": "t", "createUrl": "http://localhost/upload"})

    def _createsubmission(self, asked: dict[str, Any]) -> Reply:
        entry = self.take(asked)
        return reply({"message": "Successfully submitted to Digit Recognizer", "ref": entry["ref"]})

    def _listsubmissions(self, asked: dict[str, Any]) -> Reply:
        entries = self.submissions
        if self.pending > 0 and entries:
            self.pending -= 1
            entries = [entry | {"status": "PENDING", "publicScore": ""} for entry in entries]
        return reply({"submissions": entries})

    def _getsubmissionlimits(self, asked: dict[str, Any]) -> Reply:
        done = len(self.submissions)
        return reply({"numToday": done, "numTotal": done, "numAllowedNow": self.allowed - done})

    def _downloaddatafiles(self, asked: dict[str, Any]) -> Reply:
        return 302, {"Location": "http://localhost/archive.zip?signed=1"}, b""

    def _startblobupload(self, asked: dict[str, Any]) -> Reply:
        return reply({"token": "t", "createUrl": "http://localhost/upload"})

    def _getdatasetstatus(self, asked: dict[str, Any]) -> Reply:
        if self.datasets == 0:
            return error(404, "Not found")(self, asked)
        return reply({"status": "READY"})

    def _createdataset(self, asked: dict[str, Any]) -> Reply:
        self.datasets += 1
        return reply({"ref": "someone/tenfold-wheels", "url": "http://localhost/d", "status": "ok"})

    _createdatasetversion = _createdataset

    def _savekernel(self, asked: dict[str, Any]) -> Reply:
        self.kernels.append(asked)
        return reply({"ref": "", "url": "http://localhost/code/someone/tenfold", "versionNumber": len(self.kernels)})

    def _getkernelsessionstatus(self, asked: dict[str, Any]) -> Reply:
        return reply({"status": "RUNNING"})

    def _listkernelsessionoutput(self, asked: dict[str, Any]) -> Reply:
        page = int(asked.get("pageToken") or 0)
        names = ["submission.csv", "run/metrics.json"]
        files = [{"url": f"http://localhost/files/{names[page]}", "fileName": names[page]}]
        return reply({"files": files, "nextPageToken": "1"} if page == 0 else {"files": files})

    def _get(self, asked: dict[str, Any]) -> Reply:
        headers = {"Content-Type": "application/zip", "Last-Modified": "Wed, 11 Dec 2019 02:02:37 GMT"}
        return 200, headers, self.archive

    def _put(self, asked: dict[str, Any]) -> Reply:
        return 200, {}, b""

    def environment(self, home: Path) -> dict[str, str]:
        """What makes the real command talk to this server and to nothing else."""
        here = f"http://127.0.0.1:{self.port}"
        cleared = ("KAGGLE_API_TOKEN", "KAGGLE_CONFIG_DIR", "NO_PROXY", "no_proxy", "PYTHONPATH", "XDG_CONFIG_HOME")
        kept = {key: value for key, value in os.environ.items() if key not in cleared}
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), here)
        names = {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": KEY, "KAGGLE_API_ENVIRONMENT": "LOCALHOST"}
        return kept | proxies | names | {"HOME": str(home)}

    def tenfold(self, *arguments: str | Path, cwd: Path, **environment: str | None) -> subprocess.CompletedProcess[str]:
        """Our command, with the real `kaggle` behind it; no credential may be seen in what it says.

        `environment` sets variables, and takes away those that are None.
        """
        changed: dict[str, str | None] = {**self.environment(cwd), **environment}
        done = subprocess.run(
            [sys.executable, "-m", "tenfold.cli", *map(str, arguments)],
            cwd=cwd,
            env={key: value for key, value in changed.items() if value is not None},
            capture_output=True,
            text=True,
            timeout=120,
        )
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

        def do_CONNECT(self) -> None:  # an attempt to reach a real host
            self._answer(f"CONNECT {self.path}")

        def _answer(self, method: str) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kaggle.asked.append(method)
            if method == "PUT":
                kaggle.uploads.append(body)
            asked = json.loads(body) if body.startswith(b"{") else {}
            try:
                code, headers, content = kaggle.answer(method, asked)
            except ConnectionResetError:
                # with a linger of 0 the close is a reset
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
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield kaggle
    finally:
        kaggle.over.set()
        server.shutdown()
        server.server_close()
