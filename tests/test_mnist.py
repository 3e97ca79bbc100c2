"""MNIST's files are found, unpacked, downloaded and checked; damaged ones are never read."""

from __future__ import annotations

import gzip
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_mnist import (
    ALL,
    ARCHIVES,
    TEST,
    TRAIN,
    UNPACKED,
    folder,
    home,
    listing,
    same,
    small_mnist,
    whole_test,
    with_kaggle,
    with_mnist,
)

from tenfold.data.digits import joined
from tenfold.errors import BadInput
from tenfold.settings import Data
from tenfold.sources import mnist
from tenfold.sources.load import load_sources, reference_digits, resolve_source


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class LoginPage(http.server.BaseHTTPRequestHandler):
    """Answers everything with a log-in page, as some networks do."""

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
    """Answers with something that is not HTTP."""

    def handle(self) -> None:
        self.rfile.readline()
        self.wfile.write(b"220 mail.example ESMTP\r\n")


class Mirror(LoginPage):
    """Serves the archives."""

    def do_GET(self) -> None:
        self.page = ARCHIVES[Path(self.path).name]
        super().do_GET()


class Altered(LoginPage):
    """Serves other archives under their names."""

    def do_GET(self) -> None:
        self.page = gzip.compress(UNPACKED[Path(self.path).stem] + b"0", mtime=0)
        super().do_GET()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """A mirror of the kind that the test names."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), request.param) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setattr(mnist.MNIST, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
        yield
        server.shutdown()


def test_mnists_archives_have_the_published_names() -> None:
    assert sorted(mnist.NAMES) == [
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]


def test_unpacked_mnist_is_read_in_place(folder: Path, home: Path) -> None:
    before = listing(with_mnist(folder, UNPACKED))
    train, test = mnist.load(folder, download=False)
    assert same(train, TRAIN) and same(test, TEST)
    assert listing(folder) == before and not (home / "cache").exists()


def test_old_torch_files_beside_the_raw_ones_are_ignored(folder: Path) -> None:
    processed = with_mnist(folder, UNPACKED) / "MNIST" / "processed"
    processed.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(1, 28, 28, dtype=torch.uint8), torch.zeros(1)), processed / name)
    assert same(mnist.all_of(folder, download=False), ALL)


@pytest.mark.usefixtures("whole_test")
def test_archives_are_unpacked_in_the_cache(folder: Path, home: Path) -> None:
    before = listing(with_mnist(with_kaggle(folder), ARCHIVES))
    sources = load_sources(Data(source="kaggle", data=folder))
    assert sources.extra is not None and same(sources.extra, ALL)
    assert listing(folder) == before
    assert {path.name for path in files_in(home / "cache")} == set(UNPACKED)
    assert same(mnist.all_of(home, download=False), ALL)  # from the cache alone


def test_mnist_is_found_beside_a_zip_named_by_itself(folder: Path) -> None:
    path = with_mnist(folder, ARCHIVES) / "some name.zip"
    path.touch()
    assert same(reference_digits(Data(source="mnist", data=path)), ALL)


@pytest.mark.usefixtures("serve")
@pytest.mark.parametrize("serve", [Mirror], indirect=True)
def test_missing_mnist_is_downloaded_into_the_cache(folder: Path) -> None:
    assert same(mnist.all_of(folder, download=True), ALL)
    assert listing(folder) == {}


@pytest.mark.usefixtures("serve")
@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("serve", [LoginPage, Garbage, Altered], indirect=True)
def test_a_mirror_with_other_content_is_refused(folder: Path, home: Path) -> None:
    with pytest.raises(BadInput) as caught:
        mnist.load(folder, download=True)
    assert str(caught.value).startswith("MNIST: ") and str(caught.value).isprintable()
    assert files_in(home) == []


ONE_CUT = ARCHIVES | {mnist.NAMES[0]: ARCHIVES[mnist.NAMES[0]][:-100]}


@pytest.mark.usefixtures("serve")
@pytest.mark.parametrize("serve", [LoginPage], indirect=True)
def test_a_damaged_archive_is_not_overwritten_by_a_mirror(folder: Path) -> None:
    before = listing(with_mnist(folder, ONE_CUT))
    with pytest.raises(BadInput, match=r"train-images-idx3-ubyte.gz: is damaged"):
        mnist.load(folder, download=True)
    assert listing(folder) == before


@pytest.mark.usefixtures("serve")
@pytest.mark.parametrize("serve", [Mirror], indirect=True)
def test_a_damaged_archive_is_replaced_in_the_cache_alone(folder: Path) -> None:
    before = listing(with_mnist(folder, ONE_CUT))
    assert same(mnist.all_of(folder, download=True), ALL)
    assert listing(folder) == before


def test_a_damaged_archive_without_network_is_refused(folder: Path, home: Path) -> None:
    before = listing(with_mnist(folder, ARCHIVES | {mnist.NAMES[3]: b"\x1f\x8b"}))
    with pytest.raises(BadInput, match=r"t10k-labels-idx1-ubyte.gz: is damaged") as caught:
        mnist.load(folder, download=True)
    assert str(folder) in str(caught.value) and str(caught.value).isprintable()
    assert listing(folder) == before and files_in(home / "cache") == []


UNPACKED_FILES = sorted(UNPACKED)


@settings(max_examples=30, deadline=None)
@given(
    name=st.sampled_from(UNPACKED_FILES),
    position=st.integers(0, 10**6),
    change=st.integers(1, 255),
    damage=st.sampled_from(["byte", "cut", "longer", "empty"]),
)
def test_damaged_unpacked_mnist_is_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, position: int, change: int, damage: str
) -> None:
    """One changed label is enough: 40 of them made a score of 237 errors out of 225, and nobody noticed."""
    content = bytearray(UNPACKED[name])
    position %= len(content)
    if damage == "byte":
        content[position] ^= change
    else:
        content = {"cut": content[:position], "longer": content + b"0", "empty": bytearray()}[damage]
    folder = with_mnist(tmp_path_factory.mktemp("data"), UNPACKED | {name: bytes(content)})
    before = listing(folder)
    with pytest.raises(BadInput) as caught:
        mnist.load(folder, download=True)
    path = folder / "MNIST" / "raw" / name
    assert str(caught.value).startswith(f"{path}: is damaged or not MNIST's") and "delete it" in str(caught.value)
    assert listing(folder) == before


@pytest.mark.parametrize("name", UNPACKED_FILES)
def test_damage_in_the_cache_is_unpacked_again_with_a_note(
    folder: Path, home: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with_mnist(folder, ARCHIVES)
    assert same(mnist.all_of(folder, download=False), ALL) and capsys.readouterr().out == ""
    (cached,) = home.joinpath("cache").rglob(name)
    cached.write_bytes(UNPACKED[name][:-1] + b"\x05")
    assert same(mnist.all_of(folder, download=False), ALL)
    assert f"{cached}: is damaged" in capsys.readouterr().out and cached.read_bytes() == UNPACKED[name]
    assert same(mnist.all_of(folder, download=False), ALL) and capsys.readouterr().out == ""


def test_damage_in_the_cache_without_archives_or_network_is_refused(folder: Path, home: Path) -> None:
    with_mnist(home / "cache" / "tenfold", UNPACKED | {UNPACKED_FILES[0]: b""})
    with pytest.raises(BadInput, match="no network"):
        mnist.load(folder, download=True)


@pytest.mark.usefixtures("serve")
@pytest.mark.parametrize("serve", [Mirror], indirect=True)
def test_damage_in_the_cache_is_downloaded_again(folder: Path, home: Path) -> None:
    with_mnist(home / "cache" / "tenfold", UNPACKED | {UNPACKED_FILES[0]: b""})
    assert same(mnist.all_of(folder, download=True), ALL)


@pytest.mark.parametrize("content", [UNPACKED, ARCHIVES], ids=["unpacked", "archives"])
@pytest.mark.parametrize("flat", [True, False], ids=["flat", "in MNIST/raw"])
@pytest.mark.parametrize("kaggles_names", [True, False], ids=["Kaggle's names", "torchvision's names"])
def test_mnist_is_found_under_its_names_in_two_places(
    folder: Path, content: dict[str, bytes], flat: bool, kaggles_names: bool
) -> None:
    named = {name.replace("-idx", ".idx") if kaggles_names else name: data for name, data in content.items()}
    with_mnist(folder, {} if flat else named)
    if flat:
        for name, data in named.items():
            (folder / name).write_bytes(data)
    before = listing(folder)
    assert resolve_source(Data(data=folder))[0].source == "mnist" and same(mnist.all_of(folder, False), ALL)
    assert listing(folder) == before


@pytest.mark.parametrize(("download", "reason"), [(True, "no network"), (False, "not downloaded yet")])
def test_mnist_without_files_or_network_is_refused(folder: Path, download: bool, reason: str) -> None:
    with pytest.raises(BadInput, match=reason) as caught:
        mnist.load(folder, download)
    assert all(name in str(caught.value) for name in ARCHIVES) and str(folder) in str(caught.value)


def test_a_mirror_that_never_answers_counts_as_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mnist.TIMEOUT_S <= 10
    monkeypatch.setattr(mnist, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(mnist.MNIST, "mirrors", [f"http://127.0.0.1:{silent.getsockname()[1]}/"] * 2)
        with pytest.raises(BadInput, match="no network"):
            mnist.load(folder, download=True)


@pytest.mark.real
def test_the_real_archives_give_all_of_mnist(real_data: Path, home: Path) -> None:
    names = sorted(path.name for path in real_data.rglob("*"))
    train, test = mnist.load(real_data, download=False)
    assert (len(train), len(test)) == (60_000, 10_000) and (train.images.max(), test.images.max()) == (255, 255)
    assert len(np.unique(joined(train, test).keys())) == 70_000
    assert np.bincount(train.known_labels()).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert sorted(path.name for path in real_data.rglob("*")) == names
    assert (home / "cache" / "tenfold" / "MNIST" / "raw").is_dir()
