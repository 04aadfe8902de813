"""All stores of an installation, connected on first use.

It is long because each store has its own imports, so that a process loads only what it uses.
"""

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from lemo.domain.deadlines import FOR_JOBS, for_people
from lemo.settings import Settings
from lemo.stores.loopback import keep_loopback_direct

if TYPE_CHECKING:
    from redis import Redis

    from lemo.domain.counting import CountingRules
    from lemo.domain.scope import Scope
    from lemo.stores.clickhouse.aggregates import Aggregates
    from lemo.stores.clickhouse.answer_log import AnswerLog
    from lemo.stores.clickhouse.events import Events
    from lemo.stores.clickhouse.exposures import Exposures
    from lemo.stores.clickhouse.interleaved import Interleaved
    from lemo.stores.clickhouse.realtime import Realtime
    from lemo.stores.clickhouse.removal import Removal
    from lemo.stores.clickhouse.score_counts import Scores
    from lemo.stores.clickhouse.served import ServedAnswers
    from lemo.stores.clickhouse.traffic import Traffic
    from lemo.stores.dead_letters import DeadLetters
    from lemo.stores.documents import Documents
    from lemo.stores.documents.accounts import Accounts
    from lemo.stores.documents.api_keys import ApiKeys
    from lemo.stores.documents.audit import Audit
    from lemo.stores.documents.catalogue import Items, Scenarios, Tenants
    from lemo.stores.documents.experiments import Experiments
    from lemo.stores.documents.model_changes import ModelChanges
    from lemo.stores.documents.models import Models
    from lemo.stores.documents.pipelines import Pipelines
    from lemo.stores.documents.runs import Runs
    from lemo.stores.documents.schedules import Schedules
    from lemo.stores.documents.user_changes import UserChanges
    from lemo.stores.item_categories import ItemCategories
    from lemo.stores.objects.archives import ArchiveFolder
    from lemo.stores.objects.snapshots import Snapshots
    from lemo.stores.objects.transfer import SnapshotTransfer
    from lemo.stores.redis.availability import AvailabilitySets
    from lemo.stores.redis.client import Keys
    from lemo.stores.redis.embedding_queue import EmbeddingQueue
    from lemo.stores.redis.history import History
    from lemo.stores.redis.hot_scores import HotScores
    from lemo.stores.redis.item_feed import ItemFeed
    from lemo.stores.redis.minute_metrics import MinuteMetrics
    from lemo.stores.redis.precomputed import PrecomputedStore
    from lemo.stores.redis.removal import KeyRemoval
    from lemo.stores.redis.seen_items import SeenItems
    from lemo.stores.vectors.milvus import Vectors
    from lemo.streams import Log

LARGE_SECONDS = 60.0
_Snapshots = TypeVar("_Snapshots", bound="Snapshots")


