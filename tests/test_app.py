"""The web page: what its server answers and refuses, and the page itself in a real browser."""

from __future__ import annotations

import base64
import http.client
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenfold.cli import status
from tenfold_onnx import CanvasClassifier, Classifier, Explainer, Generator
from tenfold_onnx.app.model_store import channel_images, occlusion

HANG_S = 600  # only a hang takes as long


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


def start_app(*arguments: str | Path, cwd: Path) -> tuple[subprocess.Popen[str], int]:
    """A server's process, and the port that it prints."""
    command = [sys.executable, "-m", "tenfold.cli", "app", *map(str, arguments), "--port", "0", "--no-open"]
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    line = process.stdout.readline()
    assert line.startswith("http://127.0.0.1:"), process.stderr.read() if process.stderr else ""
    return process, int(line.split(":")[2].split("/")[0])


@pytest.fixture(scope="module")
def page(finished_run: Path) -> Iterator[Page]:
    process, port = start_app(finished_run.parent, cwd=finished_run.parent)
    yield Page(port, finished_run)
    process.terminate()
    process.wait(HANG_S)


def sketch() -> np.ndarray:  # type: ignore[type-arg]
    """A seven, dark on light."""
    drawing = np.full((200, 160), 255, np.uint8)
    drawing[40:55, 30:120] = drawing[40:170, 105:120] = 0
    return drawing


def blank() -> np.ndarray:  # type: ignore[type-arg]
    return np.zeros((50, 50), np.uint8)


def query(drawing: np.ndarray, **changes: Any) -> dict[str, Any]:  # type: ignore[type-arg]
    grey = base64.b64encode(drawing.tobytes()).decode()
    return {"model": "run", "height": drawing.shape[0], "width": drawing.shape[1], "grey": grey} | changes


def from_base64(text: str, side: int = 28) -> np.ndarray:  # type: ignore[type-arg]
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(side, side)


def test_the_models_of_all_runs_are_listed(page: Page) -> None:
    code, models, _ = page.request("/api/models")
    assert code == 200 and [entry["name"] for entry in models] == ["run"]
    assert models[0]["card"]["honest"] == "yes"


def test_read_returns_the_canvas_prediction(page: Page) -> None:
    code, answer, _ = page.request("/api/read", query(sketch()))
    expected = CanvasClassifier(page.models / "classifier_canvas.onnx").predict(sketch())
    assert code == 200 and answer["label"] == expected.label[0]
    assert answer["probabilities"] == pytest.approx(expected.probabilities[0], abs=1e-4)
    assert (from_base64(answer["seen"]) == expected.seen[0]).all()
    assert answer["ink"] == pytest.approx(expected.ink[0], abs=1e-4)
    assert page.request("/api/read", query(blank()))[1]["label"] == -1


def test_explain_returns_occlusion_and_activations(page: Page) -> None:
    _, answer, _ = page.request("/api/explain", query(sketch()))
    seen = CanvasClassifier(page.models / "classifier_canvas.onnx").predict(sketch()).seen[0]
    layers = Explainer(page.models / "classifier_explain.onnx").activations(seen)
    assert [layer["side"] for layer in answer["layers"]] == [layer.shape[2] for layer in layers] == [14, 14, 7]
    assert [len(layer["channels"]) for layer in answer["layers"]] == [8, 12, 12]  # of the net's 8, 16 and 24
    expected = occlusion(Classifier(page.models / "classifier_light.onnx"), seen, answer["label"])
    assert np.array(answer["occlusion"]) == pytest.approx(expected, abs=1e-4)
    assert page.request("/api/explain", query(blank()))[1]["occlusion"] is None


def test_generate_and_walk_return_the_generators_images(page: Page) -> None:
    generator = Generator(page.models / "generator.onnx")
    _, answer, _ = page.request("/api/generate", {"model": "run", "labels": "2026", "seed": 5})
    images = np.stack([from_base64(image) for image in answer["images"]])
    assert (images == generator.generate([2, 0, 2, 6], seed=5)).all()
    _, answer, _ = page.request("/api/walk", {"model": "run", "label": 3, "from": 1, "to": 2, "steps": 6})
    images = np.stack([from_base64(image) for image in answer["images"]])
    assert np.abs(images.astype(int) - generator.walk(3, (1, 2), 6)).max() <= 1


