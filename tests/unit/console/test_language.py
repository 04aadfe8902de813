"""One language at a time: how it is chosen, and that each page has all of its words in both."""

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import combinations

import pytest

from lemo.analytics.metrics import definitions
from lemo.console.analytics.words import MEASURES, TILES
from lemo.console.experiments.words import MEANINGS
from lemo.console.home.problems import NAMES, WITHOUT
from lemo.console.language import language_of
from lemo.console.models.words import MEASURES_ZH
from lemo.console.sentences import KINDS
from lemo.diagnostics.dependencies import NEEDS
from lemo.domain import errors
from lemo.domain.experiment_metrics import METRICS
from lemo.recommenders.evaluation.metrics import Metrics
from lemo.stores.clickhouse.traffic_metrics import ATTRIBUTED, DIRECT
from servers import ROOT

CHINESE = re.compile("[\u4e00-\u9fff]")
CONSOLE = ROOT / "src/lemo/console"


@pytest.mark.parametrize(
    ("cookie", "accepted", "language"),
    [
        ("", "", "en"),
        ("", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "en-US,en;q=0.9,zh;q=0.8", "en"),
        ("", "fr-FR,fr;q=0.9,zh-TW;q=0.7,en;q=0.5", "zh"),
        ("", "de", "en"),
        ("", "zh;q=nonsense,en;q=0.1", "en"),
        ("en", "zh-CN", "en"),
        ("zh", "en-US", "zh"),
        ("tlh", "zh", "zh"),
    ],
)
def test_the_visitors_choice_counts_then_the_browsers(cookie: str, accepted: str, language: str) -> None:
    assert language_of(cookie, accepted) == language


def _words() -> Iterator[tuple[str, ast.expr, ast.expr]]:
    """Where `t` and `chosen` are called, and their words in both languages."""
    for path in sorted(CONSOLE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("t", "chosen") and len(node.args) >= 2:
                yield f"{path.name}:{node.lineno}", node.args[-2], node.args[-1]


def test_all_words_of_the_pages_stand_in_both_languages_and_in_one_at_a_time() -> None:
    words = list(_words())
    assert len(words) > 200
    mixed = [where for where, english, _ in words if CHINESE.search(ast.unparse(english))]
    assert mixed == []
    # Words that are the same in both, such as CSV, stand alone and not in `t`.
    missing = [
        where
        for where, _, chinese in words
        if not CHINESE.search(ast.unparse(chinese)) and isinstance(chinese, ast.Constant | ast.JoinedStr)
    ]
    assert missing == []


def test_what_the_console_says_of_kinds_and_codes_is_complete() -> None:
    """Errors by kind, the doctor's rows by service and dependency, metrics of experiments by name."""
    kinds = {each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.LemoError)}
    assert set(KINDS) == kinds
    assert all(not issubclass(later, each) for each, later in combinations(KINDS, 2)), "a kind hides one of its kinds"
    assert set(WITHOUT) == {(need.service, need.dependency) for need in NEEDS}
    assert set(NAMES) >= {need.dependency for need in NEEDS}
    assert set(MEANINGS) == set(METRICS)
    assert set(MEASURES_ZH) == {name for name in Metrics.model_fields if name != "ndcg_by_user"}
    for words in [*KINDS.values(), *WITHOUT.values(), *MEANINGS.values()]:
        assert CHINESE.search(words)


def test_every_number_that_analytics_shows_has_a_name_and_a_meaning_in_both_languages() -> None:
    known = definitions(ATTRIBUTED) | definitions(DIRECT)
    assert set(MEASURES) <= set(known)
    assert {name for names in TILES.values() for name in names} <= set(MEASURES)
    assert [name for name, measure in MEASURES.items() if not CHINESE.search(measure.chinese + measure.means)] == []
