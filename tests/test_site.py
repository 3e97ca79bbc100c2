"""The static site: what is in its folder, what is refused, and the workflow that publishes it."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from pathlib import Path

import pytest
from conftest import in_process, refused, succeeded

from tenfold.cli import command_line
from tenfold_onnx import shipped_models
from tenfold_onnx.app import STATIC, site

WORKFLOW = Path(__file__).resolve().parents[1] / ".github/workflows/pages.yml"


def npm(folder: Path, script: str) -> str:
    """A PATH whose only `npm` is this script."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            "echo 'getaddrinfo ENOTFOUND' >&2; exit 1",
            "npm: cannot fetch onnxruntime-web@1.30.0 (getaddrinfo ENOTFOUND)",
        ),
        ("echo other > onnxruntime-web-1.30.0.tgz", "npm: onnxruntime-web@1.30.0 is not the published package"),
    ],
)
def test_a_package_that_does_not_arrive_is_named(finished_run: Path, tmp_path: Path, script: str, message: str) -> None:
    path = npm(tmp_path / "bin", script)
    assert message in refused("app", finished_run, "--site", "site", cwd=tmp_path, PATH=path)
    assert not (tmp_path / "site").exists()


def test_a_missing_npm_is_named(finished_run: Path, tmp_path: Path) -> None:
    message = refused("app", finished_run, "--site", "site", cwd=tmp_path, PATH=str(tmp_path))
    assert "npm: is not installed" in message and "install Node.js" in message


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of npm's package, an archive whose files have the same names."""
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as package:
        for name in site.RUNTIME_FILES:
            package.addfile(tarfile.TarInfo(f"package/dist/{name}"), io.BytesIO())
    monkeypatch.setattr(site, "_download", lambda _: tmp_path / "package.tgz")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


OTHERS = {  # what a folder may hold that is no site of ours
    "notes": {"notes.txt": "mine"},
    "another program's models.json": {"models.json": "[]", "index.html": "mine", "models/0/generator.onnx": "mine"},
    "another marker": {"tenfold-site.json": "{}", "index.html": "mine"},
    "a marker of another format": {"tenfold-site.json": '{"written_by": "tenfold app --site", "format": 99}'},
    "a marker that is no JSON": {"tenfold-site.json": "[" * 100_000},
}


@pytest.mark.parametrize("files", OTHERS.values(), ids=OTHERS)
@pytest.mark.usefixtures("runtime")
def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = contents(tmp_path / "mine")
    assert "mine: has other files in it" in refused("app", shipped_models(), "--site", "mine", cwd=tmp_path)
    first = f"mine/{next(iter(files))}"
    assert f"{first}: is a file" in refused("app", shipped_models(), "--site", first, cwd=tmp_path)
    assert contents(tmp_path / "mine") == before


@pytest.mark.usefixtures("runtime")
def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    succeeded(in_process("app", shipped_models(), "--site", "site", cwd=tmp_path))
    (tmp_path / "precious.txt").write_text("precious")
    (tmp_path / "site/index.html").unlink()
    (tmp_path / "site/index.html").symlink_to("../precious.txt")
    assert "site/index.html: is a link" in refused("app", shipped_models(), "--site", "site", cwd=tmp_path)
    assert (tmp_path / "precious.txt").read_text() == "precious"


@pytest.mark.usefixtures("runtime")
def test_a_site_is_replaced_and_what_lies_beside_it_stays(tmp_path: Path) -> None:
    folder = tmp_path / "site"
    succeeded(in_process("app", shipped_models(), "--site", "site", cwd=tmp_path))
    built = contents(folder)
    own = {"CNAME": b"example.org", "models/0/notes.txt": b"mine", "models/list.txt": b"mine"}
    for name, data in own.items():
        (folder / name).write_bytes(data)
    shutil.copytree(folder / "models/0", folder / "models/7")  # of a site with more models
    (folder / "models/7/notes.txt").unlink()
    (folder / "index.html").write_text("older")
    succeeded(in_process("app", shipped_models(), "--site", "site", cwd=tmp_path))
    assert contents(folder) == built | own and not (folder / "models/7").exists()
    assert list(built).count("tenfold-site.json") == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")
def test_the_site_has_all_files_and_is_built_again(finished_run: Path, tmp_path: Path) -> None:
    for _ in range(2):
        succeeded(in_process("app", finished_run, "--site", "site", cwd=tmp_path))
        built = {str(path.relative_to(tmp_path / "site")) for path in tmp_path.rglob("site/**/*") if path.is_file()}
        models = {f"models/0/{name}.onnx" for name in ("classifier_canvas", "classifier_light", "classifier_explain")}
        page = {path.name for path in STATIC.iterdir()}
        assert built == page | models | {"models/0/generator.onnx", "models.json", site.MARKER, *site.RUNTIME_FILES}
    assert (tmp_path / "site/answer.js").read_bytes() != (STATIC / "answer.js").read_bytes()


@pytest.mark.parametrize("path", [*STATIC.iterdir(), *site.IN_BROWSER.iterdir()], ids=lambda path: path.name)
def test_every_link_is_relative(path: Path) -> None:
    links = re.findall(r"""(?:href|src)="([^"]*)"|(?:import|from|fetch)\s*\(?\s*['"`]([^'"`]*)""", path.read_text())
    assert all(not link.startswith("/") and ":" not in link for pair in links for link in pair)


def test_the_workflow_builds_the_site_and_pins_its_actions() -> None:
    text = WORKFLOW.read_text()
    (command,) = re.findall(r"- run: tenfold (.+)", text)
    command_line.parse_args(command, exit_on_error=False, print_error=False)  # raises for an unknown option
    assert command == "app --site site" and "path: site" in text
    assert all(re.fullmatch(r"\S+@[0-9a-f]{40}  # v[\d.]+", use) for use in re.findall(r"uses: (.+)", text))
    assert "permissions: {}" in text
