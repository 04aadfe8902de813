"""How far the consumers are behind, and how many events arrive."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from nicegui import ui

from lemo.console.charts import Series, bar_chart
from lemo.console.formats import took, whole
from lemo.console.language import t
from lemo.console.panels import panel
from lemo.console.queries import Queries
from lemo.console.stats import stat, stats
from lemo.console.tables import cell, table, td, tr
from lemo.console.theme import BAD, GOOD, WEAK, badge
from lemo.domain.scope import Scope
from lemo.stores.connect import Stores
from lemo.streams.lag import age_seconds, waiting
from lemo.streams.topics import Topics

MINUTES = 60
LATE_SECONDS, VERY_LATE_SECONDS = 5.0, 60.0
"""From which age of the oldest waiting message on the lag is shown as weak, and as bad."""


@dataclass(frozen=True, slots=True)
class TopicLag:
    """Messages of a topic that the consumers have not taken in, and the age of the oldest; None where none waits."""

    topic: str
    messages: int
    seconds: float | None


def lags(stores: Stores) -> list[TopicLag]:
    """The lag of every topic that the consumers read, tenants' own under one name; raises EngineUnavailable."""
    topics = Topics(stores.settings)
    messages, oldest = waiting(stores.log, topics.read_of(stores.log), stores.settings.kafka_group)
    found: dict[str, TopicLag] = {}
    for topic, count in messages.items():
        # Tenants are not told of each other.
        label = topics.label_of(topic)
        age = round(age_seconds(oldest[topic]), 1) if topic in oldest else None
        before = found.get(label, TopicLag(label, 0, None))
        ages = [each for each in (age, before.seconds) if each is not None]
        found[label] = TopicLag(label, before.messages + count, max(ages, default=None))
    return list(found.values())


def draw_flow(queries: Queries, scope: Scope) -> None:
    """The two panels."""
    panel(t("Consumer lag", "消费延迟"), lambda: lags(queries.stores), _draw_lags, every=5.0)
    panel(
        t("Events taken in, by the minute", "每分钟接入的行为"),
        lambda: queries.stores.events.arrivals(scope, MINUTES),
        _draw_arrivals,
        every=15.0,
        height=260,
    )


def _draw_lags(found: list[TopicLag]) -> None:
    with table(
        (t("Topic", "主题"), t("Waiting messages", "等待的消息"), t("Oldest waits", "最早等待"), t("State", "状态")),
        (1, 2),
    ):
        for lag in found:
            with tr().mark("lag"):
                with td():
                    ui.label(lag.topic).classes("font-mono text-xs break-all")
                cell(whole(lag.messages), number=True)
                cell(took(lag.seconds), number=True)
                with td():
                    seconds = lag.seconds or 0.0
                    if seconds >= LATE_SECONDS:
                        badge(t("behind", "落后"), BAD if seconds >= VERY_LATE_SECONDS else WEAK)
                    else:
                        badge(t("up to date", "最新"), GOOD)


def _draw_arrivals(counts: list[int]) -> None:
    now = datetime.now(UTC)
    labels = [f"{now - timedelta(minutes=ago):%H:%M}" for ago in reversed(range(len(counts)))]
    with stats("grid-cols-3"):
        stat(t("Last full minute", "上一分钟"), whole(counts[-2]))
        stat(t("A second, on average", "平均每秒"), f"{sum(counts) / 60 / MINUTES:.1f}")
        stat(t("Last hour", "过去一小时"), whole(sum(counts)))
    with ui.element("div").classes("w-full mt-3"):
        bar_chart(
            labels,
            [Series(t("events", "行为"), list(counts))],
            about=t("Events by the minute of the last hour, UTC", "过去一小时每分钟的行为数，UTC"),
            height=180,
        )
