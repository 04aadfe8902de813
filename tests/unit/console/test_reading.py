"""What pages of the console make of what they read."""

import json
import shlex
from datetime import UTC, datetime, timedelta

from lemo.console.experiments.course import moments
from lemo.console.ingest.tail import curl_of
from lemo.console.jobs.reading import grouped
from lemo.console.models.comparison import measures, parameters
from lemo.domain.run import Outcome, Run, Trigger
from lemo.models.registry import RegisteredModel
from lemo.settings import Settings
from lemo.streams.tail import TailedEvent


def run(entry: str, trigger: Trigger, outcome: Outcome = "ok", scenario_id: str = "shop", rows: int = 1) -> Run:
    return Run(run_id="r", entry=entry, scenario_id=scenario_id, trigger=trigger, outcome=outcome, rows_written=rows)


def test_neighbours_that_items_started_are_one_row() -> None:
    runs = [
        run("embed-items", "arrival", rows=2),
        run("embed-items", "arrival", rows=3),
        run("embed-items", "arrival", "failed"),
        run("embed-items", "arrival", scenario_id="news"),
        run("train-model-daily", "schedule"),
        run("train-model-daily", "schedule"),
        run("embed-items", "arrival"),
    ]
    found = list(grouped(runs))
    assert [(group.count, group.rows_written) for group in found] == [(2, 5), (1, 1), (1, 1), (1, 1), (1, 1), (1, 1)]
    assert sum(group.count for group in found) == len(runs)


def model(version: str, **fields: object) -> RegisteredModel:
    return RegisteredModel.model_validate({"version": version, "kind": "blend", **fields})


def test_models_are_apart_where_their_intervals_are() -> None:
    def measured(ndcg: float) -> dict[str, object]:
        return {"model": {"ndcg_at_10": ndcg, "users": 10, "intervals": {"ndcg_at_10": [ndcg - 0.1, ndcg + 0.1]}}}

    one = model("1", metrics=measured(0.3), config={"sources": [{"depth": 1}], "same": True})
    near, far = (
        model("2", metrics=measured(value), config={"sources": [{"depth": 2}], "same": True}) for value in (0.4, 0.6)
    )
    assert [line.apart for line in measures(one, near)] == [False, False]
    assert [(line.name, line.apart) for line in measures(one, far)] == [("ndcg_at_10", True), ("users", False)]
    assert [(line.name, line.one, line.other) for line in parameters(one, far)] == [("sources[0].depth", 1, 2)]


def test_an_event_is_copied_as_a_request_whatever_it_holds() -> None:
    event = {"user_id": 'it\'s "me"; $(rm)', "item_id": "电影/1", "action": "view"}
    text = curl_of(TailedEvent("t:0:1", 0, "shop", event), Settings(api_host="0.0.0.0", api_port=8001))
    words = shlex.split(text)
    assert json.loads(words[-1]) == {"events": [event]}
    assert "http://127.0.0.1:8001/v1/scenarios/shop/events" in words


def test_looks_at_an_experiment_are_few_in_order_and_end_now() -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    for hours in (1, 24, 25, 240, 2400, 10_000):
        found = moments(start, start + timedelta(hours=hours))
        assert found == sorted(set(found))
        assert len(found) <= 10
        assert start < found[0]
        assert found[-1] == start + timedelta(hours=hours)
