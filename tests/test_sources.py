"""Which source is taken, and what of it trains: the competition's test images never do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import few_digits
from hypothesis import HealthCheck, given, settings
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

from digit_recognizer import competition
from digit_recognizer.damage import DamagedFile
from digit_recognizer.rows import render
from tenfold.data.digits import Digits
from tenfold.data.overlap import guard
from tenfold.errors import BadInput
from tenfold.settings import Data, Source
from tenfold.sources.load import load_sources, reference_digits, resolve_source


def test_a_requested_source_is_kept(folder: Path) -> None:
    requested = Data(source="mnist", data=with_kaggle(folder))
    assert resolve_source(requested) == (requested, "source: mnist, as requested")


def test_auto_prefers_kaggles_files(folder: Path) -> None:
    resolved, line = resolve_source(Data(data=with_mnist(with_kaggle(folder), UNPACKED)))
    assert resolved == Data(source="kaggle", data=folder) and line.startswith("source: kaggle, since")


@pytest.mark.parametrize("content", [UNPACKED, ARCHIVES], ids=["unpacked", "archives"])
def test_auto_takes_mnist_without_kaggles_files(folder: Path, content: dict[str, bytes]) -> None:
    resolved, line = resolve_source(Data(data=with_mnist(folder, content)))
    assert resolved.source == "mnist"
    assert line.startswith(f"source: mnist, since {folder} holds MNIST") and competition.ARCHIVE in line


@pytest.mark.parametrize("content", [None, {}, dict(list(ARCHIVES.items())[:3])], ids=["no folder", "empty", "part"])
def test_auto_falls_back_to_the_sample(folder: Path, content: dict[str, bytes] | None) -> None:
    path = folder / "missing" if content is None else with_mnist(folder, content)
    resolved, line = resolve_source(Data(data=path))
    assert resolved.source == "sample" and line.startswith("source: sample") and "--source mnist" in line


def test_auto_refuses_one_of_kaggles_two_files(folder: Path) -> None:
    (with_kaggle(folder) / competition.TEST).unlink()
    with pytest.raises(DamagedFile, match=r"has train\.csv but no test\.csv"):
        resolve_source(Data(data=folder))


def test_missing_kaggle_files_are_refused_with_their_address(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"put Kaggle's digit-recognizer\.zip there \(https://www\.kaggle\.com/"):
        load_sources(Data(source="kaggle", data=folder))


@pytest.mark.usefixtures("whole_test")
def test_kaggles_files_are_loaded_with_mnist_beside_them(folder: Path) -> None:
    sources = load_sources(Data(source="kaggle", data=with_mnist(with_kaggle(folder), UNPACKED)))
    assert same(sources.train, TRAIN) and np.array_equal(sources.test.images, TEST.images)
    assert sources.extra is not None and same(sources.extra, ALL)
    assert [set(part.origin["source"]) for part in (sources.train, sources.test, sources.extra)] == [
        {"kaggle-train"},
        {"kaggle-test"},
        {"mnist-train", "mnist-test"},
    ]
    (note,) = sources.notes
    assert "has 20 + 10 rows" in note and "42,000 + 28,000" in note


def write_test_csv(folder: Path, images: npt.NDArray[np.uint8]) -> None:
    (folder / competition.TEST).write_bytes(render(images))


@pytest.mark.usefixtures("whole_test")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(0, 9), min_size=1, max_size=12) | st.permutations(range(10)))
def test_mnist_trains_nothing_unless_the_test_set_is_whole(
    tmp_path_factory: pytest.TempPathFactory, rows: list[int]
) -> None:
    """Any part of the test set, any row twice, any order: only the whole set, in any order, lets MNIST add rows."""
    folder = with_mnist(with_kaggle(tmp_path_factory.mktemp("data")), UNPACKED)
    write_test_csv(folder, TEST.images[rows])
    sources = load_sources(Data(source="kaggle", data=folder))
    kept, record = guard(sources.train, sources.extra, sources.test, "honest")
    assert record.honest and not np.isin(kept.keys(), TEST.keys()).any()
    assert (sources.extra is not None) == (sorted(rows) == list(range(10)))
    assert any("MNIST has the others" in note for note in sources.notes) == (sources.extra is None)
    assert np.isin(sources.test.keys(), reference_digits(Data(source="kaggle", data=folder)).keys()).all()


@pytest.mark.usefixtures("whole_test")
def test_other_test_images_get_nothing_from_mnist(folder: Path) -> None:
    with_mnist(with_kaggle(folder), UNPACKED)
    write_test_csv(folder, few_digits(10, seed=7).images)
    sources = load_sources(Data(source="kaggle", data=folder))
    assert sources.extra is None and "does not have all of the competition's 28,000 test images" in sources.notes[-1]


def test_an_allowed_overlap_takes_mnist_whatever_the_test_set(folder: Path) -> None:
    data = Data(source="kaggle", data=with_mnist(with_kaggle(folder), UNPACKED), overlap="allow")
    sources = load_sources(data)
    assert sources.extra is not None and same(sources.extra, ALL)


@pytest.mark.real
def test_a_cut_test_file_trains_on_none_of_the_rest(
    real_data: Path, own_cache: Path, real_test: Digits, folder: Path
) -> None:
    """The fault: with test.csv cut to 100 rows, MNIST added 27,900 rows, the other test images."""
    with_kaggle(folder)
    write_test_csv(folder, real_test.images[:100])
    (folder / "MNIST").symlink_to(real_data / "MNIST")
    sources = load_sources(Data(source="kaggle", data=folder))
    kept, record = guard(sources.train, sources.extra, sources.test, "honest")
    assert (len(sources.test), record.added, len(kept)) == (100, 0, len(TRAIN))


@pytest.mark.real
def test_the_whole_test_file_counts_in_any_order(real_test: Digits) -> None:
    assert (real_test.images_sha256(), len(real_test)) == (competition.TEST_IMAGES_SHA256, competition.TEST_ROWS)
    shuffled = real_test.take(np.random.default_rng(0).permutation(len(real_test)))
    assert shuffled.images_sha256() == competition.TEST_IMAGES_SHA256
    assert real_test.take(np.arange(27_999)).images_sha256() != competition.TEST_IMAGES_SHA256
    changed = real_test.images.copy()
    changed[-1, 27, 27] ^= 1
    assert Digits.of("changed", changed, None).images_sha256() != competition.TEST_IMAGES_SHA256


def test_a_note_says_that_mnist_is_missing(folder: Path) -> None:
    sources = load_sources(Data(source="kaggle", data=with_kaggle(folder)))
    assert sources.extra is None
    assert any("no offline test score" in note and "no network" in note for note in sources.notes)
    assert all(note.isprintable() for note in sources.notes)


@pytest.mark.parametrize("source", ["kaggle", "mnist", "sample"])
def test_test_digits_never_have_labels(folder: Path, source: Source) -> None:
    sources = load_sources(Data(source=source, data=with_mnist(with_kaggle(folder), UNPACKED)))
    assert sources.test.labels is None and sources.train.labels is not None
    with pytest.raises(ValueError, match="no labels"):
        sources.test.known_labels()


@pytest.mark.parametrize("source", ["kaggle", "mnist", "sample"])
def test_every_test_image_is_among_the_reference_digits(folder: Path, source: Source) -> None:
    data = Data(source=source, data=with_mnist(with_kaggle(folder), UNPACKED))
    assert np.isin(load_sources(data).test.keys(), reference_digits(data).keys()).all()


@pytest.mark.parametrize("source", ["kaggle", "mnist", "auto"])
def test_the_data_folder_is_never_written_to(folder: Path, source: Source) -> None:
    before = listing(with_mnist(with_kaggle(folder), ARCHIVES))
    data, _ = resolve_source(Data(source=source, data=folder))
    load_sources(data)
    reference_digits(data)
    assert listing(folder) == before
