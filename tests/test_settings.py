"""Settings survive being stored; a value outside its range, or of another type, is refused in one sentence."""

from __future__ import annotations

import math
import tomllib
from dataclasses import Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
import tomli_w
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tenfold.errors import BadInput
from tenfold.settings import (
    CAS_EPOCHS,
    Cgan,
    Compute,
    Device,
    FinalGenerator,
    Fit,
    Light,
    Net,
    Range,
    Settings,
    Source,
    Warp,
    differences,
    from_table,
    to_table,
)

SECTIONS = [Warp, Net, Fit, Light, Cgan, FinalGenerator, Compute, Settings]
RANGED = [(section, entry) for section in SECTIONS for entry in fields(section) if "range" in entry.metadata]
NAMES = [f"{section.section}.{entry.name}".lstrip(".") for section, entry in RANGED]
LARGE = 10**6  # stands for "no upper limit"


def numbers_in(allowed: Range, kind: type) -> st.SearchStrategy[Any]:
    if kind is float:
        low, high = max(allowed.low, allowed.above), min(allowed.high, allowed.below)
        return st.floats(low, high, exclude_min=low == allowed.above, exclude_max=high == allowed.below)
    return st.integers(int(allowed.low), LARGE if math.isinf(allowed.high) else int(allowed.high))


def values_of(entry: Field[Any], hint: Any) -> st.SearchStrategy[Any]:
    """Values that a field may have."""
    allowed = entry.metadata.get("range")
    if is_dataclass(hint):
        return instances_of(hint)
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if hint is bool:
        return st.booleans()
    if get_origin(hint) is tuple:
        return st.lists(numbers_in(allowed, int), min_size=2, max_size=4).map(tuple)
    if allowed is not None:
        return numbers_in(allowed, hint)
    paths = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8).map(Path)
    return paths if hint is Path else st.none() | paths


def instances_of(section: Any) -> st.SearchStrategy[Any]:
    hints = get_type_hints(section)
    values = {entry.name: values_of(entry, hints[entry.name]) for entry in fields(section)}
    if section is Cgan:
        values["share"] = st.floats(0.01, 0.9)  # 0 allows no reserve
    if section is not Settings:
        return st.builds(section, **values)
    return st.fixed_dictionaries(values)


@settings(max_examples=60, deadline=None)
@given(instances_of(Settings))
def test_stored_settings_are_read_back_unchanged(sections: dict[str, Any]) -> None:
    try:
        original = Settings(**sections)
    except BadInput as refusal:  # generated digits would fill a batch
        assert "cgan.share" in str(refusal)
        assume(False)
    stored = tomllib.loads(tomli_w.dumps(to_table(original)))
    assert from_table(stored) == original
    assert differences(stored, to_table(original)) == []


LIMITS = st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 1.0, math.inf])


@given(low=LIMITS, high=LIMITS, above=LIMITS, below=LIMITS, value=st.floats() | st.integers() | LIMITS)
def test_a_range_holds_the_values_within_its_limits(
    low: float, high: float, above: float, below: float, value: float
) -> None:
    within = low <= value <= high and above < value < below
    assert (value in Range(low=low, high=high, above=above, below=below)) == within
    assert math.nan not in Range()


@pytest.mark.parametrize(
    ("allowed", "text"),
    [
        (Range(low=1), "≥ 1"),
        (Range(low=0, high=0.5), "from 0 to 0.5"),
        (Range(low=0, high=2**32 - 1), "from 0 to 4294967295"),
        (Range(above=0, below=1), "> 0 and < 1"),
        (Range(low=0, below=60), "≥ 0 and < 60"),
        (Range(above=0, high=10), "> 0 and ≤ 10"),
    ],
)
def test_a_range_in_words(allowed: Range, text: str) -> None:
    assert str(allowed) == text


def near_the_limits(allowed: Range, kind: type) -> st.SearchStrategy[Any]:
    """Values of a field's type, many of them at its limits."""
    limits = [limit for limit in (allowed.low, allowed.high, allowed.above, allowed.below) if math.isfinite(limit)]
    if kind is float:
        around = [math.nextafter(limit, end) for limit in limits for end in (-math.inf, math.inf)]
        return st.floats() | st.sampled_from([*map(float, limits), *around])
    return st.integers() | st.sampled_from([int(limit) + step for limit in limits for step in (-1, 0, 1)])


