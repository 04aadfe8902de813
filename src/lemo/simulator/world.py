"""The small world: three scenarios with items, users and events, the same for the same seed and scale."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from lemo.domain.dataset import Dataset, PastExperiment, ShownList
from lemo.domain.errors import InvalidInput
from lemo.domain.event import Event
from lemo.domain.scenario import Template, scenario_from_template
from lemo.domain.time import milliseconds
from lemo.simulator import words
from lemo.simulator.behaviour import FollowUp, Habits, simulate
from lemo.simulator.catalogue import Catalogue, make_catalogue
from lemo.simulator.trial import Trial

END = datetime(2026, 11, 1, tzinfo=UTC)
"""The moment before which everything happened, so that nothing depends on today's date."""
DAYS = 28
ITEMS = 200
USERS = 500
"""Items and users of each scenario at scale 1."""
_DEVICES = ("ios", "android", "web")


@dataclass(frozen=True, slots=True)
class _Place:
    scenario_id: str
    template: Template
    vocabulary: words.Vocabulary
    prefix: str
    placement: str
    """Where on its pages the lists of a session stand."""
    habits: Habits


_PLACES = (
    _Place(
        "vlog",
        "vlog",
        words.VLOG,
        "video",
        "feed",
        Habits(
            (
                FollowUp("play", "click", 0.6, 2_000, "watched"),
                FollowUp("finish", "play", 0.35, 60_000),
                FollowUp("like", "play", 0.22, 70_000),
            )
        ),
    ),
    _Place(
        "news",
        "news",
        words.NEWS,
        "article",
        "front page",
        Habits(
            (FollowUp("read", "click", 0.6, 20_000, "watched"), FollowUp("comment", "read", 0.15, 90_000)),
            half_life_days=4.0,
        ),
    ),
    _Place(
        "ecommerce",
        "ecommerce",
        words.ECOMMERCE,
        "product",
        "home",
        Habits((FollowUp("cart", "click", 0.35, 30_000), FollowUp("order", "cart", 0.45, 180_000, "price"))),
    ),
)


@dataclass(frozen=True, slots=True)
class World:
    """A world by its seed. `scale` multiplies items (by its root) and users (in proportion)."""

    seed: int = 0
    scale: float = 1.0
    end: datetime = END
    days: int = DAYS
    trial: Trial | None = None
    """An experiment that runs at the end of the world."""

    def __post_init__(self) -> None:
        if not 0.01 <= self.scale <= 1000:
            raise InvalidInput(f"The scale {self.scale} is out of range.", "Choose one from 0.01 to 1000.")
        if not 7 <= self.days <= 3650:
            raise InvalidInput(f"{self.days} days are out of range.", "Choose 7 to 3650.")
        if self.trial is not None and self.trial.days >= self.days:
            raise InvalidInput(
                f"The experiment {self.trial.name} takes {self.trial.days} days.", "Choose more days than that."
            )

    def datasets(self) -> list[Dataset]:
        """The scenarios `vlog`, `news` and `ecommerce`; items and events are made when they are asked for."""
        return [self._dataset(number, place) for number, place in enumerate(_PLACES)]

    def _dataset(self, number: int, place: _Place) -> Dataset:
        # Items and events of a scenario come from streams of their own, so either can be read first, or alone.
        for_items, for_events, for_lists = np.random.SeedSequence([self.seed, number]).spawn(3)
        items = max(round(ITEMS * self.scale**0.5), 24)
        catalogue = make_catalogue(
            np.random.default_rng(for_items), place.vocabulary, place.prefix, items, self._start, self._end
        )
        trial = self._trial(place)
        return Dataset(
            name=f"simulated {place.scenario_id}",
            scenario=scenario_from_template(place.scenario_id, place.template).model_copy(
                update={"created_at": self.end - timedelta(days=self.days)}
            ),
            items=iter(catalogue.items),
            events=self._events(place, catalogue, np.random.default_rng(for_events)),
            shown=self._shown(place, catalogue, np.random.default_rng(for_events), np.random.default_rng(for_lists)),
            experiment=PastExperiment(trial.draft, trial.start(self.end)) if trial is not None else None,
        )

    def _trial(self, place: _Place) -> Trial | None:
        return self.trial if self.trial is not None and self.trial.scenario_id == place.scenario_id else None

    @property
    def _start(self) -> int:
        return milliseconds(self.end - timedelta(days=self.days))

    @property
    def _end(self) -> int:
        return milliseconds(self.end)

    def _shown(
        self, place: _Place, catalogue: Catalogue, random: np.random.Generator, delays: np.random.Generator
    ) -> Iterator[ShownList]:
        """The list of each session, from its impressions: these come in order of the position."""
        lists: dict[str, list[Event]] = {}
        for event in self._events(place, catalogue, random):
            if event.action == "impression" and event.request_id:
                lists.setdefault(event.request_id, []).append(event)
        took = np.exp(delays.normal(7.0, 0.5, len(lists)))
        trial, arms = self._trial(place), dict[str, str]()
        if trial is not None:
            users = list(dict.fromkeys(events[0].user_id for events in lists.values()))
            arms = dict(zip(users, trial.arms_of(users), strict=True))
        for (request_id, events), microseconds in zip(lists.items(), took.tolist(), strict=True):
            yield ShownList(
                request_id=request_id,
                user_id=events[0].user_id,
                at_ms=milliseconds(events[0].timestamp),
                item_ids=[event.item_id for event in events],
                placement=place.placement,
                took_us=round(microseconds),
                arm=arms[events[0].user_id]
                if trial is not None and events[0].timestamp >= trial.start(self.end)
                else "",
            )

    def _events(self, place: _Place, catalogue: Catalogue, random: np.random.Generator) -> Iterator[Event]:
        users = max(round(USERS * self.scale), 20)
        user_ids = [f"{place.scenario_id}-user-{user + 1:04d}" for user in range(users)]
        trial = self._trial(place)
        treatment = trial.treatment(user_ids, milliseconds(trial.start(self.end))) if trial is not None else None
        interactions = simulate(random, catalogue, place.habits, users, self._start, self._end, treatment)
        ids = [item.item_id for item in catalogue.items]
        columns = (
            interactions.users,
            interactions.items,
            interactions.actions,
            interactions.timestamps,
            interactions.values,
            interactions.positions,
            interactions.sessions,
        )
        for user, item, action, moment, value, position, session in zip(*(c.tolist() for c in columns), strict=True):
            yield Event.model_validate(
                {
                    "user_id": user_ids[user],
                    "item_id": ids[item],
                    "action": interactions.names[action],
                    "timestamp": moment,
                    "value": None if value != value else value,
                    "request_id": f"{place.scenario_id}-{user + 1:04d}-{session}",
                    "position": position,
                    "device": _DEVICES[user % len(_DEVICES)],
                }
            )
