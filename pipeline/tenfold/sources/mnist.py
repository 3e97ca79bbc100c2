"""torchvision's MNIST, wherever it can be had: unpacked, as archives, or from the network. Its checksums are known."""

from __future__ import annotations

import errno
import hashlib
import shutil
import socket
import threading
import urllib.request
from collections.abc import Iterable
from http.client import HTTPException
from pathlib import Path
from typing import Final

import numpy as np
from torchvision.datasets import MNIST
from torchvision.datasets.utils import check_integrity

from digit_recognizer.staging import staging_folder
from tenfold.data.digits import SIDE, Digits, joined
from tenfold.errors import BadInput
from tenfold.storage import cache
from tenfold.terminal import note

TIMEOUT_S: Final = 8  # no answer from any mirror by then means no network
NAMES: Final = tuple(Path(file).name for file, _ in MNIST.resources)  # the four .gz archives
UNPACKED_SHA256: Final = {  # torchvision knows the archives' checksums alone
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
IMAGES_FROM, LABELS_FROM = 16, 8  # where the values begin in a file, after its header


def load(folder: Path, download: bool) -> tuple[Digits, Digits]:
    """MNIST's train split (60,000) and test split (10,000), both labelled.

    Looks for the unpacked files or the four archives in `folder`/MNIST/raw and in `folder`. It is only ever read:
    archives are unpacked, and with `download` downloaded, in the cache folder.
    Raises BadInput saying what is missing or damaged and how to get it.
    """
    given = _find(folder, UNPACKED_SHA256)
    if given:
        return _splits(given)
    root = cache.folder()
    unpacked = _find(root, UNPACKED_SHA256)
    if unpacked:
        try:
            return _splits(unpacked)
        except BadInput as damage:
            note(f"note: {damage}. Doing so")
    archives = _find(folder, NAMES)
    if not (archives or (download and _mirror_answers())):
        reason = "no network" if download else "not downloaded yet"
        raise BadInput(
            f"MNIST: not in {_raw(folder)} ({reason}); put its four archives there ({', '.join(NAMES)}), "
            "or let `tenfold run --source mnist` download them with a network"
        )
    _unpack(folder, archives or {}, root)
    return _splits({name: _raw(root) / name for name in UNPACKED_SHA256})


def all_of(folder: Path, download: bool) -> Digits:
    """All 70,000, labelled: train split, then test split. Raises as `load`."""
    return joined(*load(folder, download))


def present(folder: Path) -> bool:
    """Whether `folder` itself holds MNIST, unpacked or as archives."""
    return (_find(folder, UNPACKED_SHA256) or _find(folder, NAMES)) is not None


def _splits(paths: dict[str, Path]) -> tuple[Digits, Digits]:
    """Both splits from the four unpacked files. Raises BadInput where one is not MNIST's, byte by byte."""
    content = {name: np.fromfile(path, np.uint8) for name, path in paths.items()}
    for name, path in paths.items():
        if hashlib.sha256(content[name].data).hexdigest() != UNPACKED_SHA256[name]:
            raise BadInput(
                f"{path}: is damaged or not MNIST's (wrong SHA-256); delete it, to have it unpacked or downloaded again"
            )

    def split(name: str, source: str) -> Digits:
        images = content[f"{name}-images-idx3-ubyte"][IMAGES_FROM:].reshape(-1, SIDE, SIDE)
        return Digits.of(source, images, content[f"{name}-labels-idx1-ubyte"][LABELS_FROM:].astype(np.int64))

    return split("train", "mnist-train"), split("t10k", "mnist-test")


def _raw(root: Path) -> Path:
    return root / "MNIST" / "raw"


def _find(folder: Path, names: Iterable[str]) -> dict[str, Path] | None:
    """The path of each of these files, or None where one is missing. Kaggle's copies are called *.idx3-ubyte."""
    found = {}
    for name in names:
        spellings = (name, name.replace("-idx", ".idx"))
        paths = [place / spelling for place in (_raw(folder), folder) for spelling in spellings]
        present = [path for path in paths if path.is_file()]
        if not present:
            return None
        found[name] = present[0]
    return found


def _unpack(folder: Path, archives: dict[str, Path], root: Path) -> None:
    """Unpack the archives of `folder`, or freshly fetched ones where there are none, into `root`.

    In a staging folder first, so that a kill leaves nothing incomplete that looks complete.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        _raw(root).mkdir(parents=True, exist_ok=True)
        with staging_folder(root, ".unpacking-") as staging:
            _raw(staging).mkdir(parents=True)
            for name, archive in archives.items():  # not as links: torchvision would replace a damaged one
                shutil.copyfile(archive, _raw(staging) / name)
            MNIST(str(staging), download=True)  # checks md5s, and downloads only what is missing
            for name in UNPACKED_SHA256:
                (_raw(staging) / name).replace(_raw(root) / name)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise BadInput(
            f"MNIST: can't unpack into {root} ({error.strerror}); set XDG_CACHE_HOME to a folder of yours"
        ) from error
    except (RuntimeError, OSError, EOFError, HTTPException) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        md5s = dict(MNIST.resources)
        damaged = [path for name, path in archives.items() if not check_integrity(str(path), md5s[name])]
        if damaged:
            sentence = f"{damaged[0]}: is damaged (wrong md5); download it again"
        else:
            reason = " ".join(f"{error}".split())  # torchvision's has several lines
            sentence = f"MNIST: download failed ({reason}); put its four archives in {_raw(folder)}"
        raise BadInput(sentence) from error
    finally:
        socket.setdefaulttimeout(before)


def _mirror_answers() -> bool:
    """Whether any mirror answers within TIMEOUT_S. In a thread, since a DNS look-up ignores timeouts."""
    answered = threading.Event()

    def ask() -> None:
        for mirror in MNIST.mirrors:
            try:
                request = urllib.request.Request(mirror + NAMES[-1], method="HEAD")
                with urllib.request.urlopen(request, timeout=TIMEOUT_S / 2):
                    answered.set()
                    return
            except (OSError, HTTPException):
                continue

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(TIMEOUT_S)
    return answered.is_set()
