"""A missing package is named with a command that works where it is read: it depends on how tenfold was installed."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import in_process, one_sentence, refused
from packaging.requirements import Requirement

from tenfold import extras

GIT = {"url": "https://example.org/a/tenfold", "vcs_info": {"vcs": "git", "commit_id": "0" * 40}}
TAGGED = {**GIT, "vcs_info": {**GIT["vcs_info"], "requested_revision": "v0.2"}}  # type: ignore[dict-item]
WHEEL = "tenfold-0.1.0-py3-none-any.whl"
ORIGINS: list[tuple[dict[str, Any] | None, list[str]]] = [
    (None, ["tenfold[app]"]),
    ({"url": "file:///home/me/my%20code", "dir_info": {"editable": True}}, ["-e", "/home/me/my code[app]"]),
    ({"url": "file:///home/me/tenfold", "dir_info": {}}, ["/home/me/tenfold[app]"]),
    ({"url": f"file:///home/me/{WHEEL}", "archive_info": {}}, [f"/home/me/{WHEEL}[app]"]),
    ({"url": f"https://example.org/{WHEEL}", "archive_info": {}}, [f"tenfold[app] @ https://example.org/{WHEEL}"]),
    (GIT, ["tenfold[app] @ git+https://example.org/a/tenfold"]),
    (TAGGED, ["tenfold[app] @ git+https://example.org/a/tenfold@v0.2"]),
]


@pytest.mark.parametrize(("origin", "arguments"), ORIGINS)
def test_an_extra_comes_from_where_tenfold_came_from(origin: dict[str, Any] | None, arguments: list[str]) -> None:
    assert shlex.split(extras.requirement("app", origin)) == arguments, "one argument each, once a shell has read it"
    if arguments[0].startswith("tenfold"):
        assert Requirement(arguments[0]).extras == {"app"}
    else:
        path, bracket, rest = arguments[-1].rpartition("[")
        assert path and (bracket, rest) == ("[", "app]")


def test_a_checkout_knows_that_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_is_installed(name: str) -> None:
        raise extras.PackageNotFoundError(name)

    monkeypatch.setattr(extras, "distribution", none_is_installed)
    assert extras.install_command("app").endswith(f" install -e '{Path(__file__).resolve().parents[1]}[app]'")


def test_pip_is_the_one_of_this_python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert extras.install_command("app").startswith(f"{sys.executable} -m pip install ")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert extras.install_command("app").startswith("pip install ")


@pytest.mark.parametrize("package", ["starlette", "uvicorn.config", "torch._C", "ray"])
def test_a_missing_package_is_named_with_its_extra(package: str) -> None:
    sentence = extras.missing_package(ModuleNotFoundError("no", name=package))
    extra = {"starlette": "app", "uvicorn.config": "app", "torch._C": "train", "ray": "cluster"}
    assert sentence and sentence.startswith(f"{package} is not installed; ") and f"[{extra[package]}]" in sentence


def test_other_packages_are_no_extra() -> None:
    assert extras.missing_package(ModuleNotFoundError("no", name="tenfold.mistyped")) is None


def test_a_missing_kaggle_command_is_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    sentence = refused("submissions", cwd=tmp_path)
    assert "kaggle" in sentence and extras.install_command("kaggle") in sentence


def test_a_page_without_its_packages_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "starlette"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    done = in_process("app", "--no-open", cwd=tmp_path)
    assert done.returncode == 2 and extras.install_command("app") in one_sentence(done.stderr)
