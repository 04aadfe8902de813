"""Carries data sets through the running system: log -> consumer -> jobs -> API, waiting for each to have happened."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

import httpx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from lemo.cli.demo.answers import answers_of, make_experiment, start_experiment
from lemo.cli.demo.summary import Shown, ShownItem, Summary
from lemo.cli.operator import operator
from lemo.cli.output import messages
from lemo.cli.waiting import wait_for_runs
from lemo.domain.dataset import Dataset
from lemo.domain.errors import Conflict, LemoError
from lemo.domain.recommendation import Answer
from lemo.domain.run import Run
from lemo.domain.scope import Scope
from lemo.intake.retry import PATIENCE_SECONDS, patiently
from lemo.scheduling.dispatch import dispatch, request_embedding
from lemo.scheduling.jobs import JOBS
from lemo.stores.connect import Stores
from lemo.streams import Message
from lemo.streams.messages import event_message, item_message, item_topic
from lemo.streams.served_messages import served_messages

BATCH = 2_000
ROUNDS = (
    ("train-model-daily", "update-user-profiles-2hours"),
    ("compute-item-similarity-hourly", "precompute-recommendations-4hours"),
    ("cleanup-expired-cache-daily",),
)
"""Jobs of a round run side by side; a round needs what the one before it made."""
GUARDRAILS = "check-experiments-hourly"
SAMPLES = 3
Value = TypeVar("Value")


def carry(stores: Stores, tenant_id: str, key: str, datasets: Sequence[Dataset]) -> Summary:
    """Sends the data sets, waits until every job has worked on them, and asks the API for three users."""
    started = time.monotonic()
    scopes = [_scenario(stores, tenant_id, dataset) for dataset in datasets]
    loads = list(zip(scopes, datasets, strict=True))
    by = f"{operator(tenant_id)}, demo"
    for scope, dataset in loads:
        patiently(make_experiment)(stores, scope, dataset, by)
    _publish(stores, loads)
    _await_consumer(stores)
    experiments = [(scope, dataset) for scope, dataset in loads if dataset.experiment is not None]
    for scope, dataset in experiments:
        patiently(start_experiment)(stores, scope, dataset, by)
    checks = [_dispatch(stores, GUARDRAILS, scope) for scope, _ in experiments]
    runs = [_await_embedding(stores, scope) for scope in scopes]
    for entries in ROUNDS:
        queued = [_dispatch(stores, entry, scope) for entry in entries for scope in scopes]
        runs += wait_for_runs(stores, tenant_id, queued)
    runs += wait_for_runs(stores, tenant_id, checks)
    samples = [_sample(stores, key, scopes[number % len(scopes)], number // len(scopes)) for number in range(SAMPLES)]
    return Summary(
        items=sum(patiently(stores.items.count)(scope) for scope in scopes),
        events=sum(patiently(stores.events.count)(scope) for scope in scopes),
        runs=runs,
        samples=samples,
        seconds=time.monotonic() - started,
    )


@patiently
def _scenario(stores: Stores, tenant_id: str, dataset: Dataset) -> Scope:
    scope = Scope(tenant_id, dataset.scenario.scenario_id)
    try:
        with stores.audit.noting(scope, f"{operator(tenant_id)}, demo", "scenario.create", scope.scenario_id):
            # It comes into being now, whenever its events happened: else each of its jobs were overdue at once.
            scenario = dataset.scenario.model_copy(update={"created_at": datetime.now(UTC)})
            stores.scenarios.create(tenant_id, scenario)
    except Conflict:
        messages.print(f"Scenario {scope.scenario_id} is there already: what it holds counts once.")
    return scope


@patiently
def _dispatch(stores: Stores, entry: str, scope: Scope) -> Run:
    return dispatch(stores, JOBS[entry], scope, "manual")


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=messages
    )


def _publish(stores: Stores, loads: Sequence[tuple[Scope, Dataset]]) -> None:
    settings = stores.settings
    publisher = stores.log.publisher()
    with _bars() as bars:
        for scope, dataset in loads:
            topic = item_topic(settings.kafka_item_ingest_topics, dataset.scenario.template)
            task = bars.add_task(f"{scope.scenario_id}: sending items", total=None)
            for batch in _batches(item_message(scope, item) for item in dataset.items):
                bars.advance(task, patiently(publisher.publish)(topic, batch))
            for batch in _batches(served_messages(scope, 1.0, answers_of(stores, scope, dataset))):
                patiently(publisher.publish)(settings.kafka_served_topic, batch)
            task = bars.add_task(f"{scope.scenario_id}: sending events", total=None)
            for batch in _batches(event_message(scope, event) for event in dataset.events):
                bars.advance(task, patiently(publisher.publish)(settings.kafka_event_topic, batch))
    publisher.close()


def _batches(all_messages: Iterable[Message]) -> Iterator[list[Message]]:
    source = iter(all_messages)
    while batch := list(islice(source, BATCH)):
        yield batch


def _await_consumer(stores: Stores) -> None:
    """Waits until the consumer has taken everything; what it has committed, it has written."""
    settings = stores.settings
    topics = [*settings.kafka_item_ingest_topics, settings.kafka_event_topic, settings.kafka_served_topic]

    def lag() -> int:
        return sum(patiently(stores.log.lag)(topics, settings.kafka_group).values())

    most = lag()
    with _bars() as bars:
        task = bars.add_task("consumer: writing items and events", total=most)
        _await(lambda: _shrinks(bars, task, most, lag()), "The consumer does not take what was sent.")


def _shrinks(bars: Progress, task: TaskID, most: int, left: int) -> tuple[bool, int]:
    bars.update(task, completed=max(0, most - left))
    return left == 0, left


def _await(look: Callable[[], tuple[bool, int]], stuck: str) -> None:
    """Looks until done; raises LemoError when what is left has not changed for a minute."""
    before, moved = -1, time.monotonic()
    while True:
        done, left = look()
        if done:
            return
        if left != before:
            before, moved = left, time.monotonic()
        elif time.monotonic() - moved > PATIENCE_SECONDS:
            raise LemoError(stuck, "`lemo status` and the log in the state folder tell what is wrong.")
        time.sleep(0.1)


def _await_embedding(stores: Stores, scope: Scope) -> Run:
    """Waits until every item that arrived has its vector; returns the last run that embedded."""
    entry = "embed-items"

    def look() -> tuple[bool, int]:
        waiting = patiently(stores.embedding_queue.count)(scope)
        runs = patiently(stores.runs.list)(scope.tenant_id, entry=entry, scenario_id=scope.scenario_id, limit=20)
        if waiting:
            # An announced run may have died with the queue that held it; asking again costs nothing.
            patiently(request_embedding)(stores, scope)
        return not waiting and bool(runs) and all(run.finished for run in runs), waiting + len(runs)

    with messages.status(f"{scope.scenario_id}: content vectors of new items"):
        _await(look, f"The items of {scope.scenario_id} do not get their content vectors.")
    runs = stores.runs.list(scope.tenant_id, entry=entry, scenario_id=scope.scenario_id, limit=20)
    worked = [run for run in runs if run.rows_written or run.outcome == "failed"]
    return (worked or runs)[0]


def _sample(stores: Stores, key: str, scope: Scope, number: int) -> Shown:
    """The API's answer for one of the scenario's most active users, with titles."""
    user_id = patiently(stores.events.active_users)(scope, limit=number + 1)[number]
    answer = _ask(stores, key, scope, user_id)
    named = [item.item_id for item in answer.items] + [item.because for item in answer.items if item.because]
    titles = {item.item_id: item.title for item in patiently(stores.items.get_many)(scope, named).values()}
    return Shown(
        scope.scenario_id,
        user_id,
        [
            ShownItem(
                item.item_id,
                titles.get(item.item_id, ""),
                item.score,
                item.reason_by_title(titles),
            )
            for item in answer.items
        ],
    )


@patiently
def _ask(stores: Stores, key: str, scope: Scope, user_id: str) -> Answer:
    response = httpx.get(
        f"http://{stores.settings.api_host}:{stores.settings.api_port}/v1/scenarios/{scope.scenario_id}/recommendations",
        params={"user_id": user_id, "n": 10},
        headers={"Authorization": f"Bearer {key}"},
    )
    response.raise_for_status()
    return Answer.model_validate_json(response.content)
