"""The notebook in docs evaluates and plots an export: executed on files as `lemo export` writes them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pyarrow as pa
import pytest

from lemo.files.exported import EVENT_SCHEMA
from lemo.files.writing import write_rows
from lemo.serving.derived_export import RECOMMENDATIONS
from servers import ROOT

NOTEBOOK = ROOT / "docs" / "examples" / "evaluate-an-export.ipynb"
SINCE = datetime(2026, 11, 1, tzinfo=UTC)


def written(folder: Path) -> None:
    """Six users, of whom each likes two items of an own afterwards: Lemo's lists begin with them."""

    def event(user: int, item: str, moment: datetime) -> dict[str, Any]:
        row = {"event_id": f"{user} {item} {moment:%d}", "user_id": f"u{user}", "item_id": item, "action": "like"}
        return row | {"timestamp": moment.isoformat(timespec="milliseconds")}

    ours = {user: [f"own {user} a", f"own {user} b"] for user in range(6)}
    popular = [f"p{rank}" for rank in range(10)]
    events = [event(user, item, SINCE - timedelta(days=9)) for user in ours for item in popular[: 10 - user]]
    events += [event(user, item, SINCE + timedelta(days=1)) for user, items in ours.items() for item in items]
    events += [event(0, "p9", SINCE + timedelta(days=1))]
    lists = [
        {"user_id": f"u{user}", "rank": rank, "item_id": item, "score": 1.0 / rank, "reason": "", "model_version": "1"}
        for user, items in ours.items()
        for rank, item in enumerate([*items, *popular[:8]], start=1)
    ]
    assert isinstance(EVENT_SCHEMA, pa.Schema)
    write_rows(folder / "events.parquet", EVENT_SCHEMA, events)
    write_rows(folder / "lists.parquet", RECOMMENDATIONS, lists)


def test_the_notebook_evaluates_an_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mpl.use("Agg")
    written(tmp_path)
    monkeypatch.setenv("EXPORTS", str(tmp_path))
    monkeypatch.setenv("SINCE", f"{SINCE:%Y-%m-%d}")
    notebook = json.loads(NOTEBOOK.read_text())
    names: dict[str, Any] = {}
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [], "a notebook is kept without outputs"
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)  # noqa: S102 - our own file
    assert "6 users have a list, 6 did something afterwards." in capsys.readouterr().out
    lemo, popular = names["table"].rows(named=True)
    assert lemo["precision"] == pytest.approx(0.2)
    # Of the first user three items were wanted, of which two are on the list, at the top of it.
    assert lemo["recall"] == pytest.approx((2 / 3 + 5) / 6)
    assert 0.95 < lemo["ndcg"] < 1
    assert popular["recall"] == pytest.approx((1 / 3) / 6)
    assert names["low"] > 0
    assert len(names["figure"].axes) == 3
    assert names["at_ranks"]["hits"].to_list()[:2] == [1.0, 1.0]
