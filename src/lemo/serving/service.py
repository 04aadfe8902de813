"""Recommendations, similar, popular and latest items of any scope, for the API, batch export and jobs alike."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from types import TracebackType
from typing import NamedTuple

from lemo import __version__
from lemo.domain.errors import EngineUnavailable, Outdated
from lemo.domain.interaction import filtered_items
from lemo.domain.recommendation import Answer
from lemo.domain.scope import Scope
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.scored import Scored
from lemo.serving.assembly import answer, newest, with_new_items
from lemo.serving.breaker import Breaker
from lemo.serving.catalogue.cache import NO_TYPES, AttributeTypes
from lemo.serving.choices import Choices
from lemo.serving.model_cache import REFRESH_SECONDS, ModelCache, Renewals
from lemo.serving.ready import ReadyAnswers
from lemo.serving.restore import restore
from lemo.serving.state import ServingState, load_state
from lemo.serving.user_state import RequestRedis, UserState, read_users
from lemo.stores.connect import Stores
from lemo.stores.redis.availability import AvailabilitySets
from lemo.stores.redis.precomputed import PrecomputedRecommendations

PRECOMPUTED_ITEMS = 60
"""Items of a precomputed answer: more than most requests ask for, as some become unavailable."""
SNAPSHOT_ROUNDS = 4
"""Renewals between two looks at the pointers to snapshots."""
_BATCH = 256
"""Users of a batch: few enough that the dense scores of a large catalogue fit into memory."""
_THREADS = 2
"""Batches computed in parallel. Half of the work holds Python's global lock, so more threads bring nothing."""


class Computed(NamedTuple):
    """A batch of precomputed answers."""

    users: int
    """Users of the batch, those whose answers are still current included."""
    answers: dict[str, PrecomputedRecommendations]
    marks: dict[str, bytes]
    """What the answers were computed from."""


class RecommendationService:
    """Answers requests from mapped snapshots and Redis, without the document store. Safe for threads.

    In the background, availability is renewed every half second and snapshots every two seconds, so that a promotion
    needs no restart. With `watch=False` they stay as first loaded, so that one model answers a whole batch.
    """

    def __init__(
        self, stores: Stores, watch: bool = True, capacity: int = 64, refresh_seconds: float = REFRESH_SECONDS
    ) -> None:
        settings = stores.settings
        self._stores = stores
        self._redis = RequestRedis(settings.redis(0), settings.history_length, settings.history_days, stores.keys)
        # A batch waits for Redis, a request does not.
        availability = AvailabilitySets(self._redis.redis, stores.keys) if watch else stores.availability
        self._cache = ModelCache(
            lambda scope, before: load_state(
                scope, stores.snapshots, availability, before, SNAPSHOT_ROUNDS * refresh_seconds
            ),
            capacity,
            watch,
            refresh_seconds,
        )
        self.choices = Choices(stores, self._cache, self._redis)
        """Answers requests with filters and other wishes."""
        self.ready = ReadyAnswers(self._cache)
        """Answers that need no computation."""

    def recommend(self, scope: Scope, user_id: str, n: int, exclude: Collection[str] = ()) -> Answer:
        """The n best items for the user without `exclude`. It always answers, degraded if necessary."""
        state = self._cache.state(scope)
        found = _answers(state, [self._redis.read(scope, user_id)], n, exclude, state.exploration)[0]
        return (
            found.model_copy(update={"degraded": True})
            if self._cache.is_stale(state, "model", "newest items")
            else found
        )

    def recommend_many(
        self, scope: Scope, users: Sequence[str], n: int, filter: str = "", types: AttributeTypes = NO_TYPES
    ) -> Iterator[tuple[str, Answer]]:
        """Each user's answer as by `recommend`, without exploration, of items that match a filter where one is given.

        Raises EngineUnavailable instead of degrading, and InvalidInput for the filter.
        """
        state = self._complete_state(scope)
        exclude: Collection[str] = ()
        if filter:
            model = state.mapped.model
            known = [*state.latest, *(model.item_ids if model is not None else ())]
            exclude = self.choices.unmatched(scope, filter, types, known)
        for batch in _batches(users):
            stores = self._stores
            states = read_users(stores.redis, stores.history, stores.precomputed, stores.seen, scope, batch)
            yield from zip(batch, _answers(state, states, n, exclude, exploration=0), strict=True)

    def precompute(self, scope: Scope, users: Sequence[str], renew: bool = True) -> Iterator[Computed]:
        """The batches of users, with the answers that `PrecomputedStore.write_many` stores for them.

        With `renew`, the stored answers that are still current are kept longer and not computed again. Yields nothing
        without a model. The next batches are computed while the caller handles one.
        """
        state = self._complete_state(scope)
        model, version = state.mapped.model, state.mapped.model_version
        if model is None or version is None:
            return
        # Items that are not published yet are computed too: a request filters them until then.
        gone = state.availability.gone()
        cache_key = _cache_key(gone)

        def compute(batch: Sequence[str]) -> Computed:
            renewed = self._stores.precomputed.renew(scope, version, cache_key, batch) if renew else set()
            pending = [user for user in batch if user not in renewed]
            # The marks first: what changes while this computes outdates what it computes.
            marks = self._stores.precomputed.marks(scope, pending)
            histories = self._stores.history.read_many(scope, pending)
            scored = model.recommend(histories, PRECOMPUTED_ITEMS, gone, self._stores.seen.read_many(scope, pending))
            answers = (PrecomputedRecommendations(version, cache_key, items) for items in scored)
            return Computed(len(batch), dict(zip(pending, answers, strict=True)), marks)

        under_way: deque[Future[Computed]] = deque()
        with ThreadPoolExecutor(_THREADS) as pool:
            for batch in _batches(users):
                under_way.append(pool.submit(compute, batch))
                if len(under_way) > _THREADS:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()

    def similar(self, scope: Scope, item_id: str, n: int) -> Answer:
        """The n items most similar to the item; popular items, degraded, where it has no similar items."""
        state = self._cache.state(scope)
        if state.mapped.similar is not None:
            # More than n, since some may be unavailable.
            unavailable = state.unavailable
            found = state.mapped.similar.of(item_id, n + len(unavailable))
            shown = [each for each in found if each.item_id not in unavailable][:n]
            if shown:
                degraded = self._cache.is_stale(state, "similar items", "newest items")
                return answer(shown, state.mapped.similar_version, degraded)
        return answer(_popular(state, n, {item_id}), state.mapped.model_version, degraded=True)

    def knows(self, scope: Scope, item_id: str) -> bool:
        """Whether the snapshots or the newest items contain the item; true for every item before the first model."""
        state = self._cache.state(scope)
        model, similar = state.mapped.model, state.mapped.similar
        if model is None or item_id in model.item_ids or item_id in state.latest:
            return True
        return similar is not None and item_id in similar

    def popular(self, scope: Scope, n: int) -> Answer:
        """The n most popular items now; the newest items, degraded, without a model."""
        state = self._cache.state(scope)
        degraded = state.mapped.model is None or self._cache.is_stale(state, "model", "newest items")
        return answer(_popular(state, n), state.mapped.model_version, degraded=degraded)

    def latest(self, scope: Scope, n: int) -> Answer:
        """The n newest items, as of about half a second ago, without a model."""
        state = self._cache.state(scope)
        return answer(newest(state.latest, n, state.unavailable), None, degraded=not state.complete)

    @property
    def breaker(self) -> Breaker:
        """Whether requests ask Redis now."""
        return self._redis.breaker

    def renewals(self) -> Renewals:
        """The age of the serving states of all scopes, and the error that prevents their renewal."""
        return self._cache.renewals()

    def ping_redis(self) -> str:
        """Pings Redis with a short time-out; raises EngineUnavailable."""
        return self._redis.ping()

    def close(self) -> None:
        """Stops the renewal and closes connections."""
        self.choices.close()
        self._cache.close()
        self._redis.close()

    def _complete_state(self, scope: Scope) -> ServingState:
        if self._stores.availability.built_at(scope) is None:
            restore(self._stores, scope)
        state = self._cache.state(scope)
        for fault in state.faults.values():
            if isinstance(fault, Outdated):  # waiting does not help
                raise fault
        if not state.complete:
            raise EngineUnavailable(
                f"The model or the newest items of {scope.scenario_id!r} cannot be read.",
                "`lemo doctor` shows which engine is away; try again when it is back.",
            )
        return state

    def __enter__(self) -> "RecommendationService":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _popular(state: ServingState, n: int, exclude: Collection[str] = ()) -> list[Scored]:
    unavailable = state.unavailable.union(exclude) if exclude else state.unavailable
    if state.mapped.model is None:
        return newest(state.latest, n, unavailable)
    return state.mapped.model.popular(n, unavailable)


