"""The report tells a run's own numbers, asks nothing of anybody, and can be read by anybody, at any width."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import HANG_S, declare_again, in_process, refused, succeeded
from sklearn import metrics as sklearn_metrics

from tenfold.errors import BadInput
from tenfold.evaluation import diagnostics
from tenfold.evaluation.cross_validation import fit_temperature, tempered
from tenfold.report import provenance
from tenfold.report.page import HARDEST, FinishedRun, Pictures, render
from tenfold.storage.epoch_log import ClassifierEpoch
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


def test_expected_errors_are_what_the_probabilities_say() -> None:
    probs = answers(LABELS, np.full(600, 0.9), RNG.random(600) < 0.5)
    assert diagnostics.expected_errors(probs) == pytest.approx(60)
    assert diagnostics.expected_errors(np.eye(10, dtype=np.float32)) == 0


LINKING = ("src", "srcset", "href", "action")


class Outline(HTMLParser):
    """The elements and what they refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[str] = []
        self.pictures = 0
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.pictures += tag == "img" and bool(dict(attrs).get("alt"))
        self.targets += [value or "" for name, value in attrs if name.split(":")[-1] in LINKING]


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


def test_the_navigation_leads_to_every_section(text: str) -> None:
    outline = Outline(text)
    assert len(outline.ids) == len(set(outline.ids))
    navigation = text[text.index("<nav") : text.index("</nav>")]
    targets = re.findall(r'href="#([^"]+)"', navigation)
    assert targets == re.findall(r'<section id="([^"]+)"', text) and len(targets) > 8
    titles = re.findall(r'href="#[^"]+">([^<]+)<', navigation)
    assert titles == re.findall(r"<h2[^>]*>([^<]+)<", text)


def test_date_preset_and_next_steps_come_first(finished_run: Path, text: str) -> None:
    ended = max(epoch.ended for epoch in RunFolder(finished_run).epoch_log.read())
    day = datetime.fromtimestamp(ended, UTC)
    top = text[text.index("<body>") : text.index("<h2")]
    assert f"{day.day} {day:%B %Y, %H:%M}" in top or f"{day:%H:%M} UTC" in top
    assert f'datetime="{day:%Y-%m-%dT%H:%M:%S}+00:00"' in top and "preset smoke; seed 0" in top
    order = [text.index(f'id="{name}"') for name in ("scores", "next", "learning")]
    assert order == sorted(order)


def test_settings_far_from_every_preset_are_custom(finished_run: Path) -> None:
    words = [provenance.preset_in_words("fast", ["x"] * n) for n in (5, 12)]
    assert words == ["preset fast with 5 changes", "custom: 12 settings differ from the nearest preset, fast"]
    run = FinishedRun.load(RunFolder(finished_run))
    own = replace(run.settings, folds=4, nets=3, fit=replace(run.settings.fit, epochs=9, lr=0.001))
    text = render(replace(run, settings=own))
    assert "preset smoke with 4 changes (" in text and "fit.lr is 0.001 instead of 0.008" in text


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
    assert "LEAKED" in text and "Honest." not in text and text.index("LEAKED.") < text.index("<nav")
    assert re.search(r"<title>LEAKED: ", text) and "tenfold submit" not in text


def test_without_test_labels_there_is_no_test_score(finished_run: Path) -> None:
    run = FinishedRun.load(RunFolder(finished_run))
    text = render(replace(run, metrics=replace(run.metrics, judge=None, judge_light=None)))
    assert "no test score" in text and f"{run.metrics.cross_validation.mean:.5f}" in text


def test_written_again_it_is_the_same(finished_run: Path, text: str, tmp_path: Path) -> None:
    copy = shutil.copytree(finished_run, tmp_path / "run")
    (copy / "report.html").unlink()
    succeeded(in_process("report", "run", cwd=tmp_path))
    assert (copy / "report.html").read_text("utf-8") == text


def without_an_error(run: FinishedRun) -> FinishedRun:
    """The run as if every prediction had been right."""
    oof, pictures = run.oof, run.pictures
    labels = oof.probabilities.argmax(1)
    temperature = fit_temperature(oof.probabilities, labels)
    oof = replace(oof, probabilities=tempered(oof.probabilities, temperature), labels=labels)
    hardest = diagnostics.hardest(oof.probabilities, labels, exclude=np.array([], int))[:HARDEST]
    rows = np.unique(np.concatenate([hardest, pictures.first]))
    images = np.full((len(rows), 28, 28), 128, np.uint8)
    epochs = [replace(one, validation_accuracy=1.0) if isinstance(one, ClassifierEpoch) else one for one in run.epochs]
    metrics = replace(run.metrics, cross_validation=oof.cross_validation(), temperature=temperature)
    return replace(run, oof=oof, pictures=Pictures(rows, images, pictures.first), epochs=epochs, metrics=metrics)


def sections(text: str) -> dict[str, str]:
    """The sections' own HTML by id."""
    return {id: body for id, body in re.findall(r'<section id="(\w+)"(.*?)</section>', text, re.DOTALL)}


