"""The workflows run reviewed actions only, and look for known vulnerabilities in what we install."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

WORKFLOWS = sorted((Path(__file__).resolve().parents[1] / ".github" / "workflows").glob("*.y*ml"))
USES = {path: re.findall(r"^\s*-?\s*uses:\s*(.+)$", path.read_text(), re.MULTILINE) for path in WORKFLOWS}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_one_commit_with_its_version_beside_it(path: Path) -> None:
    assert USES[path]
    for line in USES[path]:
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}\s+# v\d+(\.\d+)*", line), line


def test_an_action_is_the_same_commit_everywhere() -> None:
    every = {line for lines in USES.values() for line in lines}
    assert len({line.partition("@")[0] for line in every}) == len(every)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_says_what_its_token_may_do(path: Path) -> None:
    assert re.search(r"^permissions:( \{\})?$", path.read_text(), re.MULTILINE)


def test_a_job_of_its_own_looks_for_known_vulnerabilities() -> None:
    every = "".join(path.read_text() for path in WORKFLOWS)
    (audit,) = re.findall(r"^  audit:\n((?:    .*\n|\n)+)", every, re.MULTILINE)
    assert "make install" in audit and "pip_audit --strict" in audit and "continue-on-error" not in audit
