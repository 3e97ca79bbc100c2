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


def build_site(store: ModelStore, out: Path) -> None:
    """Write the page, onnxruntime-web and the store's models into the folder `out`, with relative links only.

    An earlier site in `out` is replaced. Raises BadInput where `out` holds something else, or npm cannot deliver.
    """
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: is a file; name a folder for the site")
    if out.is_dir() and any(out.iterdir()) and not (out / MODELS_JSON).is_file():
        raise BadInput(f"{out}: has other files in it; name a new folder for the site")
    with tempfile.TemporaryDirectory() as temporary:
        archive = _download(Path(temporary))
        shutil.rmtree(out / "models", ignore_errors=True)
        shutil.copytree(STATIC, out, dirs_exist_ok=True)
        shutil.copytree(IN_BROWSER, out, dirs_exist_ok=True)
        with tarfile.open(archive) as package:
            for name in RUNTIME_FILES:
                member = package.extractfile(f"package/dist/{name}")
                assert member is not None
                (out / name).write_bytes(member.read())
    entries = []
    for number, (name, folder) in enumerate(store.folders.items()):
        target = out / "models" / str(number)
        target.mkdir(parents=True)
        for model in (CANVAS_ONNX, LIGHT_ONNX, EXPLAIN_ONNX, GENERATOR_ONNX):
            shutil.copyfile(folder / model, target / model)
        entries.append({**store.description(name), "folder": f"models/{number}"})
    (out / MODELS_JSON).write_text(json.dumps(entries), encoding="utf-8")


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
