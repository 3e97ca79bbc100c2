"""The models in other runtimes, and through other people's tools: docs/models.md has the table that this holds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from conftest import HANG_S

from tenfold.models.export import MODELS
from tenfold.models.variants import Variant, in_variant
from tenfold.sources import sample
from tenfold_onnx.write.examples import example_inputs

PROGRAMS = Path(__file__).with_name("runtimes")
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "models.md"
# The packages of each runtime, without what this project installs itself.
PACKAGES = {
    "onnxruntime": ["onnxruntime==1.15.1", "numpy==1.26.4"],  # for Python 3.11 and older
    "opencv": ["opencv-python-headless==5.0.0.93"],
    "openvino": ["openvino==2026.4.1"],
    "tract": ["tract==0.23.9"],
    "mnn": ["MNN==3.6.1"],
    "tvm": ["apache-tvm==0.27.0.post1", "apache-tvm-ffi"],
}
FAILS = {
    ("mnn", "classifier.onnx"),
    ("mnn", "classifier.batch1.onnx"),
    ("tvm", "classifier_canvas.onnx"),
    ("opencv", "classifier_canvas.batch1.onnx"),
}
OPENCV_4 = "opencv-python-headless==4.14.0.94"
WEB = ["1.17.3", "1.30.0"]
SIMPLIFIERS = ["onnxsim==0.8.1", "onnxslim==0.1.98"]


def installed(packages: list[str], folder: Path) -> Path:
    """A folder with these packages from PyPI; skips the test where they are not to be had."""
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, *packages]
    done = subprocess.run(install, capture_output=True, text=True, timeout=HANG_S)
    if done.returncode:
        pytest.skip(f"pip cannot install {', '.join(packages)} here: {done.stderr.strip()[-200:]}")
    return folder


@pytest.fixture(scope="module")
def models(finished_run: Path) -> dict[str, bytes]:
    """A run's models, and their forms for one row and in float16, by the names of their files."""
    own = {name: (finished_run / name).read_bytes() for name in MODELS}
    digits = sample.load()[1].images[:50]
    fixed, half = Variant(batch=1), Variant("float16")
    return {
        **own,
        **{fixed.file_name(name): model for name, model in in_variant(fixed, own, digits)[0].items()},
        **{f"half_{name}": model for name, model in in_variant(half, own, digits)[0].items()},
    }


