"""The rules between the packages hold, and importing what ships loads nothing heavy."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {
    "tenfold": ROOT / "pipeline/tenfold",
    "tenfold_onnx": ROOT / "export/tenfold_onnx",
    "digit_recognizer": ROOT / "kaggle/digit_recognizer",
}
# The layers of `tenfold`, from the top down. A layer imports only what lies below its own floor.
FLOORS = (
    {"cli"},
    {"studies", "run_generator"},
    {"run"},
    {"report"},
    {"orchestration", "evaluation"},
    {"sources", "training"},
    {"data"},
    {"models", "submit"},
    {"storage"},
    {"settings", "presets"},
    {"errors", "seeds"},
)
FILES = {package: sorted(folder.rglob("*.py")) for package, folder in PACKAGES.items()}


EVERY_FILE = [path for files in FILES.values() for path in files]
OTHER_PROGRAMS = [
    path for name in ("benchmarks", "export/examples", "kaggle/kernel") for path in ROOT.glob(f"{name}/**/*.py")
]


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def test_what_ships_imports_nothing_of_the_pipeline() -> None:
    assert FILES["tenfold_onnx"] and FILES["digit_recognizer"]
    for path in FILES["tenfold_onnx"] + FILES["digit_recognizer"]:
        assert "tenfold" not in tops(path), path
    for path in FILES["digit_recognizer"]:
        assert "tenfold_onnx" not in tops(path), path


def test_the_runtime_imports_no_writer_and_only_numpy_onnxruntime_and_pillow() -> None:
    for path in FILES["tenfold_onnx"]:
        if "write" in path.parts:
            continue
        foreign = {name for name in tops(path) if name not in sys.stdlib_module_names} - {"tenfold_onnx"}
        assert foreign <= {"numpy", "onnxruntime", "PIL"} | ({"starlette"} if "app" in path.parts else set()), path
        assert not any(name.startswith("tenfold_onnx.write") for name in imported(path)), path


def test_onnxruntime_is_reached_through_the_package_that_keeps_it_from_reporting() -> None:
    for path in EVERY_FILE:
        assert path in FILES["tenfold_onnx"] or "onnxruntime" not in tops(path), path


def test_the_installed_kaggle_package_is_never_imported() -> None:
    for path in EVERY_FILE:
        assert "kaggle" not in tops(path), path


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGES["tenfold"]).with_suffix("").parts
    return ".".join(("tenfold", *parts)).removesuffix(".__init__")


def layer_of(module: str) -> str:
    """The sub-package or module directly below `tenfold` that a dotted name lies in."""
    return module.split(".")[1] if "." in module else ""


def imported_layers(path: Path) -> set[str]:
    return {layer_of(name) for name in imported(path) if name.startswith("tenfold.")}


def test_every_module_of_the_pipeline_lies_in_a_layer() -> None:
    layers = [layer for floor in FLOORS for layer in floor]
    assert len(layers) == len(set(layers))
    assert {layer_of(module_name(path)) for path in FILES["tenfold"]} - {""} == set(layers)


@pytest.mark.parametrize("path", FILES["tenfold"], ids=module_name)
def test_imports_point_downward(path: Path) -> None:
    floor_of = {layer: number for number, floor in enumerate(FLOORS) for layer in floor}
    own = layer_of(module_name(path))
    for layer in imported_layers(path) - {own}:
        assert not own or floor_of[layer] > floor_of[own], f"{own} imports {layer}"


@pytest.mark.parametrize("walled", ["training", "orchestration", "data", "models"])
def test_nothing_that_trains_can_reach_test_labels(walled: str) -> None:
    paths = sorted((PACKAGES["tenfold"] / walled).rglob("*.py"))
    assert paths
    for path in paths:
        assert not imported_layers(path) & {"sources", "evaluation"}, path


def test_imports_within_the_pipeline_make_no_circle() -> None:
    modules = {module_name(path): imported(path) for path in FILES["tenfold"]}
    known = {name: {other for other in names if other in modules} - {name} for name, names in modules.items()}
    while known:
        free = {name for name, needs in known.items() if not needs & known.keys()}
        assert free, f"a circle among {sorted(known)}"
        known = {name: needs for name, needs in known.items() if name not in free}


@pytest.mark.parametrize(
    "module", ["tenfold.cli", "tenfold.settings", "tenfold.presets", "digit_recognizer.submission"]
)
def test_the_command_line_is_built_without_torch(module: str) -> None:
    program = f"import sys, {module}; print({{'torch', 'pandas', 'sklearn', 'scipy'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    for path in [*EVERY_FILE, *(ROOT / "tests").rglob("*.py")]:
        assert path.stem not in {"util", "utils", "helper", "helpers", "common", "misc", "core", "base", "manager"}, (
            path
        )
    for root in ("pipeline", "export", "kaggle"):
        assert not (ROOT / root / "__init__.py").exists()


def test_nothing_is_pickled_and_no_shell_is_started() -> None:
    assert len(OTHER_PROGRAMS) > 5
    for path in [*EVERY_FILE, *OTHER_PROGRAMS]:
        text = path.read_text()
        assert not tops(path) & {"pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"}, path
        assert not re.search(r"\btorch\.load|(?<!safetensors\.)\btorch\.save|allow_pickle=True", text), path
        assert not re.search(r"shell=True|\bos\.(system|popen)\b", text), path
