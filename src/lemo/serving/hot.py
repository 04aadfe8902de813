"""What is hot now, for the pipeline's stage `hot`: read from Redis at most twice a second for each scope."""

import time

import structlog

from lemo.domain.errors import EngineUnavailable
from lemo.domain.pipeline import HotRealtime
from lemo.domain.scope import Scope
from lemo.serving.breaker import Breaker
from lemo.serving.pipeline.plan import HotItems
from lemo.serving.slots import Slots
from lemo.stores.redis.hot_scores import Hot, HotScores

log = structlog.get_logger()

FRESH_SECONDS = 0.5
MOST = 200
"""Hottest items that a stage sees."""


class _Slot:
    def __init__(self) -> None:
        self.found: dict[str, Hot] = {}
        self.tried_at: dict[str, float] = {}


class HotCache:
    """The hottest items of scopes. Safe for threads. While Redis is away the last known ones stay, and age."""

    def __init__(self, scores: HotScores, breaker: Breaker, capacity: int = 1_000) -> None:
        self._scores = scores
        self._breaker = breaker
        self._slots = Slots(_Slot, capacity)

    def items(self, scope: Scope, stage: HotRealtime) -> HotItems:
        """What is hot by the stage's half-life; nothing while nothing is known."""
        slot = self._slots.of(scope)[0]
        now = time.monotonic()
        due = now - slot.tried_at.get(stage.half_life, -FRESH_SECONDS) >= FRESH_SECONDS
        if due and self._breaker.allows():
            slot.tried_at[stage.half_life] = now
            try:
                slot.found[stage.half_life] = self._scores.read(scope, stage.half_life, MOST)
                self._breaker.worked()
            except EngineUnavailable as error:
                self._breaker.failed()
                log.warning("what is hot stays as it was", scope=str(scope), error=error.message)
        hot = slot.found.get(stage.half_life, Hot({}, 0))
        highest = max(hot.levels.values(), default=0.0)
        return HotItems(stage, {item: 2.0 ** (level - highest) for item, level in hot.levels.items()}, hot.until_ms)
