"""What the reader of files says, and why rows and messages are refused, has Chinese words."""

import ast
import re
from collections.abc import Iterator

import pytest

from lemo.console.imports.notes import DIALECTS, FILES, dialect_words
from lemo.console.refusals import FIELDS, chinese_reason
from sentences_of_code import texts_of
from servers import ROOT

CHINESE = re.compile("[\u4e00-\u9fff]")
READERS = (
    *(f"files/{name}.py" for name in ("containers", "converters", "dialect", "excel", "form", "json_rows", "layouts")),
    *(f"files/{name}.py" for name in ("parquet", "planning", "proposal", "rejects", "rows")),
    "intake/file_import.py",
    "console/imports/uploads.py",
    "console/imports/receiving.py",
)
ROWS = (
    *(f"files/{name}.py" for name in ("json_rows", "nested", "parquet", "reading", "rows")),
    "domain/time.py",
    "ingest/batch.py",
    "ingest/scenario_cache.py",
    "intake/publishing.py",
    "streams/messages.py",
)
SAMPLES = {
    "FORMS_TEXT": "Files are CSV and others.",
    "NUL": "holds a NUL byte; remove it",
    "fault": "the line is longer than 7 bytes",
    "_UNREADABLE": "is neither ISO 8601 nor Unix seconds or milliseconds",
    "OTHER_CONTENTS": "is that of an earlier event with other contents; an event_id names one event",
    "constant": "NaN",
    "'the day' if order == 'dmy' else 'the month'": "the day",
    "did_you_mean(action, actions)": "Did you mean view? ",
    "foreign": "a PNG picture",
}
ERRORS = {"InvalidInput", "NotFound", "TooLarge", "WrongCredential"}
OTHERS = re.compile("^action: ")
"""Faults of rows."""


def said(places: tuple[str, ...], calls: set[str]) -> Iterator[str]:
    """Texts that stand first, or second, in calls of these names."""
    for place in places:
        for node in ast.walk(ast.parse((ROOT / "src/lemo" / place).read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".notes.")[2] in calls:
                notes = [each.value for each in node.keywords if each.arg == "note"]
                # The name of a layout is that of a data set.
                values = notes if ast.unparse(node.func) == "Layout" else [*node.args[:2], *notes]
                for value in values:
                    yield from texts_of(value, SAMPLES)


OF_FILES = sorted(
    text
    for text in set(said(READERS, ERRORS | {"append", "Layout"}))
    if " " in text and re.search("[a-z]{3}", text) and not OTHERS.search(text)
)
OF_ROWS = sorted(
    text
    for text in set(said(ROWS, {"Unreadable", "BadMessage", "PydanticCustomError", "ValueError"}))
    if " " in text and re.search("[a-z]{3}", text) and not OTHERS.search(text)
)


def test_they_are_found() -> None:
    assert len(OF_FILES) > 40
    assert len(OF_ROWS) > 15


@pytest.mark.parametrize("text", OF_FILES)
def test_what_is_said_of_a_file_has_chinese_words(text: str) -> None:
    assert CHINESE.search(FILES.chinese(text))


@pytest.mark.parametrize("text", OF_ROWS)
def test_why_a_row_or_message_is_refused_has_chinese_words(text: str) -> None:
    assert CHINESE.search(FIELDS.chinese(text)) or CHINESE.search(FIELDS.chinese(f"timestamp: {text} (got 'x')"))


def test_faults_of_a_row_are_translated_one_by_one() -> None:
    reason = "user_id: is missing; value: input should be a valid number, unable to parse (got 'x; y'); and 2 more"
    assert chinese_reason(reason) == "user_id：缺失；value：应为数字；另有 2 处"
    assert chinese_reason("action: 'fly' is not an action of this scenario; it knows view, order") == (
        "action：场景没有行为 'fly'；已有：view, order"
    )
    assert dialect_words("CSV: commas, a header, utf-8") == "CSV：逗号分隔，有表头，utf-8"
    assert dialect_words("Parquet") == "Parquet"
    assert all(map(CHINESE.search, DIALECTS.values()))