class Stores:
    """The stores that the settings name. Engines are imported and connected when first asked for.

    `interactive`: somebody waits for the answer (a page, a route, a command), so that an engine that is silent is told
    of after seconds; else a job or a service waits for minutes.
    """

    def __init__(self, settings: Settings, *, interactive: bool = False) -> None:
        keep_loopback_direct(settings)
        self.settings = settings
        self.deadlines = for_people(settings.answer_seconds) if interactive else FOR_JOBS
        self._large = replace(self.deadlines, answer=max(self.deadlines.answer, LARGE_SECONDS))
        """For questions about millions of rows, which somebody asks now and then."""

    @cached_property
    def documents(self) -> "Documents":
        """MongoDB by URL, else SQLite below the home folder."""
        if self.settings.mongo_url:
            from lemo.stores.documents.mongo import MongoDocuments

            return MongoDocuments(
                self.settings.mongo_url.get_secret_value(), self.settings.mongo_database, self.deadlines
            )
        from lemo.stores.documents.sqlite import SqliteDocuments

        return SqliteDocuments(self.settings.state / "documents.sqlite", self.deadlines)

    @cached_property
    def tenants(self) -> "Tenants":
        """Tenants."""
        from lemo.stores.documents.catalogue import Tenants

        return Tenants(self.documents)

    @cached_property
    def api_keys(self) -> "ApiKeys":
        """Keys of tenants."""
        from lemo.stores.documents.api_keys import ApiKeys

        return ApiKeys(self.documents)

    @cached_property
    def accounts(self) -> "Accounts":
        """Accounts of people in the console."""
        from lemo.stores.documents.accounts import Accounts

        return Accounts(self.documents)

    @cached_property
    def audit(self) -> "Audit":
        """Who changed what: the lines that no other history holds."""
        from lemo.stores.documents.audit import Audit

        return Audit(self.documents)

    @cached_property
    def scenarios(self) -> "Scenarios":
        """Scenarios of tenants."""
        from lemo.stores.documents.catalogue import Scenarios

        return Scenarios(self.documents)

    @cached_property
    def pipelines(self) -> "Pipelines":
        """Pipelines of scenarios."""
        from lemo.stores.documents.pipelines import Pipelines

        return Pipelines(self.documents)

    @cached_property
    def experiments(self) -> "Experiments":
        """Experiments of scenarios."""
        from lemo.stores.documents.experiments import Experiments

        return Experiments(self.documents)

    @cached_property
    def items(self) -> "Items":
        """Items of scenarios."""
        from lemo.stores.documents.catalogue import Items

        return Items(self.documents)

    @cached_property
    def item_categories(self) -> "ItemCategories":
        """The categories of items, kept in memory."""
        from lemo.stores.item_categories import ItemCategories

        return ItemCategories(self.items, self.item_feed)

    @cached_property
    def user_changes(self) -> "UserChanges":
        """Users that were erased or merged."""
        from lemo.stores.documents.user_changes import UserChanges

        return UserChanges(self.documents)

    @cached_property
    def runs(self) -> "Runs":
        """The history of task runs."""
        from lemo.stores.documents.runs import Runs

        return Runs(self.documents)

    @cached_property
    def schedules(self) -> "Schedules":
        """When the jobs run, and who changed that."""
        from lemo.stores.documents.schedules import Schedules

        return Schedules(self.documents)

    @cached_property
    def redis(self) -> "Redis":
        """Database 0 of Redis: cache, history, locks."""
        from lemo.stores.redis.client import connect_redis

        return connect_redis(self.settings.redis(0), self.deadlines)

    @cached_property
    def keys(self) -> "Keys":
        """The names of this installation's keys in Redis."""
        from lemo.stores.redis.client import Keys

        return Keys(self.settings.installation)

    @cached_property
    def history(self) -> "History":
        """Recent history of users."""
        from lemo.stores.redis.history import History

        return History(self.redis, self.settings.history_length, self.settings.history_days, self.keys)

    @cached_property
    def seen(self) -> "SeenItems":
        """All items that each user has seen."""
        from lemo.stores.redis.seen_items import SeenItems

        return SeenItems(self.redis, self.keys)

    @cached_property
    def availability(self) -> "AvailabilitySets":
        """Newest and inactive items."""
        from lemo.stores.redis.availability import AvailabilitySets

        return AvailabilitySets(self.redis, self.keys)

    @cached_property
    def precomputed(self) -> "PrecomputedStore":
        """Precomputed recommendations."""
        from lemo.stores.redis.precomputed import PrecomputedStore

        return PrecomputedStore(self.redis, self.keys)

    @cached_property
    def embedding_queue(self) -> "EmbeddingQueue":
        """Items that wait for their content vector."""
        from lemo.stores.redis.embedding_queue import EmbeddingQueue

        return EmbeddingQueue(self.redis, self.keys)

    @cached_property
    def item_feed(self) -> "ItemFeed":
        """Which items changed last."""
        from lemo.stores.redis.item_feed import ItemFeed

        return ItemFeed(self.redis, self.keys)

    @cached_property
    def hot_scores(self) -> "HotScores":
        """How hot items are now."""
        from lemo.stores.redis.hot_scores import HotScores

        return HotScores(self.redis, self.keys)

    @cached_property
    def minute_metrics(self) -> "MinuteMetrics":
        """Metrics of the last minutes."""
        from lemo.stores.redis.minute_metrics import MinuteMetrics

        return MinuteMetrics(self.redis, self.keys)

    @cached_property
    def log(self) -> "Log":
        """The ingest log: Kafka by bootstrap servers, else Redis Streams."""
        from lemo.streams.connect import open_log

        return open_log(self.settings, self.deadlines)

    @cached_property
    def dead_letters(self) -> "DeadLetters":
        """Messages that were refused, and wait for somebody."""
        from lemo.stores.dead_letters import DeadLetters
        from lemo.streams.topics import Topics

        topics = Topics(self.settings)
        return DeadLetters(self.log, self.settings.kafka_dead_letter_topic, self.documents, topics.is_read)

    @cached_property
    def models(self) -> "Models":
        """The registry of training runs."""
        from lemo.stores.documents.models import Models

        return Models(self.documents)

    @cached_property
    def model_changes(self) -> "ModelChanges":
        """Which model served when, and who put it there."""
        from lemo.stores.documents.model_changes import ModelChanges

        return ModelChanges(self.documents, self.snapshots)

    @cached_property
    def events(self) -> "Events":
        """Events in ClickHouse, or in chDB behind the same interface."""
        from lemo.stores.clickhouse.events import Events

        return Events(self.settings.clickhouse, self.settings.clickhouse_database, self.deadlines)

    @cached_property
    def aggregates(self) -> "Aggregates":
        """Hourly and daily counts of events, beside the events."""
        from lemo.stores.clickhouse.aggregates import Aggregates
        from lemo.stores.clickhouse.traffic_days import recounting

        also = recounting(self.traffic, self._counting_rules)
        return Aggregates(self.settings.clickhouse, self.settings.clickhouse_database, self.deadlines, also)

    def _counting_rules(self, scope: "Scope") -> "CountingRules | None":
        from lemo.domain.counting import counting_rules
        from lemo.domain.errors import NotFound

        try:
            return counting_rules(self.scenarios.get(scope))
        except NotFound:  # deleted meanwhile
            return None

    @cached_property
    def served(self) -> "ServedAnswers":
        """What the API answered, beside the events."""
        from lemo.stores.clickhouse.served import ServedAnswers

        return ServedAnswers(self.settings.clickhouse, self.settings.clickhouse_database, self.deadlines)

    @cached_property
    def realtime(self) -> "Realtime":
        """Sessions and metrics of minutes, beside the events."""
        from lemo.stores.clickhouse.realtime import Realtime

        return Realtime(self.settings.clickhouse, self.settings.clickhouse_database, self.deadlines)

    @cached_property
    def removal(self) -> "Removal":
        """Deletions of users and scenarios from ClickHouse's tables."""
        from lemo.stores.clickhouse.removal import Removal

        return Removal(self.settings.clickhouse, self.settings.clickhouse_database, self.deadlines)

    @cached_property
    def key_removal(self) -> "KeyRemoval":
        """Deletions of scenarios' keys from Redis."""
        from lemo.stores.redis.removal import KeyRemoval

        return KeyRemoval(self.redis, self.keys)

    @cached_property
    def traffic(self) -> "Traffic":
        """Numbers over what was answered and the events."""
        from lemo.stores.clickhouse.traffic import Traffic

        return Traffic(self.settings.clickhouse, self.settings.clickhouse_database, self.deadlines)

    @cached_property
    def answer_log(self) -> "AnswerLog":
        """Answers as they were logged, for replays."""
        from lemo.stores.clickhouse.answer_log import AnswerLog

        return AnswerLog(self.settings.clickhouse, self.settings.clickhouse_database, self._large)

    @cached_property
    def scores(self) -> "Scores":
        """Scores of what was answered."""
        from lemo.stores.clickhouse.score_counts import Scores

        return Scores(self.settings.clickhouse, self.settings.clickhouse_database, self.deadlines)

    @cached_property
    def exposures(self) -> "Exposures":
        """What became of the units of experiments."""
        from lemo.stores.clickhouse.exposures import Exposures

        return Exposures(self.settings.clickhouse, self.settings.clickhouse_database, self._large)

    @cached_property
    def interleaved(self) -> "Interleaved":
        """What was clicked in the interleaved answers of experiments."""
        from lemo.stores.clickhouse.interleaved import Interleaved

        return Interleaved(self.settings.clickhouse, self.settings.clickhouse_database, self._large)

    @cached_property
    def vectors(self) -> "Vectors":
        """Item vectors in Milvus."""
        from lemo.stores.vectors.milvus import Vectors

        token = self.settings.milvus_token
        return Vectors(
            self.settings.milvus,
            token.get_secret_value() if token else None,
            self.settings.installation,
            self.deadlines,
        )

    @cached_property
    def snapshots(self) -> "Snapshots":
        """Model snapshots in a folder or S3."""
        from lemo.stores.objects.snapshots import Snapshots

        return self._snapshots_as(Snapshots)

    def snapshot_transfer(self) -> "SnapshotTransfer":
        """The same store, to be copied whole."""
        from lemo.stores.objects.transfer import SnapshotTransfer

        return self._snapshots_as(SnapshotTransfer)

    def archive_folder(self, url: str) -> "ArchiveFolder":
        """A folder in S3 that archives lie in, with the keys of the snapshot store."""
        from lemo.stores.objects.archives import ArchiveFolder

        return self._snapshots_as(ArchiveFolder, url)

    def _snapshots_as(self, kind: "type[_Snapshots]", url: str = "") -> "_Snapshots":
        secret = self.settings.s3_secret_access_key
        return kind(
            url or self.settings.snapshots,
            cache=self.settings.state / "snapshot-cache",
            endpoint=self.settings.s3_endpoint,
            access_key_id=self.settings.s3_access_key_id,
            secret_access_key=secret.get_secret_value() if secret else "",
            deadlines=self.deadlines,
        )

    def close(self) -> None:
        """Lets go of every connection that was made."""
        for name in (
            "documents",
            "events",
            "aggregates",
            "served",
            "traffic",
            "exposures",
            "realtime",
            "answer_log",
            "scores",
            "removal",
            "vectors",
            "redis",
        ):
            if name in self.__dict__:
                self.__dict__.pop(name).close()
