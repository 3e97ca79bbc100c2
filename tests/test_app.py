"""The page's server: what it answers and refuses."""

from __future__ import annotations

import base64
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from app_server import Page, one_of_two_damaged, start_app
from conftest import HANG_S

from tenfold.cli import status
from tenfold_onnx import CanvasClassifier, Classifier, Explainer, Generator
from tenfold_onnx.app import STATIC
from tenfold_onnx.app.model_store import SHIPPED_NAME, ModelStore, channel_images, occlusion
from tenfold_onnx.inputs import labels_between


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


def test_a_damaged_model_does_not_hide_the_others(tmp_path: Path) -> None:
    process, port = start_app(one_of_two_damaged(tmp_path), cwd=tmp_path)
    code, (good, worse), _ = Page(port, tmp_path).request("/api/models")
    process.terminate()
    process.wait(HANG_S)
    assert code == 200 and good["name"] == "good" and good["card"]["honest"] == "yes"
    assert worse.keys() == {"name", "error"} and "generator.onnx: cannot be loaded as an ONNX model" in worse["error"]


def test_read_returns_the_canvas_prediction(page: Page) -> None:
    code, answer, _ = page.request("/api/read", query(sketch()))
    expected = CanvasClassifier(page.models / "classifier_canvas.onnx").predict(sketch())
    assert code == 200 and answer["label"] == expected.label[0]
    assert answer["probabilities"] == pytest.approx(expected.probabilities[0], abs=1e-4)
    assert (from_base64(answer["seen"]) == expected.seen[0]).all()
    assert answer["ink"] == pytest.approx(expected.ink[0], abs=1e-4)
    assert answer["verdict"] == expected.verdict[0] and answer["parts"] == expected.parts[0] == 1
    assert answer["boxes"] == expected.boxes[0].tolist()
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


def latent(page: Page, n: int, seed: int = 0) -> np.ndarray:  # type: ignore[type-arg]
    return Generator(page.models / "generator.onnx").latent(n, seed)


def generate_query(labels: Any, z: np.ndarray) -> dict[str, Any]:  # type: ignore[type-arg]
    return {"model": "run", "labels": labels, "z": base64.b64encode(z.tobytes()).decode()}


def test_generate_returns_the_generators_images(page: Page) -> None:
    generator = Generator(page.models / "generator.onnx")
    _, answer, _ = page.request("/api/generate", generate_query([2, 0, 2, 6], latent(page, 4, 5)))
    images = np.stack([from_base64(image) for image in answer["images"]])
    assert (images == generator.generate([2, 0, 2, 6], seed=5)).all()


def test_generate_mixes_digits(page: Page) -> None:
    generator, z = Generator(page.models / "generator.onnx"), latent(page, 3)
    labels = labels_between(3, 8, [0, 0.5, 1])
    _, answer, _ = page.request("/api/generate", generate_query(labels.tolist(), z))
    images = np.stack([from_base64(image) for image in answer["images"]])
    assert (images == generator.generate(labels, z=z)).all()


@pytest.mark.parametrize(
    ("call", "body", "message"),
    [
        ("read", b"\xff{", ""),
        ("read", b"[1]", "request: must be a JSON object"),
        ("read", b"[" * 100_000, "request: its JSON is nested too deeply"),
        ("generate", b'{"labels":' * 90_000, "request: its JSON is nested too deeply"),
        ("read", {}, "model: must be a string"),
        ("read", query(sketch(), model="other"), "model: there is no 'other'; choose from run"),
        ("read", query(sketch(), model="../run"), "model: there is no '../run'"),
        ("read", query(sketch(), width=161), "grey: must be width × height = 32,200 bytes, got 32,000"),
        ("read", query(sketch(), width=10**9), "width: must be an integer from 2 to 4096"),
        ("read", query(sketch(), width="160"), "width: must be an integer"),
        ("read", query(sketch(), grey="%%%"), ""),
        ("generate", {"model": "run", "labels": [1]}, "z: must be a string"),
        ("generate", generate_query("12", np.zeros(2)), "labels: must be a list of 1 to 100 integers"),
        ("generate", generate_query([], np.zeros(2)), "labels: must be a list of 1 to 100 integers"),
        ("generate", generate_query([1] * 101, np.zeros(2)), "labels: must be a list of 1 to 100 integers"),
        ("generate", generate_query([True], np.zeros(2)), "labels: must be a list of 1 to 100 integers"),
        ("generate", generate_query([10**30], np.zeros(2)), "labels: must be digits 0..9, got 1000"),
        ("generate", generate_query([1], np.zeros(1)), "z: must be float32, 1 × "),
        ("generate", generate_query([1], np.zeros(0)) | {"z": "%%%"}, ""),
    ],
)
def test_a_bad_request_gets_a_message_and_400(page: Page, call: str, body: Any, message: str) -> None:
    code, answer, _ = page.request(f"/api/{call}", body)
    assert code == 400 and answer["error"].startswith(message)


@pytest.mark.parametrize(
    ("label", "value", "message"),
    [(10, 0.0, "labels: must be digits 0..9, got 10"), (-1, 0.0, "labels: must be digits"), (1, np.nan, "z: must be")],
)
def test_what_the_generator_cannot_draw_is_refused(page: Page, label: int, value: float, message: str) -> None:
    z = np.full_like(latent(page, 1), value)
    code, answer, _ = page.request("/api/generate", generate_query([label], z))
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


@pytest.mark.parametrize("path", sorted(STATIC.iterdir()), ids=lambda path: path.name)
def test_no_static_file_names_another_host(page: Page, path: Path) -> None:
    code, text, _ = page.request(f"/{path.name}")
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


def test_without_a_folder_the_shipped_models_serve(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores: list[ModelStore] = []
    for module in ("tenfold.cli.app", "tenfold_onnx.app.model_store"):
        monkeypatch.setattr(sys.modules[module], "shipped_models", lambda: finished_run)
    monkeypatch.setattr(sys.modules["tenfold.cli.app"], "_serve", lambda store, *_: stores.append(store))
    monkeypatch.chdir(tmp_path)
    assert status(["app"]) == 0 and list(stores[0].folders) == [SHIPPED_NAME]
    shutil.copytree(finished_run, tmp_path / "runs/mine")
    assert status(["app"]) == 0 and set(stores[1].folders) == {"mine", SHIPPED_NAME}


def test_ctrl_c_stops_the_server_without_a_traceback(page: Page, tmp_path: Path) -> None:
    process, port = start_app(page.models, cwd=tmp_path)
    assert Page(port, page.models).request("/api/models")[0] == 200
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=HANG_S)
    assert "Traceback" not in stderr and process.returncode == 0


def test_the_most_active_channels_keep_their_order() -> None:
    activation = np.zeros((4, 2, 2), np.float32)
    activation[3, 0, 0], activation[1, 1, 1] = 1.0, 0.5
    images = channel_images(activation, 2)
    assert images.shape == (2, 2, 2) and images[0, 1, 1] == 127 and images[1, 0, 0] == 255