@pytest.fixture(scope="module")
def cases(models: dict[str, bytes]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Inputs of a row or five for each model, and onnxruntime's answers."""
    made = {}
    for name, model in models.items():
        session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
        rows = 1 if ".batch1" in name else 5
        inputs = {key: array[:rows] for key, array in example_inputs(session, sample.load()[1].images[:rows]).items()}
        names = [node.name for node in session.get_outputs()]
        made[name] = inputs, dict(zip(names, session.run(names, inputs), strict=True))
    return made


def different(answers: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """The outputs that differ: in shape, or by more than rounding. Some runtimes have no int64."""
    # A pixel of a placed drawing may round to the next grey level, which changes what the net sees.
    tolerances = {"uint8": 1, "int32": 0, "int64": 0, "float32": 1e-3 if "seen" in expected else 1e-4}
    wrong = []
    for name, array in expected.items():
        answer, tolerance = np.asarray(answers[name]), tolerances[array.dtype.name]
        scale = max(1, np.abs(array).max())  # of activations
        if answer.shape != array.shape or not np.abs(answer.astype(float) - array).max() <= tolerance * scale:
            wrong.append(name)
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("runtime", list(PACKAGES))
def test_a_runtime_gives_onnxruntimes_answers(
    runtime: str, models: dict[str, bytes], cases: dict[str, Any], tmp_path: Path
) -> None:
    if runtime == "onnxruntime" and sys.version_info >= (3, 12):
        pytest.skip("onnxruntime 1.15 is not for this Python")
    packages = installed(PACKAGES[runtime], tmp_path / "packages")
    outcome = {}
    for name, (inputs, expected) in cases.items():
        model, given, wanted = (tmp_path / f"{name}{ending}" for ending in ("", ".in.npz", ".out.npz"))
        model.write_bytes(models[name])
        np.savez(given, **inputs)
        wanted.with_suffix(".txt").write_text("\n".join(expected))
        command = [sys.executable, PROGRAMS / "answer.py", runtime, model, given, wanted]
        path = {"PYTHONPATH": str(packages), "PATH": ""}  # with no pip: no runtime installs anything
        done = subprocess.run(command, env=path, capture_output=True, text=True, timeout=HANG_S)
        if done.returncode:
            outcome[name] = f"exit code {done.returncode}: {done.stderr[-300:]}"
        elif wrong := different(dict(np.load(wanted)), expected):
            outcome[name] = f"differs: {wrong}"
    known = {name for name in models if (runtime, name.removeprefix("half_")) in FAILS}
    assert set(outcome) == known, outcome


@pytest.mark.slow
def test_opencv_4_has_the_probabilities_of_one_image_and_no_label(
    models: dict[str, bytes], cases: dict[str, Any], tmp_path: Path
) -> None:
    packages = installed([OPENCV_4], tmp_path / "packages")
    name = "classifier_light.batch1.onnx"
    inputs, expected = cases[name]
    (tmp_path / name).write_bytes(models[name])
    np.savez(tmp_path / "in.npz", **inputs)
    (tmp_path / "out.txt").write_text("\n".join(expected))
    command = [sys.executable, PROGRAMS / "answer.py", "opencv", name, "in.npz", "out.npz"]
    subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(packages)}, check=True, timeout=HANG_S)
    answers = dict(np.load(tmp_path / "out.npz"))
    assert different(answers, expected) == ["label"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
@pytest.mark.parametrize("version", WEB)
def test_onnxruntime_web_gives_the_same_answers(
    version: str, models: dict[str, bytes], cases: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"dependencies": {"onnxruntime-web": version}}))
    install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True, timeout=HANG_S)
    if done.returncode:
        pytest.skip(f"npm cannot install onnxruntime-web here: {done.stderr.strip()[-200:]}")
    shutil.copy(PROGRAMS / "answer.mjs", tmp_path)
    for name, (inputs, expected) in cases.items():
        (tmp_path / name).write_bytes(models[name])
        given = {
            key: {"dtype": array.dtype.name, "shape": array.shape, "values": array.ravel().tolist()}
            for key, array in inputs.items()
        }
        (tmp_path / "inputs.json").write_text(json.dumps(given))
        command = ["node", "answer.mjs", name, "inputs.json"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANG_S)
        assert done.returncode == 0, (name, done.stderr[-500:])
        printed = json.loads(done.stdout)
        answers = {key: np.array(output["values"]).reshape(output["shape"]) for key, output in printed.items()}
        assert not different(answers, expected), name


def simplified_by_onnxsim(path: Path) -> onnx.ModelProto:
    import onnxsim  # type: ignore[import-not-found]

    return onnxsim.simplify(onnx.load(path))[0]


def simplified_by_onnxslim(path: Path) -> onnx.ModelProto:
    import onnxslim  # type: ignore[import-not-found]

    return onnxslim.slim(onnx.load(path))


def prepared_for_quantization(path: Path) -> onnx.ModelProto:
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(path, path.with_suffix(".prepared"), skip_symbolic_shape=True)
    return onnx.load(path.with_suffix(".prepared"))


def sizes_and_card(model: onnx.ModelProto) -> tuple[list[list[str | int]], dict[str, str]]:
    shapes = [value.type.tensor_type.shape.dim for value in (*model.graph.input, *model.graph.output)]
    sizes = [[dimension.dim_param or dimension.dim_value for dimension in shape] for shape in shapes]
    return sizes, {entry.key: entry.value for entry in model.metadata_props}


def check_tool(tool: Callable[[Path], onnx.ModelProto], run: Path, folder: Path) -> None:
    for name in MODELS:
        path = folder / name
        shutil.copy(run / name, path)
        (sizes, card), (sizes_after, card_after) = (sizes_and_card(model) for model in (onnx.load(path), tool(path)))
        assert sizes_after == sizes and sizes[0][0] == "batch", name
        assert card.items() <= card_after.items(), name


def test_the_quantizers_preparation_keeps_the_card_and_the_names_of_sizes(finished_run: Path, tmp_path: Path) -> None:
    check_tool(prepared_for_quantization, finished_run, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("tool", [simplified_by_onnxsim, simplified_by_onnxslim])
def test_simplifiers_keep_the_card_and_the_names_of_sizes(
    tool: Callable[[Path], onnx.ModelProto], finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(installed(SIMPLIFIERS, tmp_path / "packages"))
    check_tool(tool, finished_run, tmp_path)


def test_the_document_names_the_versions_that_are_tested() -> None:
    text = DOCUMENT.read_text("utf-8")
    versions = [package.split("==")[1] for packages in (*PACKAGES.values(), [OPENCV_4]) for package in packages[:1]]
    versions += [package.split("==")[1] for package in SIMPLIFIERS]
    assert [version for version in [*versions, *WEB] if version not in text] == []
