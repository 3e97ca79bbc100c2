"""The report tells a run's own numbers, asks nothing of anybody, and can be read at any width, dark or light."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import in_process, refused, succeeded
from sklearn import metrics as sklearn_metrics

from tenfold.errors import BadInput
from tenfold.evaluation import diagnostics
from tenfold.report.page import FinishedRun, render
from tenfold.storage.run_folder import RunFolder

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 10, 600)


def answers(labels: np.ndarray, sureness: np.ndarray, right: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    """Probabilities whose greatest is `sureness`, for the label where `right` and for the next digit elsewhere."""
    predicted = np.where(right, labels, (labels + 1) % 10)
    probabilities = np.repeat(((1 - sureness) / 9)[:, None], 10, 1)
    probabilities[np.arange(len(labels)), predicted] = sureness
    return probabilities.astype(np.float32)


def test_confusion_precision_and_recall_are_scikit_learns() -> None:
    probs = answers(LABELS, np.full(600, 0.9), RNG.random(600) < 0.8)
    counts = diagnostics.confusion(probs, LABELS)
    assert (counts == sklearn_metrics.confusion_matrix(LABELS, probs.argmax(1))).all()
    precision, recall, _, rows = sklearn_metrics.precision_recall_fscore_support(LABELS, probs.argmax(1))
    per_digit = diagnostics.per_digit(probs, LABELS)
    assert [entry.precision for entry in per_digit] == pytest.approx(precision)
    assert [entry.recall for entry in per_digit] == pytest.approx(recall)
    assert [entry.rows for entry in per_digit] == list(rows)
    assert all(entry.mistaken_for == (entry.digit + 1) % 10 for entry in per_digit)


def test_a_digit_that_never_occurs_has_no_precision() -> None:
    threes = np.full(5, 3)
    three, four = diagnostics.per_digit(np.eye(10, dtype=np.float32)[threes], threes)[3:5]
    assert (three.precision, three.recall, three.mistaken_for) == (1, 1, None)
    assert np.isnan([four.precision, four.recall]).all()


def test_answers_right_as_often_as_they_claim_are_calibrated() -> None:
    labels = RNG.integers(0, 10, 60_000)
    sureness = RNG.uniform(0.2, 1, 60_000)
    honest = answers(labels, sureness, RNG.random(60_000) < sureness)
    boasting = answers(labels, sureness, RNG.random(60_000) < sureness / 2)
    assert diagnostics.calibration_error(diagnostics.reliability(honest, labels)) < 0.01
    bins = diagnostics.reliability(boasting, labels)
    assert diagnostics.calibration_error(bins) == pytest.approx(0.3, abs=0.02)
    assert sum(entry.rows for entry in bins) == 60_000
    assert all(entry.accuracy == pytest.approx(entry.confidence / 2, abs=0.03) for entry in bins)


def test_label_errors_are_told_from_unsure_mistakes() -> None:
    sureness, right = np.full(600, 0.95), np.ones(600, bool)
    planted, unsure = np.array([5, 77, 300]), np.array([8, 90])
    right[planted] = right[unsure] = False
    sureness[unsure], sureness[planted] = 0.5, [0.97, 0.99, 0.98]
    probs = answers(LABELS, sureness, right)
    wrong = diagnostics.likely_label_errors(probs, LABELS)
    assert wrong.tolist() == [77, 300, 5]  # the surest first
    assert set(diagnostics.hardest(probs, LABELS, exclude=wrong)[:2].tolist()) == set(unsure.tolist())


class Outline(HTMLParser):
    """The elements and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.pictures = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.pictures += tag == "img" and bool(dict(attrs).get("alt"))
        self.targets += [value or "" for name, value in attrs if name.split(":")[-1] in ("src", "href", "action")]


@pytest.fixture(scope="module")
def text(finished_run: Path) -> str:
    return (finished_run / "report.html").read_text("utf-8")


def test_it_refers_to_nothing_outside_itself(text: str) -> None:
    outline = Outline(text)
    assert not {"script", "link", "iframe", "object"} & set(outline.tags)
    inside = ("data:image/png;base64,", "data:image/gif;base64,", "#")
    assert outline.targets and all(target.startswith(inside) for target in outline.targets)
    assert "@import" not in text and not re.search(r"url\((?!#)", text)
    assert outline.tags.count("figure") == outline.tags.count("figcaption") > 5
    assert outline.pictures == outline.tags.count("img") > 0


