"""What docs/reliability.md promises is held by tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROMISES, COUNTED = (HERE.parent / "docs/reliability.md").read_text().split("## Counted")
ROWS = [line for line in PROMISES.splitlines() if re.match(r"\| (?!what|---)", line)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_promise_names_tests_that_exist(row: str) -> None:
    _, what, promise, held_by, _ = row.split("|")
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`( \*)?", held_by)
    assert what.strip() and promise.strip() and named
    assert len(named) == held_by.count("`") / 2
    for file, name, slow in named:
        functions = [node for node in ast.parse((HERE / file).read_text()).body if isinstance(node, ast.FunctionDef)]
        (test,) = [function for function in functions if function.name == name]
        marked = any("mark.slow" in ast.unparse(decorator) for decorator in test.decorator_list)
        assert marked == bool(slow), name


def test_there_are_promises() -> None:
    assert len(ROWS) > 25


def test_the_counts_name_test_files_that_exist() -> None:
    named = re.findall(r"`pytest (?:-m slow )?tests/(test_\w+\.py)`", COUNTED)
    assert len(named) == 4 and all((HERE / name).is_file() for name in named)
