"""torchvision's MNIST, wherever it can be had: unpacked, as archives, or from the network."""

from __future__ import annotations

import errno
import shutil
import socket
import threading
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Final

import numpy as np
from torchvision.datasets import MNIST
from torchvision.datasets.mnist import read_image_file, read_label_file
from torchvision.datasets.utils import check_integrity

from digit_recognizer.staging import staging_folder
from tenfold.data.digits import Digits, joined
from tenfold.errors import BadInput
from tenfold.storage import cache

TIMEOUT_S: Final = 8  # no answer from any mirror by then means no network
NAMES: Final = tuple(Path(file).name for file, _ in MNIST.resources)  # the four .gz archives


def load(folder: Path, download: bool) -> tuple[Digits, Digits]:
    """MNIST's train split (60,000) and test split (10,000), both labelled.

    Looks in `folder`/MNIST/raw for the unpacked files or the four archives. `folder` is only ever read:
    archives are unpacked, and with `download` downloaded, in the cache folder.
    Raises BadInput saying what is missing and how to get it.
    """
    root = folder if _unpacked(folder) else cache.folder()
    if not _unpacked(root):
        if not (_archived(folder) or (download and _mirror_answers())):
            reason = "no network" if download else "not downloaded yet"
            raise BadInput(
                f"MNIST: not in {_raw(folder)} ({reason}); put its four archives there ({', '.join(NAMES)}), "
                "or let `tenfold run --source mnist` download them with a network"
            )
        _unpack(folder, root)
    try:
        return _split(root, "train"), _split(root, "t10k")
    except (RuntimeError, ValueError, TypeError, KeyError, AssertionError, OSError) as error:
        raise BadInput(f"MNIST: an unpacked file in {_raw(root)} is damaged; delete it and repeat the run") from error


def all_of(folder: Path, download: bool) -> Digits:
    """All 70,000, labelled: train split, then test split. Raises as `load`."""
    return joined(*load(folder, download))


def present(folder: Path) -> bool:
    """Whether `folder` itself holds MNIST, unpacked or as archives."""
    return _unpacked(folder) or _archived(folder)


def _split(root: Path, name: str) -> Digits:
    """One split of the unpacked files. Not by MNIST's constructor, which prefers old torch files beside them."""
    images = read_image_file(str(_raw(root) / f"{name}-images-idx3-ubyte")).numpy()
    labels = read_label_file(str(_raw(root) / f"{name}-labels-idx1-ubyte")).numpy()
    return Digits.of({"train": "mnist-train", "t10k": "mnist-test"}[name], images, labels.astype(np.int64))


def _raw(root: Path) -> Path:
    return root / "MNIST" / "raw"


def _unpacked(root: Path) -> bool:
    return all((_raw(root) / Path(name).stem).is_file() for name in NAMES)


def _archived(root: Path) -> bool:
    return all((_raw(root) / name).is_file() for name in NAMES)


def _unpack(folder: Path, root: Path) -> None:
    """Unpack `folder`'s archives, or freshly fetched ones, into `root`.

    In a staging folder first, so that a kill leaves nothing incomplete that looks complete.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        _raw(root).mkdir(parents=True, exist_ok=True)
        with staging_folder(root, ".unpacking-") as staging:
            _raw(staging).mkdir(parents=True)
            if _archived(folder):
                for archive in NAMES:  # not as links, through which torchvision would replace a damaged one
                    shutil.copyfile(_raw(folder) / archive, _raw(staging) / archive)
            MNIST(str(staging), download=True)  # checks md5s, and downloads only what is missing
            for archive in NAMES:
                unpacked = Path(archive).stem
                (_raw(staging) / unpacked).replace(_raw(root) / unpacked)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise BadInput(
            f"MNIST: can't unpack into {root} ({error.strerror}); set XDG_CACHE_HOME to a folder of yours"
        ) from error
    except (RuntimeError, OSError, EOFError, HTTPException) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        damaged = [name for name, md5 in MNIST.resources if not check_integrity(str(_raw(folder) / name), md5)]
        if _archived(folder) and damaged:
            sentence = f"{_raw(folder) / damaged[0]}: is damaged (wrong md5); download it again"
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
