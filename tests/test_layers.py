"""Imports follow the rules between packages and layers, and the command line loads nothing heavy."""

from __future__ import annotations

import ast
import json
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
# The layers of `tenfold`, from the top down. A layer imports only from floors below its own.
FLOORS = (
    {"__main__"},
    {"cli"},
    {"api", "estimator", "studies", "run_generator"},
    {"run"},
    {"report"},
    {"orchestration", "evaluation"},
    {"sources", "training"},
    {"data"},
    {"models", "submit"},
    {"storage"},
    {"settings", "presets"},
    {"errors", "seeds", "terminal", "extras"},
)
FLOOR_OF = {layer: number for number, floor in enumerate(FLOORS) for layer in floor}
LIGHT_MODULES = ["tenfold", "digit_recognizer.submission", "tenfold.settings", "tenfold.presets", "tenfold.cli"]
HEAVY_PACKAGES = ["torch", "pandas", "sklearn", "scipy"]
VAGUE_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "core", "base", "manager"}

FILES = {package: sorted(folder.rglob("*.py")) for package, folder in PACKAGES.items()}
OUR_FILES = [path for files in FILES.values() for path in files]
OTHER_PROGRAMS = [
    path
    for name in ("benchmarks", "export/examples", "kaggle/kernel", "kaggle/notebook")
    for path in ROOT.glob(f"{name}/**/*.py")
]


def imports(path: Path) -> set[str]:
    """The dotted name of everything that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imported_packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


def offenders(paths: list[Path], forbidden: set[str]) -> list[Path]:
    """The files that import one of these packages."""
    assert paths
    return [path for path in paths if imported_packages(path) & forbidden]


def test_the_smaller_packages_import_nothing_of_the_larger() -> None:
    assert offenders(FILES["tenfold_onnx"], {"tenfold", "digit_recognizer"}) == []
    assert offenders(FILES["digit_recognizer"], {"tenfold", "tenfold_onnx"}) == []


RUNTIME_FILES = [path for path in FILES["tenfold_onnx"] if "write" not in path.parts]


@pytest.mark.parametrize("path", RUNTIME_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_runtime_imports_little_and_no_writer(path: Path) -> None:
    server = {"starlette", "uvicorn"} if "app" in path.parts else set()
    allowed = {"tenfold_onnx", "numpy", "onnxruntime", "PIL"} | server
    assert imported_packages(path) - sys.stdlib_module_names <= allowed
    assert not any(name.startswith("tenfold_onnx.write") for name in imports(path))


def test_only_the_runtime_imports_onnxruntime() -> None:
    """The runtime's package turns off onnxruntime's telemetry before it is imported."""
    assert offenders(FILES["tenfold"] + FILES["digit_recognizer"], {"onnxruntime"}) == []


def test_the_installed_kaggle_package_is_never_imported() -> None:
    assert offenders(OUR_FILES, {"kaggle"}) == []


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGES["tenfold"]).with_suffix("").parts
    return ".".join(("tenfold", *parts)).removesuffix(".__init__")


def layer_of(module: str) -> str:
    """The sub-package or module directly below `tenfold` that a dotted name lies in; empty for `tenfold` itself."""
    return module.split(".")[1] if "." in module else ""


def imported_layers(path: Path) -> set[str]:
    return {layer_of(name) for name in imports(path) if name.startswith("tenfold.")}


def test_every_module_of_the_pipeline_lies_in_a_layer() -> None:
    assert sum(map(len, FLOORS)) == len(FLOOR_OF)
    assert {layer_of(module_name(path)) for path in FILES["tenfold"]} - {""} == set(FLOOR_OF)


def test_the_documented_tree_shows_the_layers_in_order() -> None:
    text = "".join(path.read_text() for path in sorted(ROOT.glob("*.md")))
    (tree,) = re.findall(r"^pipeline/tenfold/ .*\n((?:  .*\n)+)", text, re.MULTILINE)
    first_columns = [re.match(r"(?: +\w+(?:/|\.py)(?= |$))+", line) for line in tree.splitlines()]
    shown = [name for column in first_columns if column for name in re.findall(r"\w+(?=/|\.py)", column[0])]
    assert set(shown) == set(FLOOR_OF)
    assert [FLOOR_OF[layer] for layer in shown] == sorted(FLOOR_OF[layer] for layer in shown)


@pytest.mark.parametrize("path", FILES["tenfold"], ids=module_name)
def test_imports_point_downward(path: Path) -> None:
    own = layer_of(module_name(path))
    upward = {layer for layer in imported_layers(path) - {own} if own and FLOOR_OF[layer] <= FLOOR_OF[own]}
    assert upward == set()


@pytest.mark.parametrize("layer", ["training", "orchestration", "data", "models"])
def test_nothing_that_trains_can_reach_test_labels(layer: str) -> None:
    paths = sorted((PACKAGES["tenfold"] / layer).rglob("*.py"))
    assert paths
    assert [path for path in paths if imported_layers(path) & {"sources", "evaluation"}] == []


def test_imports_within_the_pipeline_form_no_cycle() -> None:
    modules = {module_name(path): imports(path) for path in FILES["tenfold"]}
    del modules["tenfold"]  # loads the API on first use alone
    needs = {module: (names & modules.keys()) - {module} for module, names in modules.items()}
    while needs:
        free = {module for module, needed in needs.items() if not needed & needs.keys()}
        assert free, f"a cycle among {sorted(needs)}"
        needs = {module: needed for module, needed in needs.items() if module not in free}


@pytest.fixture(scope="module")
def heavy_imports() -> dict[str, list[str]]:
    """The heavy packages that are loaded once each light module is imported, one after the other in one process."""
    program = f"""
import importlib, json, sys
heavy = {{}}
for module in {LIGHT_MODULES}:
    importlib.import_module(module)
    heavy[module] = sorted(set({HEAVY_PACKAGES}) & set(sys.modules))
print(json.dumps(heavy))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_the_command_line_is_built_without_torch(heavy_imports: dict[str, list[str]], module: str) -> None:
    assert heavy_imports[module] == []


def test_every_file_has_a_specific_name() -> None:
    assert [path for path in [*OUR_FILES, *(ROOT / "tests").rglob("*.py")] if path.stem in VAGUE_NAMES] == []


@pytest.mark.parametrize("folder", ["pipeline", "export", "kaggle"])
def test_source_roots_are_not_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_nothing_is_pickled_and_no_shell_is_started() -> None:
    assert len(OTHER_PROGRAMS) > 5
    paths = [*OUR_FILES, *OTHER_PROGRAMS]
    assert offenders(paths, {"pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle"}) == []
    unsafe = r"(?<!safetensors\.)\btorch\.(load|save)|allow_pickle=True|shell=True|\bos\.(system|popen)\b"
    assert [path for path in paths if re.search(unsafe, path.read_text())] == []
