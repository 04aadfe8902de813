"""What the pages that manage an installation show: a month of models and runs, dead letters, a pipeline, keys."""

import json
import random
from datetime import UTC, datetime, timedelta

from consoles import SHOP
from lemo.domain.api_key import KeyWishes
from lemo.domain.event import Event
from lemo.domain.pipeline import pipeline_of
from lemo.domain.run import Progress
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.experiments import service
from lemo.settings import Settings
from lemo.stores.clickhouse.served import ServedRow
from lemo.stores.connect import Stores
from lemo.stores.documents.models import KIND, ModelRecord
from lemo.streams import Message, Record
from lemo.streams.dead_letters import dead_letter, publish_dead_letters
from lemo.streams.messages import BadMessage

MODELS = [f"202610{day:02}T030000000-{day:06x}" for day in range(1, 29, 3)]
"""Versions of models, oldest first."""
CLICKED = 0.25
"""Share of the control's answers that are clicked; the experiment's other arm has twice as many."""


def manage(stores: Stores, settings: Settings, tenant_id: str) -> None:
    """Adds all of it to a filled installation (consoles.fill)."""
    scope = Scope(tenant_id, SHOP)
    stores.scenarios.create(tenant_id, scenario_from_template("news", "news"))
    _models(stores, scope)
    _runs(stores, tenant_id)
    pipeline = pipeline_of({"diversity": {"strength": 0.3}, "cap": [{"by": "author", "most": 4}]})
    stores.pipelines.put(scope, pipeline, f"{tenant_id}, command line (me@here)", "fewer of one studio")
    stores.api_keys.create(tenant_id, KeyWishes(role="read", name="web shop", scenarios=[SHOP]), f"{tenant_id}, test")
    _messages(stores, settings, tenant_id)
    _experiment(stores, scope)


def _models(stores: Stores, scope: Scope) -> None:
    served = stores.snapshots.current(scope, KIND)
    assert served is not None
    opened = stores.snapshots.open(scope, KIND, served)
    for number, version in enumerate(MODELS):
        good = 0.1 + 0.004 * number - 0.006 * (number % 3 == 2)
        metrics = {
            "model": {
                "ndcg_at_10": good,
                "recall_at_10": 1.6 * good,
                "coverage": 0.6,
                "users": 400 + number,
                "intervals": {"ndcg_at_10": [good - 0.011, good + 0.012]},
                "segments": {"heavy_users": {"ndcg_at_10": 2 * good, "users": 41}},
            },
            "popularity": {"ndcg_at_10": 0.052},
        }
        if number > 3:
            stores.snapshots.publish(scope, KIND, version, dict(opened.arrays), opened.manifest)
        created = datetime(2026, 10, 1, 3, tzinfo=UTC) + timedelta(days=3 * number)
        stores.models.record(
            scope,
            ModelRecord(
                version=version,
                kind="blend",
                created_at=created,
                config={"shares": [0.7 + number / 100, 0.3 - number / 100], "depth": 20 if number % 2 else 40},
                metrics=metrics,
                promoted=number % 3 == 0,
                why="better than the champion: +0.0040 NDCG@10 (p 0.003)"
                if number % 3 == 0
                else "not better than the champion beyond noise: -0.0010 NDCG@10 (p 0.42)",
                events=10_000 + 400 * number,
                first_event_at=created - timedelta(days=60),
                last_event_at=created,
                seconds=40.0 + number,
                code_version="0.1.0",
            ),
        )


