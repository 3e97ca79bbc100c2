"""Settings survive being written down, and whatever a settings file holds gives settings or one sentence."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
import tomli_w
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tenfold.errors import BadInput
from tenfold.settings import (
    Cgan,
    Collapsed,
    Compute,
    Condition,
    Data,
    Device,
    FinalGenerator,
    Fit,
    Light,
    Loss,
    Net,
    OverlapPolicy,
    Precision,
    Settings,
    Source,
    Warp,
    differences,
    from_table,
    to_table,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
PATHS = TEXT.map(Path)
CHANNELS = st.lists(st.integers(1, 1024), min_size=2, max_size=4).map(tuple)
SHARE_BELOW_1 = st.floats(0, 1, exclude_max=True)
RATE = st.floats(0, 1, exclude_min=True, exclude_max=True)
COUNT = st.integers(1, 10**6)
BATCH = st.integers(2, 2**20)


def chosen(kind: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(get_args(kind))


PARTS: dict[str, st.SearchStrategy[Any]] = {
    "seed": st.integers(0, 2**32 - 1),
    "folds": st.integers(2, 100),
    "nets": st.integers(1, 100),
    "init": st.none() | PATHS,
    "data": st.builds(Data, chosen(Source), PATHS, chosen(OverlapPolicy)),
    "warp": st.builds(
        Warp,
        st.floats(0, 180),
        st.floats(0, 60, exclude_max=True),
        st.floats(0, 0.9, exclude_max=True),
        st.floats(0, 14),
        st.floats(0, 5),
    ),
    "net": st.builds(Net, CHANNELS, st.integers(0, 14)),
    "fit": st.builds(Fit, COUNT, COUNT, BATCH, RATE, RATE, *[SHARE_BELOW_1] * 4),
    "light": st.builds(Light, CHANNELS, COUNT),
    "cgan": st.builds(
        Cgan,
        share=st.floats(0.01, 0.9),
        reserve=st.floats(0, 0.5),
        least_probability=SHARE_BELOW_1,
        soft_labels=st.booleans(),
        epochs=COUNT,
        epoch_images=COUNT,
        batch_size=BATCH,
        z_dim=st.integers(1, 1024),
        class_dim=st.integers(1, 1024),
        class_std=st.floats(0.001, 10),
        width=st.integers(4, 512),
        trunk=st.sampled_from((14, 28)),
        skip=st.booleans(),
        condition=chosen(Condition),
        loss=chosen(Loss),
        r1=st.floats(0, 1000),
        shift_px=st.floats(0, 14),
        lr=RATE,
        lr_decay=st.floats(0, 1),
        ema_decay=SHARE_BELOW_1,
        least_variety=st.floats(0, 1),
        collapsed=chosen(Collapsed),
        cas_seeds=st.integers(0, 100),
    ),
    "generator": st.builds(FinalGenerator, COUNT),
    "compute": st.builds(Compute, chosen(Device), chosen(Precision), st.integers(0, 256), st.integers(0, 256)),
}


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries(PARTS))
def test_any_settings_are_read_back_from_what_is_written(parts: dict[str, Any]) -> None:
    try:
        asked = Settings(**parts)
    except BadInput as refusal:  # all but generated digits in a batch
        assert "cgan.share" in str(refusal)
        assume(False)
    stored = tomllib.loads(tomli_w.dumps(to_table(asked)))
    assert from_table(stored) == asked
    assert differences(stored, to_table(asked)) == []


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
    """Tables with some of the known settings, each with something of its own kind or with anything."""

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
    strange = st.dictionaries(st.text(max_size=5), ANYTHING, max_size=1)
    return st.tuples(some, st.just({}) | strange).map(lambda both: both[1] | both[0])


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables(to_table(Settings()) | {"init": "runs/first"}))
def test_any_table_gives_settings_or_a_refusal(table: dict[str, Any]) -> None:
    try:
        found = from_table(table)
    except BadInput as refusal:
        assert str(refusal)
        return
    assert from_table(to_table(found)) == found
    assert found.data.source in get_args(Source) and found.compute.device in get_args(Device)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"data": {"source": "web"}}, "data.source: is web where one of auto, kaggle, mnist, sample belongs"),
        ({"compute": {"device": "tpu"}}, "compute.device: is tpu where one of auto, cpu, cuda, mps belongs"),
        ({"fit": {"lr": 10**400}}, "fit.lr: is a number of 401 digits; give a smaller one"),
        ({"fit": {"batch_size": 10**400}}, "where a whole number from 2 to 1048576 belongs"),
        ({"init": "runs/\0"}, "init: .* where text belongs"),
    ],
)
def test_what_no_setting_can_be_is_refused(table: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        from_table(table)
