"""The experiment of `lemo demo` in any stores: its lists, clicks and orders, without its log and its jobs."""

from datetime import UTC, datetime

import msgspec

from lemo.cli.demo.answers import answers_of, make_experiment, start_experiment
from lemo.domain.dataset import Dataset
from lemo.domain.scope import Scope
from lemo.domain.time import milliseconds
from lemo.simulator.trial import NEWER_OR_VARIED
from lemo.simulator.world import World
from lemo.stores.clickhouse.served import ServedRow
from lemo.stores.connect import Stores
from lemo.streams.served_messages import SentAnswer, ServedAnswer
from sites import begin_catalogue

TRIAL = NEWER_OR_VARIED
TRUE_LIFTS = {arm.draft.name: arm.clicks - 1 for arm in TRIAL.arms[1:]}
"""Of clicks per impression, by arm."""


def dataset_with_experiment() -> Dataset:
    """The scenario of the demo in which an experiment runs; it ended last midnight."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    datasets = World(seed=7, end=midnight, trial=TRIAL).datasets()
    return next(each for each in datasets if each.experiment is not None)


def take_in(stores: Stores, tenant_id: str, dataset: Dataset) -> Scope:
    """Writes items, events and answers of a data set as the consumer would, and starts its experiment."""
    scope = Scope(tenant_id, dataset.scenario.scenario_id)
    now = datetime.now(UTC)
    stores.scenarios.create(tenant_id, dataset.scenario.model_copy(update={"created_at": now}))
    items = list(dataset.items)
    times = [milliseconds(now)] * len(items)
    stores.items.upsert(scope, items, times)
    begin_catalogue(stores, scope)
    stores.availability.add(scope, items, times)
    stores.events.insert([(scope, event) for event in dataset.events])
    make_experiment(stores, scope, dataset, "test")
    stores.served.insert([_row(scope, answer) for answer in answers_of(stores, scope, dataset)])
    start_experiment(stores, scope, dataset, "test")
    return scope


def degraded_answers(scope: Scope, count: int) -> list[ServedRow]:
    """So many answers of the last minutes without an item, every second of them degraded."""
    now = milliseconds(datetime.now(UTC))
    answers = [
        ServedAnswer(kind="popular", at=now - 1_000 * number, took_us=900, answer=SentAnswer(f"degraded-{number}", []))
        for number in range(count)
    ]
    rows = [_row(scope, msgspec.json.encode(answer)) for answer in answers]
    return [row._replace(degraded=number % 2 == 0) for number, row in enumerate(rows)]


def _row(scope: Scope, answer: bytes) -> ServedRow:
    each = msgspec.json.decode(answer, type=ServedAnswer)
    count = len(each.answer.items)
    return ServedRow(
        tenant_id=scope.tenant_id,
        scenario_id=scope.scenario_id,
        at=each.at,
        request_id=each.answer.request_id,
        kind=each.kind,
        user_id=each.user_id,
        session=[],
        of_items=[],
        placement=each.placement or "",
        item_ids=[item.item_id for item in each.answer.items],
        sources=["similar"] * count,
        explored=[False] * count,
        propensities=[None] * count,
        model_version=each.answer.model_version or "",
        pipeline_version=each.answer.pipeline_version,
        experiment=each.answer.experiment or "",
        arm=each.answer.arm or "",
        degraded=False,
        took_us=each.took_us,
        share=1.0,
    )