@pytest.mark.parametrize(("section", "entry"), RANGED, ids=NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_exactly_the_values_in_range_are_accepted(section: Any, entry: Field[Any], data: st.DataObject) -> None:
    allowed, default = entry.metadata["range"], entry.default
    option = f"{section.section}.{entry.name}".lstrip(".").replace("_", "-")
    if isinstance(default, tuple):
        value: Any = tuple(data.draw(st.lists(near_the_limits(allowed, int), max_size=3)))
        in_range = len(value) >= 2 and all(one in allowed for one in value)
        expected = f"two or more integers {allowed}, got {' '.join(map(str, value)) or 'none'}"
    else:
        value = data.draw(near_the_limits(allowed, type(default)))
        in_range = value in allowed
        expected = f"{'a number' if isinstance(default, float) else 'an integer'} {allowed}, got {value}"
    if in_range:
        assert getattr(section(**{entry.name: value}), entry.name) == value
        return
    with pytest.raises(BadInput) as refusal:
        section(**{entry.name: value})
    assert str(refusal.value) == f"{option}: must be {expected}"


def test_a_number_may_be_given_as_an_integer() -> None:
    assert Fit(warmup=0).warmup == 0
    with pytest.raises(BadInput, match=r"fit\.warmup: must be a number ≥ 0 and < 1, got 1"):
        Fit(warmup=1)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"cgan": {"share": 0.0, "reserve": 0.1}}, "cgan.reserve: must be 0, since --cgan.share 0 .*, got 0.1"),
        ({"cgan": {"share": 0.9}, "fit": {"batch_size": 2}}, "cgan.share: must be a share that leaves a real digit"),
        ({"fit": {"epoch": 3}}, "settings: unknown setting fit.epoch; `tenfold run --help` lists all settings"),
        ({"fit": 3}, "fit: must be a table of settings, got 3"),
        ({"fit": {"epochs": True}}, "fit.epochs: must be an integer, got True"),
        ({"fit": {"lr": "0.1"}}, "fit.lr: must be a number, got 0.1"),
        ({"cgan": {"skip": 1}}, "cgan.skip: must be true or false, got 1"),
        ({"net": {"channels": [8, 16.5]}}, r"net.channels: must be a list of integers, got \[8, 16.5\]"),
        ({"data": {"source": "web"}}, "data.source: must be one of auto, kaggle, mnist, sample, got web"),
        ({"compute": {"device": "tpu"}}, "compute.device: must be one of auto, cpu, cuda, mps, got tpu"),
        ({"fit": {"lr": 10**400}}, "fit.lr: must be a smaller number, got one with 401 digits"),
        ({"fit": {"batch_size": 10**400}}, "fit.batch-size: must be an integer from 2 to 1048576, got 1000"),
        ({"init": "runs/\0"}, "init: must be text, got"),
    ],
)
def test_an_impossible_value_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        from_table(change)


ANYTHING = st.recursive(
    st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 2**63])
    | st.floats()
    | st.text(max_size=5)
    | st.datetimes()
    | st.dates()
    | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def tables(known: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Tables with some of the known settings, each with a value of its own type or with anything."""

    def values(value: Any) -> st.SearchStrategy[Any]:
        if isinstance(value, dict):
            return tables(value) | ANYTHING
        if isinstance(value, float):
            return st.floats() | st.integers() | ANYTHING
        if isinstance(value, int):
            return st.integers(-2, 2**20) | ANYTHING
        if isinstance(value, list):
            return st.lists(st.integers(-2, 2000), max_size=4) | ANYTHING
        return st.sampled_from(["cpu", "sample", "honest", "fp32", "web"]) | ANYTHING

    some = st.fixed_dictionaries({}, optional={key: values(value) for key, value in known.items()})
    unknown = st.dictionaries(st.text(max_size=5), ANYTHING, max_size=1)
    return st.tuples(some, st.just({}) | unknown).map(lambda both: both[1] | both[0])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables(to_table(Settings()) | {"init": "runs/first"}))
def test_any_table_gives_settings_or_a_refusal(table: dict[str, Any]) -> None:
    try:
        read = from_table(table)
    except BadInput as refusal:
        assert str(refusal)
        return
    assert from_table(to_table(read)) == read
    assert read.data.source in get_args(Source) and read.compute.device in get_args(Device)


def test_differences_name_each_setting_with_both_values() -> None:
    other = replace(Settings(), seed=3, fit=Fit(epochs=99))
    assert differences(to_table(Settings()), to_table(Settings())) == []
    assert differences(to_table(other), to_table(Settings())) == [
        "seed is 3 instead of 0",
        "fit.epochs is 99 instead of 12",
    ]


def test_derived_settings_change_only_what_they_must() -> None:
    original = Settings(light=Light((4, 8), 7), generator=FinalGenerator(9), fit=Fit(lr=0.1), cgan=Cgan(width=8))
    assert original.light_net == Net((4, 8), tta_shift_px=0)
    assert original.light_fit == Fit(lr=0.1, epochs=7)
    assert original.scoring_fit == Fit(lr=0.1, epochs=CAS_EPOCHS)
    assert original.final_cgan == Cgan(width=8, epochs=9)
