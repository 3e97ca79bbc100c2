"""What the `kaggle` command and the server say is shown by its end, without credentials, harmless to a terminal."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from kaggle_server import Kaggle, reply

from digit_recognizer import credentials
from digit_recognizer.command import Result
from digit_recognizer.control_characters import without_control_characters
from digit_recognizer.failures import QUOTE_LENGTH, quote, refuses

TWO_LINES = "first-line-0123456789\nsecond-line-abcdefghi"


def test_a_failure_of_the_command_itself_shows_its_cause(kaggle: Kaggle, tmp_path: Path) -> None:
    done = kaggle.call("submissions", cwd=tmp_path, KAGGLE_API_TOKEN=TWO_LINES)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "said: ValueError: Invalid header value b'Bearer [hidden]'" in done.stderr
    assert not any(line in done.stderr for line in TWO_LINES.splitlines())


@pytest.mark.parametrize(
    "secret", [TWO_LINES, 'it\'s-a-"secret"-012345', "gehéim-0123456789ü", "back\\slash-0123456789"]
)
def test_a_credential_is_hidden_in_every_printed_form(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    monkeypatch.setenv("KAGGLE_API_TOKEN", secret)
    printed = [secret, *secret.splitlines(), repr(secret)[1:-1], repr(secret.encode())[2:-1]]
    printed += [repr(f"Bearer {secret}".encode("latin-1")), base64.b64encode(f"someone:{secret}".encode()).decode()]
    for form in printed:
        shown = credentials.redacted(f"before {form} after")
        assert shown.startswith("before ") and shown.endswith(" after") and credentials.REDACTED in shown
        assert "0123456789" not in shown and "abcdefghi" not in shown and form not in shown


def test_an_ordinary_sentence_about_credentials_is_shown() -> None:
    text = "Basic sums: the Bearer token is not valid"
    assert credentials.redacted(text) == text


def test_the_end_is_quoted_of_a_long_output() -> None:
    progress = "  0%|          | 0.00/208k [00:00<?, ?B/s]\n100%|██████████| 208k/208k [00:00<00:00, 42.8MB/s]\n"
    assert quote(Result(1, "", f"\n{progress}oops\n")) == "oops"
    quoted = quote(Result(1, "word " * 1000, "the cause"))
    assert quoted.startswith("… word ") and quoted.endswith(" the cause") and len(quoted) <= QUOTE_LENGTH + 2
    traceback = 'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    g()\n'
    chained = f"{traceback}KeyError: 1\n\nDuring handling of it:\n\n{traceback}ValueError: two\nlines\n"
    assert quote(Result(1, "", chained)) == "ValueError: two lines"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text\x1b]8;;http://x\x1b\\link", "textlink"),
        ("\x9b2Jgone\x9d0;t\x9c", "gone"),
        ("a\x08\x00\x7fb\u202ec\u200bd\u2028e", "abcde"),
        ("one\r\ntwo\rthree\tfour\n", "one\ntwo\nthree\tfour\n"),
        ("\x1b[", ""),
        ("\x1bc\x1b(Breset", "reset"),
        ("äß数字✓", "äß数字✓"),
    ],
)
def test_control_characters_are_removed(text: str, shown: str) -> None:
    assert without_control_characters(text) == shown


EVIL = "\x1b[2J\x1b]0;owned\x07Not \x9b31mtoday\x08\u202e"


def test_no_control_character_of_the_server_reaches_the_terminal(kaggle: Kaggle, tmp_path: Path) -> None:
    kaggle.accept({"submissionDescription": EVIL})
    kaggle.submissions[0] |= {"ref": f"1{EVIL}", "status": EVIL, "date": f"{EVIL}2026-01-01"}
    listed = kaggle.call("submissions", cwd=tmp_path)
    kaggle.faults["ListSubmissions"] = lambda kaggle, request: reply({"code": 400, "message": EVIL}, 400)
    refused = kaggle.call("submissions", cwd=tmp_path)
    assert "Not today" in refused.stderr and refused.stderr.count("\n") == 1
    for text in (listed.stdout, listed.stderr, refused.stdout, refused.stderr):
        assert not set(text) & set("\x1b\x07\x08\x9b\u202e")


@pytest.mark.parametrize(
    ("result", "refused"),
    [
        (Result(0, "5 submissions remaining today.\nNot today", ""), True),
        (Result(0, "5 submissions remaining today.\n", ""), False),
        (Result(0, "a warning\n", ""), False),
        (Result(0, "User cancelled operation\n", ""), False),
        (Result(0, "Submission ref: 7\nThank you", ""), False),
        (Result(1, "", "Could not submit to competition\n"), True),
        (Result(1, "", "403 Client Error: Forbidden for url: http://x/CreateSubmission\n"), True),
        (Result(1, "", "url: /api/v1/competitions.CompetitionApiService/StartSubmissionUpload (reset)\n"), True),
        (Result(1, "", "url: /api/v1/competitions.CompetitionApiService/CreateSubmission (reset)\n"), False),
        (Result(1, "", "daily limit\n\nThis is a problem on Kaggle's side, not with your command.\n"), False),
        (Result(1, "", "Expecting value: line 1 column 1 (char 0)\n"), False),
        (Result(None, "", "401 Unauthorized\n"), False),
    ],
)
def test_only_a_clear_answer_is_a_refusal(result: Result, refused: bool) -> None:
    assert refuses(result) == refused