def _runs(stores: Stores, tenant_id: str) -> None:
    now = datetime.now(UTC)
    for day in range(9, 0, -1):
        run = stores.runs.create(tenant_id, "train-model-daily", SHOP, "schedule")
        run.queued_at = now - timedelta(days=day)
        run.started_at = run.queued_at + timedelta(seconds=1)
        run.finished_at, run.outcome = run.started_at + timedelta(seconds=40 + 3 * (9 - day)), "ok"
        run.rows_read, run.rows_written = 10_000, 400
        run.log = []
        for text in (
            "attempt 1 on worker-1",
            "reading events",
            "choosing",
            "measuring",
            "done: 10,000 rows read, 400 written",
        ):
            run.note(text)
        stores.runs.save(tenant_id, run)
    for _ in range(4):
        arrived = stores.runs.create(tenant_id, "embed-items", SHOP, "arrival")
        arrived.started_at, arrived.finished_at = now, now + timedelta(seconds=2)
        arrived.outcome, arrived.rows_written = "ok", 10
        stores.runs.save(tenant_id, arrived)
    working = stores.runs.create(tenant_id, "compute-item-similarity-hourly", SHOP, "schedule")
    working.started_at, working.outcome = now, "running"
    working.note("attempt 1 on worker-1")
    working.note("comparing items")
    working.progress = Progress(stage="comparing items", done=30, total=40)
    stores.runs.save(tenant_id, working)


def _experiment(stores: Stores, scope: Scope) -> None:
    """An experiment that has run for six days: of the control's answers `CLICKED`, of the other's twice as many."""
    arms = [{"name": "control"}, {"name": "bold", "pipeline": {"diversity": {"strength": 0.6}}}]
    content = {
        "name": "bolder",
        "why": "Does more variety get more clicks?",
        "arms": arms,
        "salt": "the same each time",
    }
    draft = service.draft(content)
    by = f"{scope.tenant_id}, test"
    service.create(stores, scope, draft, by, lambda _: None)
    experiment = service.start(stores, scope, "bolder", by)
    now = datetime.now(UTC)
    started = experiment.model_copy(update={"started_at": now - timedelta(days=6), "tightest_at": 600})
    stores.experiments.put(scope, started, "edit", by, stores.experiments.number(scope))
    chance = random.Random(7)
    rows, events = [], []
    for number in range(600):
        user_id, request_id = f"visitor {number}", f"bolder-{number}"
        at = now - timedelta(days=5.9 * (1 - number / 600))
        arm = started.assign(user_id).arm or ""
        rows.append(
            ServedRow(
                tenant_id=scope.tenant_id,
                scenario_id=scope.scenario_id,
                at=milliseconds(at),
                request_id=request_id,
                kind="recommendations",
                user_id=user_id,
                session=[],
                of_items=[],
                placement="home",
                item_ids=["kitchen/1"],
                sources=["similar"],
                explored=[False],
                propensities=[None],
                model_version="20261101T120000",
                pipeline_version=1,
                experiment="bolder",
                arm=arm,
                degraded=False,
                took_us=2_000,
                share=1.0,
            )
        )
        if chance.random() < (CLICKED if arm == "control" else 2 * CLICKED):
            click = {"user_id": user_id, "item_id": "kitchen/1", "action": "click", "request_id": request_id}
            events.append((scope, Event.model_validate({**click, "timestamp": at + timedelta(seconds=9)})))
    stores.served.insert(rows)
    stores.events.insert(events)


def _messages(stores: Stores, settings: Settings, tenant_id: str) -> None:
    """Event messages in the log, one of which is faulty, and two dead letters."""
    topic = settings.kafka_event_topic
    publisher = stores.log.publisher()
    event = {"tenant_id": tenant_id, "scenario_id": SHOP, "user_id": "用户 1", "item_id": "kitchen/1", "action": "view"}
    bodies = [{**event, "timestamp": 1_790_000_000_000 + 1000 * number} for number in range(3)]
    bodies.append({**event, "timestamp": "yesterday"})
    publisher.publish(topic, [Message(json.dumps(body).encode(), b"key") for body in bodies])
    letters = []
    for number, (fault, reason) in enumerate(
        [
            ("unknown-action", "action: scenario 'shop' knows no action 'teleport'; it knows view, order."),
            ("not-json", "The message is not JSON: unexpected end of data."),
        ]
    ):
        record = Record(topic, 0, f"{number}-0", 0, json.dumps({**event, "action": "teleport"}).encode(), b"key", {})
        error = BadMessage(reason, Scope(tenant_id, SHOP), fault)  # type: ignore[arg-type]
        letters.append(dead_letter(record, error, tenant_id=tenant_id, scenario_id=SHOP))
    publish_dead_letters(publisher, settings.kafka_dead_letter_topic, letters)
    publisher.close()
