"""Each source gives what it says, wherever it lies, and the data folder is only ever read."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import few_digits
from scipy.ndimage import center_of_mass

from digit_recognizer import competition
from digit_recognizer.rows import DamagedFile, render
from tenfold.data.digits import Digits, joined
from tenfold.errors import BadInput
from tenfold.settings import Data
from tenfold.sources import mnist, sample
from tenfold.sources.load import load_sources, reference_digits, resolve_source

CLOSED = "http://127.0.0.1:9/"
ALL = few_digits(30)
TRAIN, TEST = ALL.take(np.arange(20)), ALL.take(np.arange(20, 30))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of this test's own, and no network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mnist.MNIST, "mirrors", [CLOSED])
    return tmp_path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder, empty so far."""
    made = tmp_path / "data"
    made.mkdir()
    return made


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


@pytest.fixture
def small_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has torchvision take the small archives for the genuine ones."""
    checksums = [(name, hashlib.md5(ARCHIVES[name]).hexdigest()) for name, _ in mnist.MNIST.resources]
    monkeypatch.setattr(mnist.MNIST, "resources", checksums)


def listing(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


def same(one: Digits, other: Digits) -> bool:
    return np.array_equal(one.images, other.images) and np.array_equal(one.known_labels(), other.known_labels())


class LoginPage(http.server.BaseHTTPRequestHandler):
    """What a network that wants a log-in first answers to everything."""

    page: ClassVar = b"<html>Please log in</html>"

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.page)

    def log_message(self, *_: object) -> None: ...


class Garbage(LoginPage):
    """No HTTP at all."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"220 mail.example ESMTP\r\n")


