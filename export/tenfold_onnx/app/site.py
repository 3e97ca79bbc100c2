"""The page as a folder of files that any web server can serve: the browser itself runs the models (WebAssembly)."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

from tenfold_onnx.app import STATIC
from tenfold_onnx.app.model_store import ModelStore
from tenfold_onnx.contract import CANVAS_ONNX, EXPLAIN_ONNX, GENERATOR_ONNX, LIGHT_ONNX, BadInput

ONNXRUNTIME_WEB: Final = "onnxruntime-web@1.30.0"
# Of the package's archive, as the npm registry publishes it: `npm view onnxruntime-web@1.30.0 dist.integrity`.
INTEGRITY: Final = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
RUNTIME_FILES: Final = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")  # all that one thread needs

IN_BROWSER: Final = Path(__file__).with_name("in_browser")  # its answer.js replaces the page's, which asks the server
MODELS_JSON: Final = "models.json"
MODELS: Final = (CANVAS_ONNX, LIGHT_ONNX, EXPLAIN_ONNX, GENERATOR_ONNX)  # of each run, in a folder models/NUMBER
# A file that only a site of ours has: another program's may have a models.json too.
MARKER: Final = "tenfold-site.json"
MARKED: Final = {"written_by": "tenfold app --site", "format": 1}


def build_site(store: ModelStore, out: Path) -> None:
    """Write the page, onnxruntime-web and the store's models into the folder `out`, with relative links only.

    An earlier site in `out` is replaced; files of other names beside it stay. Raises BadInput where `out` holds
    something else, or npm cannot deliver. Nothing is written before all that is known.
    """
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; name a folder for the site")
    if out.is_dir() and any(out.iterdir()) and not _is_ours(out):
        raise BadInput(f"{out}: has other files in it, and no site that `tenfold app` wrote; name a new folder")
    link = next((path for path in out.rglob("*") if path.is_symlink()), None)
    if link:
        raise BadInput(f"{link}: is a link, and what it points to would be replaced; remove it, or name a new folder")
    entries = [{**store.description(name), "folder": f"models/{number}"} for number, name in enumerate(store.folders)]
    with tempfile.TemporaryDirectory() as temporary:
        archive = _download(Path(temporary))
        out.mkdir(parents=True, exist_ok=True)
        # First: then a build that stops can be repeated.
        (out / MARKER).write_text(json.dumps(MARKED), encoding="utf-8")
        shutil.copytree(STATIC, out, dirs_exist_ok=True)
        shutil.copytree(IN_BROWSER, out, dirs_exist_ok=True)
        with tarfile.open(archive) as package:
            for name in RUNTIME_FILES:
                member = package.extractfile(f"package/dist/{name}")
                assert member is not None
                (out / name).write_bytes(member.read())
    _remove_models(out)
    for entry, folder in zip(entries, store.folders.values(), strict=True):
        target = out / entry["folder"]
        target.mkdir(parents=True, exist_ok=True)
        for model in MODELS:
            shutil.copyfile(folder / model, target / model)
    (out / MODELS_JSON).write_text(json.dumps(entries), encoding="utf-8")


def _is_ours(site: Path) -> bool:
    """Whether a folder has the marker of a site that this version can replace."""
    try:
        return bool(json.loads((site / MARKER).read_bytes()) == MARKED)
    except (OSError, ValueError, RecursionError):
        return False


def _remove_models(site: Path) -> None:
    """Remove an earlier site's models, and of their folders those that are then empty."""
    for folder in site.glob("models/*"):
        if not (folder.name.isdecimal() and folder.is_dir()):
            continue
        for model in MODELS:
            (folder / model).unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()


def _download(folder: Path) -> Path:
    """onnxruntime-web's archive, from npm's cache or registry, checked. Raises BadInput."""
    npm = shutil.which("npm")
    if npm is None:
        raise BadInput("npm: is not installed, and the site needs onnxruntime-web from it; install Node.js")
    done = subprocess.run([npm, "pack", ONNXRUNTIME_WEB, "--silent"], cwd=folder, capture_output=True, text=True)
    archives = list(folder.glob("*.tgz"))
    if done.returncode or len(archives) != 1:
        reason = (done.stderr.strip().splitlines() or ["no message"])[0]
        raise BadInput(f"npm: cannot fetch {ONNXRUNTIME_WEB} ({reason[:160]}); is the network up?")
    digest = base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        raise BadInput(f"npm: {ONNXRUNTIME_WEB} is not the published package (its SHA-512 differs); clear npm's cache")
    return archives[0]
