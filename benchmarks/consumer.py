"""How fast is the consumer, beside bare loops in the same run, and how soon does an event change recommendations?

Events: a `lemo consumer` process, from Kafka into the embedded ClickHouse and the histories in Redis, in turns with a
loop that only consumes the same messages with confluent-kafka, parses their JSON and commits. Items: Kafka into the
documents, in turns with bulk upserts of the same items by the same store. Reaction: from before an event is produced
until the code that serves recommendations answers by it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import pytest
from confluent_kafka import Consumer as BareConsumer

from consumers import environment_of, left_of
from engines.process import LOOPBACK
from lemo.domain.event import Event
from lemo.domain.item import Item
from lemo.domain.scenario import scenario_from_template
from lemo.domain.scope import Scope
from lemo.serving.service import RecommendationService
from lemo.settings import Settings
from lemo.stores.connect import Stores
from lemo.streams import Message
from lemo.streams.messages import event_message, item_message
from lemo.streams.topics import Topics
from servers import RUN_FOLDER, embedded, server, stop_embedded
from sites import model_of, publish_model

MESSAGE_BYTES = 321
BARE_COMMIT_EVERY = 2_000
UPSERT_SIZE = 20_000
"""As many as the consumer takes at a time."""
LOOK_SECONDS = 0.2
"""Between two looks at the lag, which are work for this machine too."""
LIMIT_SECONDS = 300
SCOPE = Scope("bench", "vlog")
START = 1_700_000_000_000


def main() -> None:
    """Prints the rates with their ratios, and the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000, help="in the log (default: 500000)")
    parser.add_argument("--items", type=int, default=100_000, help="in the log (default: 100000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each, in turns (default: 3)")
    parser.add_argument("--reactions", type=int, default=300, help="events, one after the other (default: 300)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[RUN_FOLDER] = folder
        try:
            kafka = server("kafka")
            compare_events(installation(kafka), arguments.events, arguments.rounds)
            compare_items(installation(kafka), arguments.items, arguments.rounds)
            react(installation(kafka), arguments.reactions)
        except pytest.skip.Exception as missing:
            raise SystemExit(str(missing)) from missing
        finally:
            stop_embedded(Path(folder))


def installation(kafka: str) -> Settings:
    """Settings of an empty installation: the shared Kafka, engines of this run."""
    own = uuid.uuid4().hex[:12]
    return Settings(
        home=Path(os.environ[RUN_FOLDER]) / own,
        redis_url=f"redis://{LOOPBACK}:{embedded('redis')}",
        clickhouse_url=f"http://{LOOPBACK}:{embedded('clickhouse')}",
        clickhouse_database=f"bench_{own}",
        kafka_bootstrap_servers=kafka,
        kafka_item_ingest_topics=[f"items-{own}"],
        kafka_event_topic=f"events-{own}",
        kafka_dead_letter_topic=f"dead-{own}",
        kafka_item_results_topic=f"results-{own}",
        kafka_served_topic=f"served-{own}",
        kafka_group=f"group-{own}",
    )


def again(settings: Settings) -> Settings:
    """The same log for other stores and another group."""
    other = installation(settings.kafka_bootstrap_servers)
    return other.model_copy(
        update={name: getattr(settings, name) for name in ("kafka_item_ingest_topics", "kafka_event_topic")}
    )


def compare_events(settings: Settings, count: int, rounds: int) -> None:
    """Events a second, of a bare loop and of the consumer, in turns."""
    with opened(settings) as stores:
        produce(stores, settings.kafka_event_topic, map(padded, events(count)))
    bare, ours = [], []
    for _ in range(rounds):
        bare.append(bare_loop(settings, count))
        target = again(settings)
        with opened(target) as stores:
            ours.append(consumed(target, stores, count))
            if (written := stores.events.count(SCOPE)) != count:
                raise SystemExit(f"The consumer wrote {written} of {count} events.")
    print(f"{count:,} events of {MESSAGE_BYTES} bytes, {rounds} rounds of each in turns; events a second, median\n")
    tell("consume, parse, commit", bare, "lemo consumer", ours)


def compare_items(settings: Settings, count: int, rounds: int) -> None:
    """Items a second, of bare upserts and of the consumer, in turns."""
    with opened(settings) as stores:
        produce(stores, settings.kafka_item_ingest_topics[0], (item_message(SCOPE, item) for item in items(count)))
    bare, ours = [], []
    for _ in range(rounds):
        with opened(again(settings)) as stores:
            bare.append(upserts(stores, list(items(count))))
        target = again(settings)
        with opened(target) as stores:
            ours.append(consumed(target, stores, count))
            if (written := stores.items.count(SCOPE)) != count:
                raise SystemExit(f"The consumer wrote {written} of {count} items.")
    print(f"\n{count:,} items, {rounds} rounds of each in turns; items a second, median\n")
    tell("bulk upserts, SQLite", bare, "lemo consumer", ours)


def react(settings: Settings, count: int) -> None:
    """From before an event is produced until it changes what is recommended to its user."""
    seconds = []
    with opened(settings) as stores, running(settings), closing(stores.log.publisher()) as publisher:
        publish_model(stores, SCOPE, "1", model_of())
        with RecommendationService(stores) as served:
            for number in range(count + 1):
                event = Event(user_id=f"u{number}", item_id="item/20", action="like", timestamp=time.time())
                began = time.perf_counter()
                publisher.publish(settings.kafka_event_topic, [event_message(SCOPE, event)])
                wait(partial(follows, served, event.user_id))
                seconds.append(time.perf_counter() - began)
    seconds.pop(0)  # until the consumer has started
    print(f"\n{count} events, one after the other; from before producing until the recommendations follow, ms\n")
    print(f"p50 {median(seconds) * 1000:.0f}   p99 {quantiles(seconds, n=100)[98] * 1000:.0f}")


def follows(served: RecommendationService, user_id: str) -> bool:
    """Whether the user is recommended what the model puts next to the item that the event is about."""
    return served.recommend(SCOPE, user_id, 1).items[0].item_id == "item/21"


def tell(bare_name: str, bare: Sequence[float], name: str, ours: Sequence[float]) -> None:
    """Both rates and their ratio."""
    for label, rates in ((bare_name, bare), (name, ours)):
        print(f"{label:<26}{median(rates):>9,.0f}   ({', '.join(f'{rate:,.0f}' for rate in rates)})")
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True)]
    print(f"{'ratio':<26}{median(ratios):>9.2f}   ({', '.join(f'{ratio:.2f}' for ratio in ratios)})", flush=True)


