"""MNIST and the competition's files, thirty digits large, which count as the genuine ones; no network."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import few_digits

from digit_recognizer import competition
from digit_recognizer.rows import render
from tenfold.data.digits import Digits
from tenfold.sources import mnist

NO_MIRROR = "http://127.0.0.1:9/"
ALL = few_digits(30)
TRAIN, TEST = ALL.take(np.arange(20)), ALL.take(np.arange(20, 30))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder below this folder, and no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mnist.MNIST, "mirrors", [NO_MIRROR])
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty data folder."""
    path = tmp_path / "data"
    path.mkdir()
    return path


def idx(array: npt.NDArray[np.integer]) -> bytes:
    """The format of MNIST's files (Y. LeCun): type and rank, then sizes, then values."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


UNPACKED = {
    "train-images-idx3-ubyte": idx(TRAIN.images),
    "train-labels-idx1-ubyte": idx(TRAIN.known_labels()),
    "t10k-images-idx3-ubyte": idx(TEST.images),
    "t10k-labels-idx1-ubyte": idx(TEST.known_labels()),
}
ARCHIVES = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in UNPACKED.items()}


def with_mnist(folder: Path, content: dict[str, bytes]) -> Path:
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in content.items():
        (raw / name).write_bytes(data)
    return folder


def with_kaggle(folder: Path) -> Path:
    (folder / competition.TRAIN).write_bytes(render(TRAIN.images, TRAIN.labels))
    (folder / competition.TEST).write_bytes(render(TEST.images))
    return folder


@pytest.fixture(autouse=True)
def small_mnist(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The small files count as genuine, packed and unpacked, except where a test is about the real ones."""
    if "real" in request.keywords:
        return
    checksums = [(name, hashlib.md5(ARCHIVES[name]).hexdigest()) for name, _ in mnist.MNIST.resources]
    monkeypatch.setattr(mnist.MNIST, "resources", checksums)
    unpacked = {name: hashlib.sha256(data).hexdigest() for name, data in UNPACKED.items()}
    monkeypatch.setattr(mnist, "UNPACKED_SHA256", unpacked)


def listing(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every path in a folder, with its time of change and content."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


def same(one: Digits, other: Digits) -> bool:
    return np.array_equal(one.images, other.images) and np.array_equal(one.known_labels(), other.known_labels())


@pytest.fixture
def whole_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The small test.csv counts as the competition's whole one."""
    monkeypatch.setattr(competition, "TEST_IMAGES_SHA256", TEST.images_sha256())
