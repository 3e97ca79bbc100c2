"""The page: what its server answers and refuses, and the page itself in a real browser."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import tenfold

from tenfold_onnx import CanvasClassifier, Classifier, Explainer, Generator
from tenfold_onnx.app.model_store import occlusion, pictures


@dataclass(frozen=True)
class Page:
    """A running `tenfold app`."""

    port: int
    models: Path

    def ask(self, call: str, question: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = question if question is None or isinstance(question, bytes) else json.dumps(question)
        connection.request("GET" if question is None else "POST", call, body, headers)
        reply = connection.getresponse()
        text = reply.read()
        answer = json.loads(text) if reply.headers.get_content_type() == "application/json" else text.decode()
        return reply.status, answer, dict(reply.getheaders())


def started(*arguments: str | Path, cwd: Path) -> tuple[subprocess.Popen[str], int]:
    """A server and the port that it prints."""
    command = [sys.executable, "-m", "tenfold.cli", "app", *map(str, arguments), "--port", "0", "--no-open"]
    running = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert running.stdout
    line = running.stdout.readline()
    assert line.startswith("http://127.0.0.1:"), running.stderr.read() if running.stderr else ""
    return running, int(line.split(":")[2].split("/")[0])


@pytest.fixture(scope="module")
def page(finished_run: Path) -> Iterator[Page]:
    running, port = started(finished_run.parent, cwd=finished_run.parent)
    yield Page(port, finished_run)
    running.terminate()
    running.wait(20)


def drawn() -> np.ndarray:  # type: ignore[type-arg]
    drawing = np.full((200, 160), 255, np.uint8)
    drawing[40:55, 30:120] = drawing[40:170, 105:120] = 0
    return drawing


def question(drawing: np.ndarray, **changes: Any) -> dict[str, Any]:  # type: ignore[type-arg]
    grey = base64.b64encode(drawing.tobytes()).decode()
    return {"model": "run", "height": drawing.shape[0], "width": drawing.shape[1], "grey": grey} | changes


def unpacked(text: str, side: int = 28) -> np.ndarray:  # type: ignore[type-arg]
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(side, side)


def test_it_offers_the_models_of_the_runs_it_finds(page: Page) -> None:
    status, models, _ = page.ask("/api/models")
    assert status == 200 and [entry["name"] for entry in models] == ["run"]
    assert models[0]["card"]["honest"] == "yes"


def test_reading_is_what_the_canvas_classifier_says(page: Page) -> None:
    status, answer, _ = page.ask("/api/read", question(drawn()))
    said = CanvasClassifier(page.models / "classifier_canvas.onnx").predict(drawn())
    assert status == 200 and answer["label"] == said.label[0]
    assert answer["probabilities"] == pytest.approx(said.probabilities[0], abs=1e-4)
    assert (unpacked(answer["seen"]) == said.seen[0]).all()
    assert answer["ink"] == pytest.approx(said.ink[0], abs=1e-4)
    assert page.ask("/api/read", question(np.zeros((50, 50), np.uint8)))[1]["label"] == -1


def test_explaining_shows_the_layers_and_what_mattered(page: Page) -> None:
    _, answer, _ = page.ask("/api/explain", question(drawn()))
    seen = CanvasClassifier(page.models / "classifier_canvas.onnx").predict(drawn()).seen[0]
    layers = Explainer(page.models / "classifier_explain.onnx").activations(seen)
    assert [layer["side"] for layer in answer["layers"]] == [layer.shape[2] for layer in layers] == [14, 14, 7]
    assert [len(layer["pictures"]) for layer in answer["layers"]] == [8, 12, 12]  # the net has 8, 16 and 24 channels
    expected = occlusion(Classifier(page.models / "classifier_light.onnx"), seen, answer["label"])
    assert np.array(answer["occlusion"]) == pytest.approx(expected, abs=1e-4)
    assert page.ask("/api/explain", question(np.zeros((50, 50), np.uint8)))[1]["occlusion"] is None


def test_generating_and_walking_are_what_the_generator_draws(page: Page) -> None:
    generator = Generator(page.models / "generator.onnx")
    _, answer, _ = page.ask("/api/generate", {"model": "run", "labels": "2026", "seed": 5})
    drawings = np.stack([unpacked(image) for image in answer["images"]])
    assert (drawings == generator.generate([2, 0, 2, 6], seed=5)).all()
    _, answer, _ = page.ask("/api/walk", {"model": "run", "label": 3, "from": 1, "to": 2, "steps": 6})
    drawings = np.stack([unpacked(image) for image in answer["images"]])
    assert np.abs(drawings.astype(int) - generator.walk(3, (1, 2), 6)).max() <= 1


@pytest.mark.parametrize(
    ("call", "asked", "complaint"),
    [
        ("read", b"\xff{", ""),
        ("read", b"[1]", "request: is no JSON object"),
        ("read", {}, "model: takes text"),
        ("read", question(drawn(), model="other"), "model: there is no 'other'; there are run"),
        ("read", question(drawn(), model="../run"), "model: there is no '../run'"),
        ("read", question(drawn(), width=161), "grey: holds 32,000 bytes where 32,200 belong"),
        ("read", question(drawn(), width=10**9), "width: takes a whole number from 2 to 4096"),
        ("read", question(drawn(), width="160"), "width: takes a whole number"),
        ("read", question(drawn(), grey="%%%"), ""),
        ("generate", {"model": "run", "labels": "12x"}, "labels: take one to 100 digits"),
        ("generate", {"model": "run", "labels": "1" * 101}, "labels: take one to 100 digits"),
        ("generate", {"model": "run", "labels": "1", "seed": -1}, "seed: is -1"),
        ("generate", {"model": "run", "labels": "1", "seed": "x"}, "seed: is 'x'"),
        ("walk", {"model": "run", "label": 10}, "labels: hold 10"),
        ("walk", {"model": "run", "label": "a"}, "labels: are"),
        ("walk", {"model": "run", "label": 1, "steps": 10**6}, "steps: take a whole number from 2 to 100"),
    ],
)
def test_bad_requests_get_a_sentence_and_400(page: Page, call: str, asked: Any, complaint: str) -> None:
    status, answer, _ = page.ask(f"/api/{call}", asked)
    assert status == 400 and answer["error"].startswith(complaint)


def test_other_hosts_other_sites_large_bodies_and_unknown_places_are_refused(page: Page) -> None:
    assert page.ask("/api/models", Host="evil.example")[0] == 400
    assert page.ask("/api/read", question(drawn()), Origin="http://evil.example")[0] == 403
    assert page.ask("/api/read", question(drawn()), Origin=f"http://127.0.0.1:{page.port}")[0] == 200
    assert page.ask("/api/read", b" " * 1_000_001)[0] == 413
    assert page.ask("/api/read")[0] == 404 and page.ask("/api/nothing", {})[0] in (404, 405)
    assert page.ask("/../server.py")[0] == 404 and page.ask("/%2e%2e/server.py")[0] == 404


def test_the_page_loads_nothing_from_elsewhere(page: Page) -> None:
    status, text, headers = page.ask("/")
    assert status == 200 and "Tenfold" in text
    assert headers["content-security-policy"].startswith("default-src 'self'")
    for name in ("page.js", "style.css", "icon.svg"):
        status, text, _ = page.ask(f"/{name}")
        assert status == 200 and "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")


def test_many_at_once_are_all_answered_and_a_slow_one_holds_up_nobody(page: Page) -> None:
    with socket.create_connection(("127.0.0.1", page.port)) as slow:  # sends half a request, and no more
        slow.sendall(b"POST /api/read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{")
        labels: list[int] = []
        askers = [
            threading.Thread(target=lambda: labels.append(page.ask("/api/read", question(drawn()))[1]["label"]))
            for _ in range(16)
        ]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join(30)
        assert len(labels) == 16 and len(set(labels)) == 1


def test_what_cannot_be_served_is_refused_in_a_sentence(page: Page, tmp_path: Path) -> None:
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/classifier_canvas.onnx").write_text("no model")
    (tmp_path / "empty").mkdir()
    for arguments, sentence in (
        (["nowhere"], "nowhere: is no folder"),
        (["empty"], "empty: holds no classifier_canvas.onnx; make one with `tenfold run`"),
        (["damaged"], "classifier_canvas.onnx: is no ONNX model"),
        ([page.models, "--port", str(page.port)], f"port: {page.port} can't be had"),
        ([page.models, "--port", "70000"], "port: is 70000"),
    ):
        done = tenfold("app", *arguments, "--no-open", cwd=tmp_path)
        assert done.returncode == 2 and sentence in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_ctrl_c_ends_it_without_a_traceback(page: Page, tmp_path: Path) -> None:
    running, port = started(page.models, cwd=tmp_path)
    assert Page(port, page.models).ask("/api/models")[0] == 200
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=20)
    assert "Traceback" not in said and running.returncode in (0, 130)


def test_the_liveliest_channels_are_shown_in_their_order() -> None:
    activation = np.zeros((4, 2, 2), np.float32)
    activation[3, 0, 0], activation[1, 1, 1] = 1.0, 0.5
    shown = pictures(activation, 2)
    assert shown.shape == (2, 2, 2) and shown[0, 1, 1] == 127 and shown[1, 0, 0] == 255


@pytest.mark.slow
@pytest.mark.parametrize("width", [1100, 390])
def test_a_person_draws_reads_and_generates(page: Page, browser: Any, width: int) -> None:
    from playwright.sync_api import expect

    view = browser.new_page(viewport={"width": width, "height": 900})
    asked: list[str] = []
    troubles: list[str] = []
    view.on("request", lambda request: asked.append(request.url))
    view.on("console", lambda message: troubles.append(message.text))
    view.on("pageerror", lambda error: troubles.append(str(error)))
    home = f"http://127.0.0.1:{page.port}/"
    view.goto(home)
    label = view.locator("#label")
    expect(label).to_have_text("–")
    box = view.locator("#canvas").bounding_box()
    assert box

    def drag(*points: tuple[float, float]) -> None:
        (x, y), *rest = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        view.mouse.move(x, y)
        view.mouse.down()
        for x, y in rest:
            view.mouse.move(x, y, steps=8)
        view.mouse.up()

    drag((0.3, 0.25), (0.7, 0.25), (0.45, 0.8))
    expect(label).not_to_have_text("–")
    pixels = view.evaluate(
        "() => [...document.getElementById('canvas').getContext('2d').getImageData(0, 0, 280, 280).data]"
    )
    drawing = np.array(pixels, np.uint8).reshape(280, 280, 4)[..., 0]
    expected = CanvasClassifier(page.models / "classifier_canvas.onnx").predict(drawing)
    expect(label).to_have_text(str(expected.label[0]))
    expect(view.locator("#bars li.best span").last).to_have_text(f"{100 * expected.probabilities.max():.1f} %")
    expect(view.locator("#layers .layer")).to_have_count(3)

    with view.expect_download() as download:
        view.locator("#save").click()
    assert download.value.suggested_filename == f"digit-{expected.label[0]}.png"

    drag((0.2, 0.5), (0.8, 0.5))
    view.locator("#undo").click()
    expect(label).to_have_text(str(expected.label[0]))
    view.locator("#clear").click()
    expect(label).to_have_text("–")

    view.locator("#canvas").focus()
    view.keyboard.press("Space")
    for _ in range(9):
        view.keyboard.press("ArrowDown")
    expect(label).not_to_have_text("–")
    view.keyboard.press("Delete")
    expect(label).to_have_text("–")

    view.locator("#tab-read").focus()
    view.keyboard.press("ArrowRight")
    expect(view.locator("#generated canvas")).to_have_count(10)
    view.locator("#labels").fill("77")
    view.locator("#generate button").first.click()
    expect(view.locator("#generated canvas")).to_have_count(2)
    expect(view.locator("#way canvas")).to_have_count(25)
    before = view.evaluate("() => document.getElementById('walked').toDataURL()")
    view.locator("#step").fill("24")
    assert view.evaluate("() => document.getElementById('walked').toDataURL()") != before

    assert view.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert troubles == []
    assert all(url.startswith((home, "data:")) for url in asked)
