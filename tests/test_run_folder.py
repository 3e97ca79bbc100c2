"""The JSON files of a run: typed records that are read back unchanged; anything else is refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import few_digits
from hypothesis import given, settings
from hypothesis import strategies as st

from tenfold.data.overlap import DataRecord, Overlap, guard
from tenfold.errors import BadInput
from tenfold.evaluation.cross_validation import CrossValidation
from tenfold.evaluation.generator_quality import Manifold, Quality
from tenfold.evaluation.judge import Verdict
from tenfold.evaluation.metrics import BlendedData, BlendMetrics, RunMetrics, load_metrics, load_run_metrics
from tenfold.storage.run_folder import METRICS, RunFolder, parse_record, plain_json
from tenfold.training.schedule import RateCut

Keys = tuple[str, ...]  # of nested tables

DIGITS, TEST = few_digits(20), few_digits(5, seed=9)
OVERLAP = guard(DIGITS, None, TEST, "honest")[1]
VERDICT = Verdict(rows=5, errors=1, accuracy=0.8, low=0.4, high=0.96, leaderboard_margin=0.0)
MANIFOLD = Manifold(precision=0.5, recall=0.25, density=1.5, coverage=0.75)
QUALITY = Quality(
    digits=10,
    agreement=(0.5,) * 10,
    agreement_mean=0.5,
    frechet=3.5,
    frechet_floor=1.5,
    manifold=MANIFOLD,
    manifold_floor=MANIFOLD,
    nearest_px=4.5,
    nearest_floor_px=5.5,
    copies=0.01,
    cas=(0.9, 0.8),
)
METRICS_OF_A_RUN = RunMetrics(
    source="sample",
    honest=True,
    cross_validation=CrossValidation(mean=0.75, std=0.25, folds=(1.0, 0.5), errors=1, rows=4, log_loss=0.3),
    judge=VERDICT,
    judge_light=None,
    seconds={"cgan": 1.5, "total": 9.5},
    generator=QUALITY,
    temperature=1.25,
    collapsed=("fold-0-generator",),
    overlap=replace(OVERLAP, inherited=OVERLAP),
    rate_cuts={"light": (RateCut(3, 0.5),)},
)
METRICS_OF_A_BLEND = BlendMetrics(
    source="sample",
    honest=True,
    cross_validation=METRICS_OF_A_RUN.cross_validation,
    judge=VERDICT,
    judge_light=None,
    seconds={"total": 9.5},
    data=BlendedData(source="sample", data="data", overlap="honest"),
    blend={"runs/a": 0.99, "runs/b": 0.98},
)
RECORDS = {"run": METRICS_OF_A_RUN, "blend": METRICS_OF_A_BLEND, "data": DataRecord.of(DIGITS, TEST, OVERLAP)}
FREE = {"seconds", "rate_cuts", "blend"}  # tables with keys of any name
DEFAULTS: dict[str, Any] = {"judge": None, "judge_light": None, "generator": None, "inherited": None, "cas": []}
WRONG: dict[type, Any] = {str: 3, bool: "yes", int: 1.5, float: "0.5", list: 3, dict: 3, type(None): 3}


def stored(record: Any) -> Any:
    """A record as it is read from its JSON file."""
    return json.loads(plain_json(asdict(record)))


def paths_in(table: dict[str, Any], above: Keys = ()) -> Iterator[Keys]:
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from paths_in(value, (*above, key))


CASES = [(name, path) for name, record in RECORDS.items() for path in paths_in(stored(record))]
IDS = [f"{name}: {'.'.join(path)}" for name, path in CASES]


def parse(name: str, table: Any) -> Any:
    return parse_record(type(RECORDS[name]), table, Path("run/record.json"))


def refusal(name: str, table: Any) -> str:
    with pytest.raises(BadInput) as caught:
        parse(name, table)
    message = str(caught.value)
    assert message.startswith("run/record.json: not as this version of tenfold writes it (") and "\n" not in message
    assert message.endswith("); repeat the run with `tenfold run --fresh`")
    return message


@pytest.mark.parametrize("kind", [RunMetrics, BlendMetrics, DataRecord, Overlap])
@settings(deadline=None, max_examples=25)
@given(data=st.data())
def test_any_record_is_read_back_unchanged(kind: type[Any], data: st.DataObject) -> None:
    record = data.draw(st.from_type(kind))
    read = parse_record(kind, stored(record), Path("record.json"))
    assert plain_json(asdict(read)) == plain_json(asdict(record))
    if b"NaN" not in plain_json(asdict(record)):
        assert read == record


@pytest.mark.parametrize("name", RECORDS)
def test_a_typical_record_is_read_back_unchanged(name: str) -> None:
    assert parse(name, stored(RECORDS[name])) == RECORDS[name]


def at(table: dict[str, Any], path: Keys) -> dict[str, Any]:
    """The table that holds the last key of a path."""
    for key in path[:-1]:
        table = table[key]
    return table


@pytest.mark.parametrize(("name", "path"), CASES, ids=IDS)
def test_a_value_of_the_wrong_type_is_refused(name: str, path: Keys) -> None:
    table = stored(RECORDS[name])
    parent, key = at(table, path), path[-1]
    kind = type(parent[key])
    parent[key] = WRONG[kind]
    message = refusal(name, table)
    assert kind is list or any(part in message for part in path)  # dacite doesn't name the field of a list


@pytest.mark.parametrize(("name", "path"), [case for case in CASES if not FREE & set(case[1][:-1])], ids=str)
def test_a_missing_key_is_refused_or_has_a_default(name: str, path: Keys) -> None:
    table = stored(RECORDS[name])
    del at(table, path)[path[-1]]
    if path[-1] not in DEFAULTS:
        assert f'missing value for field "{".".join(path)}"' in refusal(name, table)
        return
    read = parse(name, table)
    at(table, path)[path[-1]] = DEFAULTS[path[-1]]
    assert read == parse(name, table)


@pytest.mark.parametrize("table", [None, 3, "x", [], [1], {}, {"source": "a\nb"}, {"temperature": 10**400}], ids=str)
@pytest.mark.parametrize("name", RECORDS)
def test_other_json_is_refused(name: str, table: Any) -> None:
    refusal(name, table)


def test_integers_may_stand_for_floats() -> None:
    read = parse("run", {**stored(METRICS_OF_A_RUN), "temperature": 2})
    assert read == replace(METRICS_OF_A_RUN, temperature=2.0) and type(read.temperature) is float


def test_metrics_of_a_run_and_a_blend_are_told_apart(tmp_path: Path) -> None:
    run, blend = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "blend")
    METRICS_OF_A_RUN.save(run)
    METRICS_OF_A_BLEND.save(blend)
    assert load_metrics(run) == load_run_metrics(run) == METRICS_OF_A_RUN
    assert load_metrics(blend) == METRICS_OF_A_BLEND
    with pytest.raises(BadInput, match="blend: a blend"):
        load_run_metrics(blend)


def test_digits_are_recognised_by_their_record(tmp_path: Path) -> None:
    record = DataRecord.of(DIGITS, TEST, OVERLAP)
    record.save(RunFolder(tmp_path))
    assert DataRecord.load(RunFolder(tmp_path)) == record
    assert record.same_digits(replace(record, overlap=replace(OVERLAP, added=3)))
    assert not record.same_digits(DataRecord.of(TEST, TEST, OVERLAP))
    assert not record.same_digits(DataRecord.of(DIGITS, DIGITS, OVERLAP))


@pytest.mark.parametrize("content", [None, b"", b'{"source": "sa', b"\xff"], ids=["missing", "empty", "cut", "no text"])
def test_an_unreadable_record_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / METRICS).write_bytes(content)
    with pytest.raises(BadInput, match=r"metrics\.json: can't be read"):
        load_metrics(RunFolder(tmp_path))
