"""What the doctor finds, and what it advises, has Chinese words on the first page."""

import ast
import re
from collections.abc import Iterator

import pytest

from lemo.console.home.causes import CAUSES, HINTS
from sentences_of_code import texts_of
from servers import ROOT

CHINESE = re.compile("[\u4e00-\u9fff]")
SAMPLES = {"why": "it is self-signed", "said": "1.2 GB free", "cli": "redis-cli", "self.tls_scheme": "rediss"}
OTHERS = re.compile("embedding|identity|flink|job_probes")
"""Modules whose findings no page shows as trouble, or whose words are those of an error."""
COMMAND = re.compile(r"(lemo|pip|chown|redis-cli|rm|7)\b")


def findings() -> Iterator[tuple[str, str]]:
    """Details and hints of findings that are not fine, each with which of the two it is."""
    for path in sorted((ROOT / "src/lemo/diagnostics").glob("*.py")):
        if OTHERS.search(path.name):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            if ast.unparse(node.func) == "self.missing":
                parts = dict(zip(("detail", "hint"), node.args, strict=True))
            elif ast.unparse(node.func) == "Finding":
                parts = {each.arg or "": each.value for each in node.keywords}
                state = set(texts_of(parts["state"], {})) if "state" in parts else {"ok"}
                if not state & {"missing", "warning"}:
                    continue
            else:
                continue
            for name in ("detail", "hint"):
                for text in texts_of(parts[name], SAMPLES) if name in parts else ():
                    if re.search("[a-z]{3}", text):
                        yield name, text


FOUND = sorted(set(findings()))


def test_they_are_found() -> None:
    assert len([text for name, text in FOUND if name == "detail"]) > 30
    assert len([text for name, text in FOUND if name == "hint"]) > 20


@pytest.mark.parametrize(("name", "text"), FOUND)
def test_every_finding_and_hint_has_chinese_words(name: str, text: str) -> None:
    words = (CAUSES if name == "detail" else HINTS).chinese(text)
    assert CHINESE.search(words) or (name == "hint" and COMMAND.match(text))
