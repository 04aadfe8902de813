"""Reasons and verdicts have words in both languages."""

import ast
import inspect
import re

import pytest

from lemo.console import reasons
from lemo.console.reasons import VERDICT_PHRASES
from lemo.serving import assembly
from lemo.serving.pipeline import explain, plan

CHINESE = re.compile(r"[\u4e00-\u9fff]")


def test_every_reason_has_chinese_words() -> None:
    assert set(assembly._WORDS.values()) == set(reasons._REASONS)
    assert set(explain._MEANING) == set(reasons._STAGES)
    assert {stage: english for stage, (english, _) in reasons._STAGES.items()} == explain._MEANING


def sentences(function: object) -> list[str]:
    """What a function may return in words, with 7 for each number and `brand` for each name."""
    found = []
    for node in ast.walk(ast.parse(inspect.getsource(function).lstrip())):  # type: ignore[arg-type]
        if isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr):
            parts = [each.value if isinstance(each, ast.Constant) else "7" for each in node.value.values]
            found.append("".join(map(str, parts)))
    return found


VERDICTS = [
    *(f"It is answered at place 7{rest}" for rest in (".", *explain._ANSWERED.values())),
    *(
        each
        for each in sentences(explain._verdict)
        if each.startswith("It is not answered: ") and "answered: 7" not in each
    ),
    *(
        f"It is not answered: {why}."
        for why in (
            "it may not be shown: switched off, deleted, not published yet, expired or not in the catalogue",
            "the request excludes it",
            "the user has seen or disliked it",
            "the user has not had it, and only what the user has had is wanted",
            "it does not match the request filter",
            "it does not match the pipeline filter",
            "at most 7 items of one brand are answered",
        )
    ),
]


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_chinese_words(verdict: str) -> None:
    assert CHINESE.search(VERDICT_PHRASES.chinese(verdict)), verdict


def test_the_verdicts_are_those_that_serving_says() -> None:
    source = inspect.getsource(plan.Exclusions.why)
    for words in ("the request excludes it", "the user has seen or disliked it", "it may not be shown: switched off"):
        assert words in source
    assert VERDICT_PHRASES.chinese("something else") == "something else"