def test_without_an_error_it_says_so_in_words(finished_run: Path, text: str) -> None:
    assert all('class="empty"' not in sections(text)[name] for name in ("learning", "errors", "calibration", "hardest"))
    perfect = sections(render(without_an_error(FinishedRun.load(RunFolder(finished_run)))))
    assert all('class="empty"' in perfect[name] for name in ("learning", "errors", "calibration", "hardest", "labels"))
    assert all(not re.search("<svg|<table|<img", perfect[name]) for name in ("errors", "calibration", "labels"))
    rows = FinishedRun.load(RunFolder(finished_run)).metrics.cross_validation.rows
    assert f"{rows:,} of {rows:,} right" in perfect["calibration"]
    assert f"{(rows + 1) / (rows + 2):.5f}" in perfect["calibration"]
    assert perfect["hardest"].count('class="card"') == HARDEST


def test_without_a_likely_label_error_it_says_so(finished_run: Path) -> None:
    run = FinishedRun.load(RunFolder(finished_run))
    oof = run.oof
    probs = answers(oof.labels, np.full(len(oof.labels), 0.9), np.arange(len(oof.labels)) > 0)
    probs[0] = 0.1
    probs[0, (oof.labels[0] + 1) % 10] = 0.11  # one error, an unsure one
    rows = np.arange(len(oof.labels))
    oof = replace(oof, probabilities=probs)
    pictures = Pictures(rows, np.zeros((len(rows), 28, 28), np.uint8), run.pictures.first)
    metrics = replace(run.metrics, cross_validation=oof.cross_validation())
    assert metrics.cross_validation.errors == 1
    page = sections(render(replace(run, oof=oof, pictures=pictures, metrics=metrics)))
    assert "No label looks wrong" in page["labels"] and "<img" not in page["labels"]
    assert 'class="confusion"' in page["errors"] and "They made 1." in page["calibration"]


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
    with pytest.raises(BadInput, match=r"metrics\.json: must be a folder, is a file"):
        FinishedRun.load(RunFolder(finished_run / "metrics.json"))


@pytest.mark.parametrize("command", ["report run", "compare run whole", "export run"])
def test_a_run_of_another_version_is_refused(command: str, finished_run: Path, tmp_path: Path) -> None:
    (tmp_path / "whole").symlink_to(finished_run)
    run = RunFolder(shutil.copytree(finished_run, tmp_path / "run"))
    metrics = run.read_json("metrics.json")
    run.write_json("metrics.json", {name: value for name, value in metrics.items() if name != "cross_validation"})
    declare_again(run.path)
    sentence = refused(*command.split(), cwd=tmp_path)
    assert "run/metrics.json: " in sentence and "cross_validation" in sentence


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_opens_from_disk_for_anybody(
    browser: Any, finished_run: Path, tmp_path: Path, scheme: str, width: int
) -> None:
    run = FinishedRun.load(RunFolder(finished_run))
    (tmp_path / "perfect.html").write_text(render(without_an_error(run)), "utf-8")
    (tmp_path / "leaked.html").write_text(render(replace(run, metrics=replace(run.metrics, honest=False))), "utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for path in (finished_run / "report.html", tmp_path / "perfect.html", tmp_path / "leaked.html"):
        view = context.new_page()
        view.set_default_timeout(1000 * HANG_S)
        requested: list[str] = []
        troubles: list[str] = []
        view.on("request", lambda request, requested=requested: requested.append(request.url))
        view.on("console", lambda message, troubles=troubles: troubles.append(message.text))
        view.goto(path.as_uri())
        assert view.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
        assert view.evaluate("() => [...document.images].every(image => image.complete && image.naturalWidth > 0)")
        ink = "getComputedStyle(document.querySelector('figure svg text')).fill"
        ground = "getComputedStyle(document.body).backgroundColor"
        light = [sum(map(int, re.findall(r"\d+", view.evaluate(f"() => {what}"))[:3])) for what in (ink, ground)]
        assert (light[0] < light[1]) == (scheme == "light")
        view.evaluate("() => document.querySelectorAll('details').forEach(part => part.open = true)")
        found = Axe().run(view)
        assert found.violations_count == 0, found.generate_report()
        assert troubles == [] and all(url.startswith((path.as_uri(), "data:")) for url in requested)
        view.close()
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_navigation_needs_no_script_and_stays_in_sight(browser: Any, finished_run: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 700}, java_script_enabled=False)
    view = context.new_page()
    view.set_default_timeout(1000 * HANG_S)
    view.goto((finished_run / "report.html").as_uri())
    view.keyboard.press("Tab")
    links = view.locator("nav a")
    for _ in range(links.count()):
        if view.locator("nav a:focus").inner_text() == "Calibration":
            break
        view.keyboard.press("Tab")
    view.keyboard.press("Enter")
    view.wait_for_url("**#calibration")
    title, bar = view.locator("#calibration h2").bounding_box(), view.locator("nav").bounding_box()
    covered = bar["y"] + bar["height"] if width < 1000 else 0
    assert covered <= title["y"] < 700 and 0 <= bar["y"] < 100  # the section in sight, and the bar above or beside it
    view.emulate_media(media="print")
    assert view.locator("nav").is_hidden()
    assert view.locator("details td").first.is_visible()
    context.close()
