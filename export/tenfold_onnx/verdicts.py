"""Why a drawing has no label, in words."""

from __future__ import annotations

from typing import Final

from tenfold_onnx.contract import Verdict

WORDS: Final = {
    Verdict.BLANK: "shows no digit: no stroke stands out from its ground",
    Verdict.CLUTTERED: "shows no digit: it is full of ink or noise",
    Verdict.LIKE_NO_DIGIT: "shows no digit, but something else",
}


def in_words(verdict: int, parts: int) -> str:
    """What a drawing shows instead of a single digit, to follow its name: `verdict` and `parts` are the model's."""
    if verdict == Verdict.SEVERAL:
        return f"shows no single digit: {parts} things stand side by side"
    return WORDS[Verdict(verdict)]