class Mirror(LoginPage):
    """The archives."""

    def do_GET(self) -> None:
        self.page = ARCHIVES[Path(self.path).name]
        super().do_GET()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """A mirror of the kind that the test asks for."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), request.param) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setattr(mnist.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        yield
        server.shutdown()


@pytest.fixture(scope="module")
def sampled() -> tuple[Digits, Digits]:
    return sample.load()


def test_the_sample_has_1437_digits_to_train_and_360_to_test(sampled: tuple[Digits, Digits]) -> None:
    train, test = sampled
    assert (len(train), len(test)) == (1437, 360)
    assert train.images.dtype == np.uint8 and train.images.max() == 255
    assert len(np.unique(joined(train, test).origin)) == 1797


def test_the_sample_has_every_digits_share_in_both_parts(sampled: tuple[Digits, Digits]) -> None:
    counts = np.array([np.bincount(part.known_labels(), minlength=10) for part in sampled])
    assert np.abs(counts[1] - counts.sum(0) * 360 / 1797).max() < 1


def test_no_image_of_the_sample_is_on_both_sides(sampled: tuple[Digits, Digits]) -> None:
    train, test = sampled
    assert not np.isin(test.keys(), train.keys()).any()


def test_the_samples_ink_is_centred_in_a_box_of_mnists_size(sampled: tuple[Digits, Digits]) -> None:
    images = joined(*sampled).images
    centres = np.array([center_of_mass(image.astype(float)) for image in images])
    assert np.abs(centres - 13.5).max() < 1
    for across in (1, 2):
        inked = (images > 25).any(axis=across)  # a tenth of full ink: resampling rings faintly beyond
        extent = 28 - inked.argmax(1) - inked[:, ::-1].argmax(1)
        assert extent.max() <= 22


def test_the_sample_is_always_the_same(sampled: tuple[Digits, Digits]) -> None:
    assert [part.sha256() for part in sampled] == [part.sha256() for part in sample.load()]


def test_a_source_that_is_asked_for_is_kept(folder: Path) -> None:
    asked = Data(source="mnist", data=with_kaggle(folder))
    settled, line = resolve_source(asked)
    assert settled == asked and line == "source: mnist, as asked for"


def test_auto_takes_kaggles_files_where_they_are(folder: Path) -> None:
    data = Data(data=with_mnist(with_kaggle(folder), UNPACKED))
    settled, line = resolve_source(data)
    assert settled == Data(source="kaggle", data=folder) and line.startswith("source: kaggle, since")


@pytest.mark.parametrize("content", [UNPACKED, ARCHIVES], ids=["unpacked", "archives"])
def test_auto_takes_mnist_where_kaggles_files_lack(folder: Path, content: dict[str, bytes]) -> None:
    settled, line = resolve_source(Data(data=with_mnist(folder, content)))
    assert (
        settled.source == "mnist" and line.startswith(f"source: mnist, since {folder}") and competition.ARCHIVE in line
    )


@pytest.mark.parametrize("content", [None, {}, dict(list(ARCHIVES.items())[:3])], ids=["no folder", "empty", "part"])
def test_auto_takes_the_sample_where_nothing_is(folder: Path, content: dict[str, bytes] | None) -> None:
    place = folder / "not there" if content is None else with_mnist(folder, content)
    settled, line = resolve_source(Data(data=place))
    assert settled.source == "sample" and line.startswith("source: sample") and "--source mnist" in line


def test_auto_refuses_half_of_kaggles_files_rather_than_go_on_without(folder: Path) -> None:
    (with_kaggle(folder) / competition.TEST).unlink()
    with pytest.raises(DamagedFile, match=r"has train\.csv but no test\.csv"):
        resolve_source(Data(data=folder))


def test_kaggles_source_without_its_files_says_how_to_get_them(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"put Kaggle's digit-recognizer\.zip there \(https://www\.kaggle\.com/"):
        load_sources(Data(source="kaggle", data=folder))


def test_kaggles_files_are_loaded_with_mnist_alongside(folder: Path) -> None:
    loaded = load_sources(Data(source="kaggle", data=with_mnist(with_kaggle(folder), UNPACKED)))
    assert same(loaded.train, TRAIN) and np.array_equal(loaded.test.images, TEST.images)
    assert loaded.extra is not None and same(loaded.extra, ALL)
    assert [set(part.origin["source"]) for part in (loaded.train, loaded.test, loaded.extra)] == [
        {"kaggle-train"},
        {"kaggle-test"},
        {"mnist-train", "mnist-test"},
    ]
    (note,) = loaded.notes
    assert "has 20 + 10 rows" in note and "42,000 + 28,000" in note


def test_kaggles_files_are_loaded_without_mnist_and_a_note_says_so(folder: Path) -> None:
    loaded = load_sources(Data(source="kaggle", data=with_kaggle(folder)))
    assert loaded.extra is None
    assert any("no offline judge" in note and "no network" in note for note in loaded.notes)
    assert all(note.isprintable() for note in loaded.notes)


@pytest.mark.parametrize("source", ["kaggle", "mnist", "sample"])
def test_test_digits_never_carry_labels(folder: Path, source: str) -> None:
    data = Data(source=source, data=with_mnist(with_kaggle(folder), UNPACKED))  # type: ignore[arg-type]
    loaded = load_sources(data)
    assert loaded.test.labels is None and loaded.train.labels is not None
    with pytest.raises(ValueError, match="no labels"):
        loaded.test.known_labels()


@pytest.mark.parametrize("source", ["kaggle", "mnist", "sample"])
def test_every_test_image_has_its_label_in_the_judges_reference(folder: Path, source: str) -> None:
    data = Data(source=source, data=with_mnist(with_kaggle(folder), UNPACKED))  # type: ignore[arg-type]
    assert np.isin(load_sources(data).test.keys(), reference_digits(data).keys()).all()


def test_unpacked_mnist_is_read_where_it_lies(folder: Path, home: Path) -> None:
    before = listing(with_mnist(folder, UNPACKED))
    train, test = mnist.load(folder, download=False)
    assert same(train, TRAIN) and same(test, TEST)
    assert listing(folder) == before and not (home / "cache").exists()


def test_old_torch_files_beside_the_raw_ones_are_not_what_is_read(folder: Path) -> None:
    with_mnist(folder, UNPACKED)
    (folder / "MNIST" / "processed").mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(1)), folder / "MNIST" / "processed" / name)
    assert same(mnist.all_of(folder, download=False), ALL)


@pytest.mark.usefixtures("small_archives")
def test_archives_are_unpacked_in_the_cache_and_the_data_folder_is_left_as_it_was(folder: Path, home: Path) -> None:
    before = listing(with_mnist(with_kaggle(folder), ARCHIVES))
    loaded = load_sources(Data(source="kaggle", data=folder))
    assert loaded.extra is not None and same(loaded.extra, ALL)
    assert listing(folder) == before
    assert {path.name for path in (home / "cache").rglob("*") if path.is_file()} == set(UNPACKED)
    assert same(mnist.all_of(home, download=False), ALL)  # from the cache alone


@pytest.mark.usefixtures("small_archives")
def test_mnist_beside_a_zip_that_is_named_itself_is_found(folder: Path) -> None:
    with_mnist(folder, ARCHIVES)
    place = folder / "some name.zip"
    place.touch()
    assert same(reference_digits(Data(source="mnist", data=place)), ALL)


@pytest.mark.usefixtures("small_archives", "serve")
@pytest.mark.parametrize("serve", [Mirror], indirect=True)
def test_mnist_that_is_nowhere_is_fetched_into_the_cache(folder: Path) -> None:
    assert same(mnist.all_of(folder, download=True), ALL)
    assert listing(folder) == {}


@pytest.mark.usefixtures("serve")
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("serve", [LoginPage, Garbage, Mirror], indirect=True)
def test_a_mirror_that_serves_something_else_is_refused_and_nothing_is_left(folder: Path, home: Path) -> None:
    with pytest.raises(BadInput) as caught:
        mnist.load(folder, download=True)
    assert str(caught.value).startswith("MNIST: ") and str(caught.value).isprintable()
    assert [path for path in home.rglob("*") if path.is_file()] == []


ONE_CUT = ARCHIVES | {mnist.NAMES[0]: ARCHIVES[mnist.NAMES[0]][:-100]}


@pytest.mark.usefixtures("small_archives", "serve")
@pytest.mark.parametrize("serve", [LoginPage], indirect=True)
def test_a_damaged_archive_is_never_written_over_with_what_a_mirror_serves(folder: Path) -> None:
    before = listing(with_mnist(folder, ONE_CUT))
    with pytest.raises(BadInput, match=r"train-images-idx3-ubyte.gz: is damaged .* fetch it again"):
        mnist.load(folder, download=True)
    assert listing(folder) == before


@pytest.mark.usefixtures("small_archives", "serve")
@pytest.mark.parametrize("serve", [Mirror], indirect=True)
def test_a_damaged_archive_is_made_up_for_from_a_mirror_and_left_as_it_was(folder: Path) -> None:
    before = listing(with_mnist(folder, ONE_CUT))
    assert same(mnist.all_of(folder, download=True), ALL)
    assert listing(folder) == before


@pytest.mark.usefixtures("small_archives")
def test_a_damaged_archive_without_network_is_refused(folder: Path, home: Path) -> None:
    before = listing(with_mnist(folder, ARCHIVES | {mnist.NAMES[3]: b"\x1f\x8b"}))
    with pytest.raises(BadInput, match=r"t10k-labels-idx1-ubyte.gz: is damaged .* fetch it again") as caught:
        mnist.load(folder, download=True)
    assert str(folder) in str(caught.value) and str(caught.value).isprintable()
    assert listing(folder) == before and [path for path in (home / "cache").rglob("*") if path.is_file()] == []


DAMAGED_UNPACKED = {
    "empty images": ("train-images-idx3-ubyte", b""),
    "images cut": ("train-images-idx3-ubyte", UNPACKED["train-images-idx3-ubyte"][:-1]),
    "images not 28 wide": ("t10k-images-idx3-ubyte", idx(np.zeros((10, 28, 27), int))),
    "images of floats": ("train-images-idx3-ubyte", b"\0\0\x0d\3" + UNPACKED["train-images-idx3-ubyte"][4:]),
    "images of no type": ("train-images-idx3-ubyte", b"\0\0\x0a\3" + UNPACKED["train-images-idx3-ubyte"][4:]),
    "a page for images": ("t10k-images-idx3-ubyte", b"<!DOCTYPE html><html></html>"),
    "labels for images": ("t10k-images-idx3-ubyte", UNPACKED["t10k-labels-idx1-ubyte"]),
    "too few labels": ("train-labels-idx1-ubyte", UNPACKED["t10k-labels-idx1-ubyte"]),
    "label 10": ("t10k-labels-idx1-ubyte", idx(np.full(10, 10))),
}


@pytest.mark.parametrize("damage", DAMAGED_UNPACKED)
def test_damaged_unpacked_mnist_is_refused(folder: Path, damage: str) -> None:
    name, content = DAMAGED_UNPACKED[damage]
    with_mnist(folder, UNPACKED | {name: content})
    with pytest.raises(BadInput, match=r"unpacked file in .* is damaged; delete it"):
        mnist.load(folder, download=False)


@pytest.mark.parametrize(("download", "reason"), [(True, "no network"), (False, "not downloaded yet")])
def test_mnist_without_files_and_network_is_refused_soon(folder: Path, download: bool, reason: str) -> None:
    began = time.monotonic()
    with pytest.raises(BadInput, match=reason) as caught:
        mnist.load(folder, download)
    assert time.monotonic() - began < 10
    assert all(name in str(caught.value) for name in ARCHIVES) and str(folder) in str(caught.value)


def test_a_mirror_that_never_answers_is_given_up_in_time(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mnist.GIVE_UP_S <= 10
    monkeypatch.setattr(mnist, "GIVE_UP_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(mnist.MNIST, "mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"] * 2)
        began = time.monotonic()
        with pytest.raises(BadInput, match="no network"):
            mnist.load(folder, download=True)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("source", ["kaggle", "mnist", "auto"])
@pytest.mark.usefixtures("small_archives")
def test_the_data_folder_is_never_written_to(folder: Path, source: str) -> None:
    before = listing(with_mnist(with_kaggle(folder), ARCHIVES))
    data, _ = resolve_source(Data(source=source, data=folder))  # type: ignore[arg-type]
    load_sources(data)
    reference_digits(data)
    assert listing(folder) == before


@pytest.mark.real
def test_the_real_archives_give_all_of_mnist(real_data: Path, home: Path) -> None:
    names = sorted(path.name for path in real_data.rglob("*"))
    train, test = mnist.load(real_data, download=False)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert len(np.unique(joined(train, test).keys())) == 70_000
    assert np.bincount(train.known_labels()).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert sorted(path.name for path in real_data.rglob("*")) == names
    assert (home / "cache" / "tenfold" / "MNIST" / "raw").is_dir()
