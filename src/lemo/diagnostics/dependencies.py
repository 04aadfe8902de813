"""Which service needs what, and what stops without it: the one table behind `lemo doctor` and the console."""

from dataclasses import dataclass
from enum import StrEnum

from lemo.settings import Settings


class Service(StrEnum):
    """The services of an installation, each a process of its own."""

    api = "api"
    worker = "worker"
    beat = "beat"
    consumer = "consumer"
    console = "console"
    flink = "Flink jobs"


class Dependency(StrEnum):
    """What a service may need: engines, packages, the other services, and that its work gets done."""

    home = "home folder"
    packages = "Python packages"
    cache = "Redis 0: cache, schedule"
    broker = "Redis 1: broker"
    results = "Redis 2: results"
    durability = "Redis durability"
    documents = "documents"
    log = "ingest log"
    events = "events"
    vectors = "vectors"
    embedding = "embedding model"
    identity = "identity provider"
    snapshots = "snapshots"
    api = "API"
    worker = "worker"
    beat = "beat"
    consumer = "consumer"
    console = "console"
    flink = "Flink"
    overdue = "overdue jobs"
    failing = "failing jobs"
    dead_letters = "dead letters"
    unknown_items = "unknown items"
    clocks = "clocks"


JOB_ROWS = frozenset({Dependency.overdue, Dependency.failing, Dependency.dead_letters, Dependency.unknown_items})
"""Rows that name tenants and scenarios, and so are no business of a single tenant."""


@dataclass(frozen=True, slots=True)
class Need:
    """One cell of the table: `service` needs `dependency`, and `without` it this stops."""

    service: Service
    dependency: Dependency
    required: bool
    without: str

    @property
    def itself(self) -> bool:
        """Whether the row is about the service's own process."""
        return self.dependency.name == self.service.name


def _needs(service: Service, *cells: tuple[Dependency, bool, str]) -> tuple[Need, ...]:
    return tuple(Need(service, dependency, required, without) for dependency, required, without in cells)


_D = Dependency
NEEDS: tuple[Need, ...] = (
    *_needs(
        Service.api,
        (_D.api, True, "Nobody can send items and events or ask for recommendations over HTTP."),
        (_D.packages, True, "The API does not start."),
        (_D.cache, True, "Answers ignore what users did lately and are marked degraded."),
        (_D.broker, False, "Jobs cannot be asked for over HTTP."),
        (_D.documents, True, "Keys and scenarios cannot be read: new keys are refused."),
        (_D.log, True, "Items and events are refused (503) until the log is back."),
        (_D.snapshots, True, "New models are not picked up; answers come from the model already in memory."),
        (_D.consumer, False, "What the API accepts waits in the log and reaches no store."),
        (_D.worker, False, "Models and similar items grow old."),
    ),
    *_needs(
        Service.worker,
        (_D.worker, True, "No job runs: models, similar items, profiles and answers grow old."),
        (_D.packages, True, "The worker does not start."),
        (_D.home, True, "Jobs cannot write models and files."),
        (_D.cache, True, "Jobs cannot lock their scenario, and write no precomputed answers."),
        (_D.broker, True, "The worker gets no tasks."),
        (_D.results, True, "Nobody who waits for a job learns how it ended."),
        (_D.durability, False, "Queued tasks may be lost when Redis restarts or runs out of memory."),
        (_D.documents, True, "Jobs cannot read items or leave their run history."),
        (_D.events, False, "Training, similar items, profiles and answers are not renewed; their runs say so."),
        (_D.vectors, False, "New items get no content vectors, and similar items come from behaviour alone."),
        (_D.embedding, False, "New and changed items get no content vectors until it answers; the others keep theirs."),
        (_D.snapshots, True, "Trained models cannot be published."),
        (_D.overdue, False, "What these jobs make grows old: nothing newer is served."),
        (_D.failing, False, "These jobs keep failing; what they made before is still served."),
        (_D.clocks, False, "Runs, versions and 'newest' are ordered by clocks that do not agree."),
    ),
    *_needs(
        Service.beat,
        (_D.beat, True, "No job starts by itself; jobs asked for by hand still run."),
        (_D.packages, True, "Beat does not start: celery-redbeat keeps the schedule in Redis."),
        (_D.cache, True, "The schedule cannot be read."),
        (_D.broker, True, "Due jobs cannot be handed to the worker."),
        (_D.durability, False, "The schedule's last runs may be forgotten when Redis restarts."),
        (_D.worker, False, "Due jobs pile up in the broker."),
        (_D.clocks, False, "Jobs start too early or too late."),
    ),
    *_needs(
        Service.consumer,
        (_D.consumer, True, "Items and events wait in the ingest log and reach no store."),
        (_D.packages, True, "The consumer does not start."),
        (_D.log, True, "There is nothing to read from."),
        (_D.documents, True, "Items cannot be written; they wait in the log."),
        (_D.events, True, "Events cannot be written; they wait in the log."),
        (_D.cache, True, "Recent history is not kept; events wait in the log."),
        (_D.broker, False, "New items are not embedded on arrival, only by the next scheduled run."),
        (_D.durability, False, "With Redis Streams, messages may be lost when Redis restarts."),
        (_D.dead_letters, False, "What was refused is in no store."),
        (_D.unknown_items, False, "Items that only events know are in no answer."),
    ),
    *_needs(
        Service.console,
        (_D.console, False, "The web pages are away; nothing else stops."),
        (_D.packages, True, "The console does not start."),
        (_D.documents, True, "The console can show neither items nor runs."),
        (_D.cache, False, "The console shows neither schedule nor recent history."),
        (_D.events, False, "The console counts no events and offers no users."),
        (_D.log, False, "The console counts no dead letters."),
        (_D.snapshots, False, "The recommendation explorer has no model to answer from."),
        (_D.identity, False, "Nobody logs in to the console by OpenID Connect; accounts with passwords still do."),
    ),
    *_needs(
        Service.flink,
        (_D.flink, False, "No Flink job runs; the worker computes every minute what they would in seconds."),
        (_D.log, False, "Flink jobs have nothing to read from."),
    ),
)
"""Service x dependency. A service's own process is its first row."""

_PACKAGES: dict[Service, tuple[str, ...]] = {
    Service.api: ("fastapi", "uvicorn", "numpy", "redis"),
    Service.worker: ("celery", "celery-redbeat", "redis", "scikit-learn", "polars", "clickhouse-connect", "pymilvus"),
    Service.beat: ("celery-redbeat", "celery", "redis"),
    Service.consumer: ("redis", "celery", "clickhouse-connect", "pyarrow"),
    Service.console: ("nicegui", "redis", "clickhouse-connect"),
}
EXTRAS = {"confluent-kafka": "kafka", "pymongo": "mongo", "onnxruntime": "embeddings", "tokenizers": "embeddings"}
"""Packages that only an extra of ours brings."""


def packages(service: Service, settings: Settings) -> tuple[str, ...]:
    """The packages that decide whether a service starts, with those that the settings' engines ask for."""
    names = list(_PACKAGES[service])
    if settings.kafka_bootstrap_servers and service is not Service.beat:
        names.append("confluent-kafka")
    if settings.mongo_url and service is not Service.beat:
        names.append("pymongo")
    return tuple(names)