@pytest.mark.parametrize(
    ("call", "body", "message"),
    [
        ("read", b"\xff{", ""),
        ("read", b"[1]", "request: must be a JSON object"),
        ("read", {}, "model: must be a string"),
        ("read", query(sketch(), model="other"), "model: there is no 'other'; choose from run"),
        ("read", query(sketch(), model="../run"), "model: there is no '../run'"),
        ("read", query(sketch(), width=161), "grey: must be width × height = 32,200 bytes, got 32,000"),
        ("read", query(sketch(), width=10**9), "width: must be an integer from 2 to 4096"),
        ("read", query(sketch(), width="160"), "width: must be an integer"),
        ("read", query(sketch(), grey="%%%"), ""),
        ("generate", {"model": "run", "labels": "12x"}, "labels: must be 1 to 100 digits"),
        ("generate", {"model": "run", "labels": "1" * 101}, "labels: must be 1 to 100 digits"),
        ("generate", {"model": "run", "labels": "1", "seed": -1}, "seed: must be an integer ≥ 0, got -1"),
        ("generate", {"model": "run", "labels": "1", "seed": "x"}, "seed: must be an integer ≥ 0, got 'x'"),
        ("walk", {"model": "run", "label": 10}, "labels: must be digits 0..9, got 10"),
        ("walk", {"model": "run", "label": "a"}, "labels: must be integers"),
        ("walk", {"model": "run", "label": 1, "steps": 10**6}, "steps: must be an integer from 2 to 100"),
    ],
)
def test_a_bad_request_gets_a_message_and_400(page: Page, call: str, body: Any, message: str) -> None:
    code, answer, _ = page.request(f"/api/{call}", body)
    assert code == 400 and answer["error"].startswith(message)


def test_other_hosts_and_sites_are_refused(page: Page) -> None:
    assert page.request("/api/models", Host="evil.example")[0] == 400
    assert page.request("/api/read", query(sketch()), Origin="http://evil.example")[0] == 403
    assert page.request("/api/read", query(sketch()), Origin=f"http://127.0.0.1:{page.port}")[0] == 200


def test_large_bodies_and_unknown_paths_are_refused(page: Page) -> None:
    assert page.request("/api/read", b" " * 1_000_001)[0] == 413
    assert page.request("/api/read")[0] == 404 and page.request("/api/nothing", {})[0] in (404, 405)
    assert page.request("/../server.py")[0] == 404 and page.request("/%2e%2e/server.py")[0] == 404


def test_the_page_may_load_only_from_its_own_server(page: Page) -> None:
    code, text, headers = page.request("/")
    assert code == 200 and "Tenfold" in text
    assert headers["content-security-policy"].startswith("default-src 'self'")


@pytest.mark.parametrize("name", ["page.js", "api.js", "board.js", "read.js", "generate.js", "style.css", "icon.svg"])
def test_no_static_file_names_another_host(page: Page, name: str) -> None:
    code, text, _ = page.request(f"/{name}")
    assert code == 200 and "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "")


def test_a_slow_request_does_not_delay_the_others(page: Page) -> None:
    with socket.create_connection(("127.0.0.1", page.port)) as slow:  # sends half a request
        slow.sendall(b"POST /api/read HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 50\r\n\r\n{")
        with ThreadPoolExecutor(16) as threads:
            answers = list(threads.map(lambda _: page.request("/api/read", query(sketch()))[1], range(16)))
        assert all(answer == answers[0] for answer in answers) and answers[0]["label"] >= 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: is not a folder"),
        (["empty"], "empty: has no classifier_canvas.onnx; make one with `tenfold run`"),
        (["damaged"], "classifier_canvas.onnx: cannot be loaded as an ONNX model"),
        (["MODELS", "--port", "PORT"], "port: PORT cannot be used"),
        (["MODELS", "--port", "70000"], "port: must be an integer from 0 to 65535, got 70000"),
    ],
)
def test_what_cannot_be_served_is_refused(
    page: Page,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/classifier_canvas.onnx").write_text("no model")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    actual = {"MODELS": str(page.models), "PORT": str(page.port)}
    assert status(["app", *(actual.get(argument, argument) for argument in arguments), "--no-open"]) == 2
    error = capsys.readouterr().err
    assert message.replace("PORT", actual["PORT"]) in error and error.count("\n") == 1


def test_ctrl_c_stops_the_server_without_a_traceback(page: Page, tmp_path: Path) -> None:
    process, port = start_app(page.models, cwd=tmp_path)
    assert Page(port, page.models).request("/api/models")[0] == 200
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=HANG_S)
    assert "Traceback" not in stderr and process.returncode in (0, 130)


def test_the_most_active_channels_keep_their_order() -> None:
    activation = np.zeros((4, 2, 2), np.float32)
    activation[3, 0, 0], activation[1, 1, 1] = 1.0, 0.5
    images = channel_images(activation, 2)
    assert images.shape == (2, 2, 2) and images[0, 1, 1] == 127 and images[1, 0, 0] == 255


@pytest.mark.slow
@pytest.mark.parametrize("width", [1100, 390])
def test_a_person_draws_reads_and_generates(page: Page, browser: Any, width: int) -> None:
    from playwright.sync_api import expect

    expect.set_options(timeout=600_000)
    view = browser.new_page(viewport={"width": width, "height": 900})
    requests: list[str] = []
    errors: list[str] = []
    view.on("request", lambda request: requests.append(request.url))
    view.on("console", lambda message: errors.append(message.text))
    view.on("pageerror", lambda error: errors.append(str(error)))
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
    expect(view.locator("#steps canvas")).to_have_count(25)
    before = view.evaluate("() => document.getElementById('walked').toDataURL()")
    view.locator("#step").fill("24")
    assert view.evaluate("() => document.getElementById('walked').toDataURL()") != before

    assert view.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert errors == []
    assert all(url.startswith((home, "data:")) for url in requests)
