"""What jobs, models and pipelines store in English has Chinese words: every sentence that their code can say."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lemo.console.stored import PIPELINE_REASONS, STORED
from lemo.domain.run import Progress, Run
from lemo.jobs import report
from lemo.jobs.soundness import Soundness
from lemo.scheduling.execution import _crash_message
from sentences_of_code import texts_of
from servers import ROOT

PACKAGE = ROOT / "src/lemo"
CHINESE = re.compile("[\u4e00-\u9fff]")
FAULTS = [
    Soundness(measured_personal_share=0.9, personal_share=share, measured_items=900, items=3, users=7).fault
    for share in (0.1, 0.9)
]
SAMPLES = {
    "words": "+0.0010 NDCG@10 (p 0.042)",
    "fault": FAULTS[0],
    "error": "Redis does not answer (refused).",
    "engine": "ClickHouse at localhost:8123",
    "self._where": "MongoDB at localhost:27017",
    "self._called": "snapshot store",
    "error.message": "No source 'nearby' is installed.",
    "waited": " in time",
    "NO_ITEMS": report.NO_ITEMS,
    "NO_EVENTS": report.NO_EVENTS,
}
"""What stands in place of the values of these names; all others are 7."""
KEPT = {"why", "refused", "run.error"}
"""Names of what is stored, and said on pages."""
SAYING = {"stage", "at", "report", "note", "idle", "Verdict", "EngineUnavailable"} | {
    # What people who ask are told stands in the same modules: OTHERS.
    *("InvalidInput", "NotFound", "Damaged", "Conflict", "Outdated", "MissingSource"),
}
OTHERS = re.compile(
    "No earlier model|names no archive|LEMO_SNAPSHOTS_URL|is serving|is no version|no version .* is kept", re.IGNORECASE
)
"""What only people who ask for something are told, and no job."""
"""Calls whose text is stored."""


def said(path: Path) -> Iterator[str]:
    """The texts that a module stores."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                name = ast.unparse(target)
                if name in KEPT or name.endswith("['why']"):
                    yield from texts_of(node.value, SAMPLES)
        elif isinstance(node, ast.keyword) and node.arg in KEPT:
            yield from texts_of(node.value, SAMPLES)
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "why":
                    yield from texts_of(value, SAMPLES)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in SAYING:
            for argument in node.args[:2] if ast.unparse(node.func) == "Verdict" else node.args[:1]:
                yield from texts_of(argument, SAMPLES)


PLACES = (
    "jobs",
    "models",
    "recommenders",
    "experiments/guardrails.py",
    "scheduling/execution.py",
    "stores/clickhouse/client.py",
    "stores/documents/mongo.py",
    "stores/documents/sqlite.py",
    "stores/redis",
    "stores/vectors",
    "stores/objects/snapshots.py",
    "streams/kafka/client.py",
    "streams/redis/client.py",
)
"""Where jobs, and the engines that fail under them, say what runs and models keep."""
CASES = sorted(
    {
        text
        for place in PLACES
        for path in ([PACKAGE / place] if place.endswith(".py") else (PACKAGE / place).rglob("*.py"))
        for text in said(path)
        # An error of a library has its own text.
        if re.search("[a-z]{3}", text) and not text.startswith("7: ") and not OTHERS.search(text)
    }
    | set(FAULTS)
)


def test_the_sentences_are_found() -> None:
    assert len(CASES) > 60
    for each in ("the first model", "reading events", report.NO_EVENTS, "failed: Redis does not answer (refused)."):
        assert each in CASES


@pytest.mark.parametrize("text", CASES)
def test_every_sentence_that_is_stored_has_chinese_words(text: str) -> None:
    assert CHINESE.search(STORED.chinese(text))


def test_what_stands_in_a_sentence_is_translated_too_and_what_nobody_knows_stays() -> None:
    run = Run(run_id="r", entry="train-model-daily", scenario_id="shop", trigger="manual", deaths=3, worker="host-1")
    run.progress = Progress(stage="reading events")
    crash = STORED.chinese(_crash_message(run))
    assert "阶段：读取行为" in crash
    assert "`lemo jobs run train-model-daily --scenario shop`" in crash
    run.progress = Progress()
    assert CHINESE.search(STORED.chinese(_crash_message(run)))
    assert STORED.chinese(f"refused: {FAULTS[1]}") == "拒绝上线：结果中只有 3 个不同的物品，评估时为 900 个"
    assert STORED.chinese("postponed: Milvus at localhost:19530 did not answer.") == (
        "推迟：Milvus (localhost:19530) 没有响应。"
    )
    assert STORED.chinese("fewer of one studio") == "fewer of one studio"


@pytest.mark.parametrize(
    ("why", "chinese"),
    [
        ("on trial: arm bold of experiment bolder", "试验：实验 bolder 的 bold 组"),
        ("experiment bolder, arm bold", "实验 bolder 的 bold 组"),
        ("back to version 3", "回滚到版本 3"),
    ],
)
def test_why_a_pipeline_serves(why: str, chinese: str) -> None:
    assert PIPELINE_REASONS.chinese(why) == chinese


def test_what_a_person_wrote_of_a_pipeline_stays() -> None:
    for why in ("sessions", "the first model", "experiment with fewer"):
        assert PIPELINE_REASONS.chinese(why) == why
