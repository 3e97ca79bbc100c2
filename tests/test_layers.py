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


def test_the_judge_is_out_of_reach_of_whatever_trains_or_chooses() -> None:
    may_know_the_answers = {
        "judge.py",
        "run.py",
        "gan.py",
        "results.py",
        "score.py",
        "sources.py",
        "blend.py",
        "study.py",
    }
    for path in FILES["tenfold"]:
        if path.name not in may_know_the_answers:
            assert not imported(path) & {"tenfold.judge", "tenfold.sources", "tenfold.mnist"}, path
        if path.name not in may_know_the_answers - {"sources.py"}:
            assert "reference(" not in path.read_text() or path.name == "sources.py", path
        if path.name not in ("run.py", "gan.py"):
            assert "tenfold.results" not in imported(path), path


def test_imports_within_the_pipeline_make_no_circle() -> None:
    modules = {}
    for path in FILES["tenfold"]:
        parts = path.relative_to(PACKAGES["tenfold"]).with_suffix("").parts
        modules[".".join(("tenfold", *parts)).removesuffix(".__init__")] = imported(path)
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