def test_it_shows_the_runs_own_numbers(finished_run: Path, text: str) -> None:
    metrics = json.loads((finished_run / "metrics.json").read_text())
    cv, judge = metrics["cross_validation"], metrics["judge"]
    for number in (f"{cv['mean']:.5f}", f"± {cv['std']:.5f}", f"{judge['accuracy']:.5f}", f"{judge['errors']} error"):
        assert number in text
    assert "Honest." in text and "LEAKED" not in text
    with np.load(finished_run / "oof.npz") as oof:
        counts = sklearn_metrics.confusion_matrix(oof["labels"], oof["probabilities"].argmax(1))
    table = text[text.index('class="confusion"') : text.index("</table>")]
    shown = [[int(cell or 0) for cell in re.findall(r"<td[^>]*>(\d*)</td>", row)] for row in table.split("<tr>")[2:]]
    assert shown == counts.tolist()
    for line in ("fit.epochs", "torch", "processor"):
        assert f'<th scope="row">{line}' in text or f"{line}</th>" in text


def test_a_leaked_run_says_so_first(finished_run: Path) -> None:
    run = FinishedRun.load(RunFolder(finished_run))
    text = render(replace(run, metrics=replace(run.metrics, honest=False)))
    assert "LEAKED" in text and "Honest." not in text and text.index("LEAKED") < text.index("cross-validation")


def test_without_test_labels_there_is_no_test_score(finished_run: Path) -> None:
    run = FinishedRun.load(RunFolder(finished_run))
    text = render(replace(run, metrics=replace(run.metrics, judge=None, judge_light=None)))
    assert "no test score" in text and f"{run.metrics.cross_validation.mean:.5f}" in text


def test_written_again_it_is_the_same(finished_run: Path, text: str, tmp_path: Path) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "run")
    (copy / "report.html").unlink()
    succeeded(in_process("report", copy, cwd=tmp_path))
    assert (copy / "report.html").read_text("utf-8") == text


@pytest.mark.parametrize("lost", ["metrics.json", "oof.npz", "pictures.npz", "generator/grids"])
def test_what_is_missing_is_named(lost: str, finished_run: Path, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(finished_run, tmp_path / "run"))
    (shutil.rmtree if (run.path / lost).is_dir() else Path.unlink)(run.path / lost)
    with pytest.raises(BadInput, match=lost):
        render(FinishedRun.load(run))


def test_a_run_without_its_log_is_refused(finished_run: Path, tmp_path: Path) -> None:
    run = RunFolder(shutil.copytree(finished_run, tmp_path / "run"))
    (run.path / "metrics.jsonl").write_text("")
    with pytest.raises(BadInput, match="lacks epochs of the run"):
        render(FinishedRun.load(run))


def test_a_file_instead_of_a_run_is_refused(finished_run: Path) -> None:
    with pytest.raises(BadInput, match=r"metrics\.json: .*not a run"):
        FinishedRun.load(RunFolder(finished_run / "metrics.json"))


@pytest.mark.parametrize("command", ["report run", "compare run whole", "export run"])
def test_a_run_of_another_version_is_refused(command: str, finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "whole").symlink_to(finished_run)
    run = RunFolder(shutil.copytree(finished_run, tmp_path / "run"))
    metrics = run.read_json("metrics.json")
    run.write_json("metrics.json", {name: value for name, value in metrics.items() if name != "cross_validation"})
    sentence = refused(*command.split(), cwd=tmp_path)
    assert "run/metrics.json: " in sentence and "cross_validation" in sentence


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1100, 390])
def test_it_opens_from_disk_at_any_width(browser: Any, finished_run: Path, scheme: str, width: int) -> None:
    view = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    requested: list[str] = []
    troubles: list[str] = []
    view.on("request", lambda request: requested.append(request.url))
    view.on("console", lambda message: troubles.append(message.text))
    address = (finished_run / "report.html").as_uri()
    view.goto(address)
    assert view.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    assert view.evaluate("() => [...document.images].every(image => image.complete && image.naturalWidth > 0)")
    ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
    ground = "getComputedStyle(document.body).backgroundColor"
    light = [sum(map(int, re.findall(r"\d+", view.evaluate(f"() => {what}"))[:3])) for what in (ink, ground)]
    assert (light[0] < light[1]) == (scheme == "light")
    assert troubles == [] and all(url.startswith((address, "data:")) for url in requested)
