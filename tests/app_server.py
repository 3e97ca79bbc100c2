"""A running `tenfold app` for tests."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import HANG_S

from tenfold_onnx import shipped_models


@dataclass(frozen=True)
class Page:
    """A running `tenfold app`."""

    port: int
    models: Path

    def request(self, path: str, query: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, content and headers of the answer: a GET without a query, else a POST."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=HANG_S)
        body = query if query is None or isinstance(query, bytes) else json.dumps(query)
        connection.request("GET" if query is None else "POST", path, body, headers)
        response = connection.getresponse()
        text = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(text) if is_json else text.decode(), dict(response.getheaders())


def start_app(*arguments: str | Path, cwd: Path, before: str = "") -> tuple[subprocess.Popen[str], int]:
    """A server's process, and the port that it prints. `before` is a program that runs in it first."""
    program = f"{before}\nfrom tenfold.cli import main; main()"
    command = [sys.executable, "-c", program, "app", *map(str, arguments), "--port", "0", "--no-open"]
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("http://127.0.0.1:"), process.stderr.read() if process.stderr else ""
    return process, int(line.split(":")[2].split("/")[0])


def one_of_two_damaged(folder: Path) -> Path:
    """The folder, with the shipped models in its folder `good`, and again in `worse`, where one of them is damaged."""
    for name in ("good", "worse"):
        shutil.copytree(shipped_models(), folder / name)
    (folder / "worse/generator.onnx").write_bytes(b"no model")
    return folder