def _answers(
    state: ServingState, users: Sequence[UserState], n: int, exclude: Collection[str], exploration: float
) -> list[Answer]:
    """The answer of each user: from the precomputed items where they are current, else from the model."""
    model, version = state.mapped.model, state.mapped.model_version
    unavailable = state.unavailable.union(exclude) if exclude else state.unavailable
    if model is None:
        return [_without_model(user, state, n, unavailable) for user in users]
    items = [_precomputed(user, version, n, unavailable) for user in users]
    computed = iter(
        _computed(model, [user for user, ready in zip(users, items, strict=True) if ready is None], n, unavailable)
    )
    answers = []
    for user, ready in zip(users, items, strict=True):
        scored = next(computed) if ready is None else ready
        without = unavailable | filtered_items(user.history or (), state.rules) | user.seen
        items_shown = with_new_items(scored, state.new, state.latest, n, without, exploration)
        answers.append(answer(items_shown, version, degraded=user.history is None))
    return answers


def _without_model(user: UserState, state: ServingState, n: int, unavailable: frozenset[str]) -> Answer:
    """The last precomputed answer, if Redis has one, filled up with the newest items."""
    without = unavailable | filtered_items(user.history or (), state.rules) | user.seen
    stored = user.precomputed
    shown = [each for each in stored.items if each.item_id not in without] if stored else []
    version = stored.version if stored and shown else None
    return answer(with_new_items(shown, (), state.latest, n, without), version, degraded=True)


def _precomputed(user: UserState, version: str | None, n: int, unavailable: frozenset[str]) -> list[Scored] | None:
    """The stored items, if this model computed them from this history and they are enough."""
    stored = user.current(version)
    if stored is None:
        return None
    shown = [each for each in stored if each.item_id not in unavailable and each.item_id not in user.seen]
    complete = len(stored) < PRECOMPUTED_ITEMS
    return shown[:n] if len(shown) >= n or complete else None


def _computed(
    model: HybridRecommender, users: Sequence[UserState], n: int, unavailable: frozenset[str]
) -> list[list[Scored]]:
    if not users:
        return []
    return model.recommend([user.history or () for user in users], n, unavailable, [user.seen for user in users])


def _cache_key(unavailable: Collection[str]) -> str:
    """Key of everything that a precomputed answer depends on besides model and history."""
    made_by = f"{__version__} {PRECOMPUTED_ITEMS} {len(unavailable)}"
    return blake2b(
        "\x1f".join([made_by, *sorted(unavailable)]).encode(errors="surrogatepass"), digest_size=12
    ).hexdigest()


def _batches(users: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(users), _BATCH):
        yield users[start : start + _BATCH]
