"""The audit log: who changed what, for administrators."""

import json

from nicegui import run, ui

from lemo.console.access import Access, framed
from lemo.console.formats import ago, stamp, who
from lemo.console.language import t
from lemo.console.phrases import Phrases
from lemo.console.queries import Queries, attempt
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import heading, nothing, trouble
from lemo.console.visitor import Visitor
from lemo.domain.audit import AuditLine
from lemo.domain.errors import LemoError
from lemo.stores.audit_log import audit_lines

SHOWN = 200


async def audit_page(queries: Queries, access: Access) -> None:
    """Draws the newest lines for an administrator; others are told what it takes."""
    opened = await access.opened("/audit")
    if opened is None:
        return
    visitor, _ = opened
    lines = await run.io_bound(attempt, lambda: _lines(queries, access, visitor))
    with framed("/audit", visitor):
        if isinstance(lines, LemoError):
            trouble(lines)
        elif lines is not None:
            with ui.element("section").classes("lemo-card w-full"):
                heading(t("Audit", "审计"))
                _table(lines)


def _lines(queries: Queries, access: Access, visitor: Visitor) -> list[AuditLine]:
    access.require(visitor, "admin")
    return audit_lines(queries.stores, visitor.tenant_id, SHOWN)


_SUBJECTS = Phrases([(r"version (\d+)", "版本 {0}"), (r"receipt (\S+)", "回执 {0}"), ("all scenarios", "全部场景")])


def subject_words(subject: str) -> str:
    """What was changed, where it has no name of its own."""
    return t(subject, _SUBJECTS.chinese(subject))


def _table(lines: list[AuditLine]) -> None:
    if not lines:
        nothing(t("Nobody has changed anything yet.", "尚无变更。"))
        return
    names = (
        t("When", "时间"),
        t("Who", "操作者"),
        t("What", "操作"),
        t("Of", "对象"),
        t("Scenario", "场景"),
        t("Detail", "详情"),
    )
    with table(names, numbers=()):
        for line in lines:
            with tr().mark("line"):
                cell(ago(line.at), stamp(line.at))
                with td():
                    ui.label(who(line.by)).classes("break-words")
                cell(line.action)
                with td():
                    ui.label(subject_words(line.subject)).classes("break-all")
                cell(line.scenario_id or "–")
                with td():
                    detail = json.dumps(line.detail, ensure_ascii=False) if line.detail else ""
                    ui.label(detail[:300]).props("lang=en").classes("text-xs lemo-muted break-all")