@contextmanager
def opened(settings: Settings) -> Iterator[Stores]:
    """The stores of an installation that has the scenario."""
    settings.state.mkdir(parents=True)
    with closing(Stores(settings)) as stores:
        stores.tenants.create(SCOPE.tenant_id)
        stores.scenarios.create(SCOPE.tenant_id, scenario_from_template(SCOPE.scenario_id, "vlog"))
        stores.redis.flushall()
        topics = Topics(settings)
        stores.log.create_topics([*topics.fixed, *topics.written])
        yield stores


def events(count: int) -> Iterator[Event]:
    """Of 20,000 users and 5,000 items, 100 a second."""
    for number in range(count):
        yield Event(
            user_id=f"user-{number * 7919 % 20_000:05}",
            item_id=f"item-{number * 104_729 % 5_000:05}",
            action=("impression", "click", "play", "like")[number % 4],
            timestamp=START + number * 10,
            device="phone",
        )


def items(count: int) -> Iterator[Item]:
    """With a title, labels and a text."""
    for number in range(count):
        yield Item(
            item_id=f"item-{number}",
            title=f"The title of item {number}",
            categories=[f"category-{number % 20}"],
            tags=[f"tag-{number % 300}", f"tag-{number % 7}"],
            description="Some words about it. " * 5,
        )


def padded(event: Event) -> Message:
    """The event's message, filled up to its length."""
    lacking = MESSAGE_BYTES - len(event_message(SCOPE, event.model_copy(update={"attributes": {"page": ""}})).value)
    return event_message(SCOPE, event.model_copy(update={"attributes": {"page": "x" * lacking}}))


def produce(stores: Stores, topic: str, messages: Iterator[Message]) -> None:
    """Publishes all of them."""
    with closing(stores.log.publisher()) as publisher:
        publisher.publish(topic, messages)


def bare_loop(settings: Settings, count: int) -> float:
    """Messages a second of a loop that reads the topic, parses each message and commits every 2,000."""
    consumer = BareConsumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap_servers,
            "group.id": uuid.uuid4().hex,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([settings.kafka_event_topic])
    taken, first, began = 0, 0, 0.0
    while taken < count:
        messages = consumer.consume(BARE_COMMIT_EVERY, 1.0)
        for message in messages:
            if message.error():
                raise SystemExit(str(message.error()))
            json.loads(message.value() or b"")
        if messages:
            taken += len(messages)
            consumer.commit(asynchronous=False)
            if not began:  # joining the group is not the loop's speed
                first, began = taken, time.perf_counter()
    seconds = time.perf_counter() - began
    consumer.close()
    return (taken - first) / seconds


def upserts(stores: Stores, whole: Sequence[Item]) -> float:
    """Items a second of the store alone."""
    began = time.perf_counter()
    for start in range(0, len(whole), UPSERT_SIZE):
        part = whole[start : start + UPSERT_SIZE]
        stores.items.upsert(SCOPE, part, [START] * len(part))
    return len(whole) / (time.perf_counter() - began)


def consumed(settings: Settings, stores: Stores, count: int) -> float:
    """Records a second of the consumer, from its first commit until it has committed all."""
    with running(settings):
        wait(lambda: left_of(stores) < count, LOOK_SECONDS)
        left, began = left_of(stores), time.perf_counter()
        wait(lambda: left_of(stores) == 0, LOOK_SECONDS)
        return left / (time.perf_counter() - began)


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """The service as users start it."""
    environment = {**os.environ, **environment_of(settings)}
    with (settings.state / "consumer.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lemo.cli.main", "consumer"], env=environment, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def wait(condition: Callable[[], bool], pause: float = 0.002) -> None:
    """Until it holds; ends the benchmark when it never does."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("The consumer did not come to its end.")
        time.sleep(pause)


if __name__ == "__main__":
    main()
