"""Recommendations, similar, popular and latest items of any scope: one code for API, batch export and jobs."""

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import blake2b
from types import TracebackType

from lemo import __version__
from lemo.domain.errors import EngineUnavailable, Outdated
from lemo.domain.interaction import filtered_items
from lemo.domain.recommendation import Answer
from lemo.domain.scope import Scope
from lemo.recommenders.hybrid.hybrid import HybridRecommender
from lemo.recommenders.scored import Scored
from lemo.serving.assembly import answer, newest, with_new_items
from lemo.serving.model_cache import REFRESH_SECONDS, ModelCache, Renewals
from lemo.serving.restore import restore
from lemo.serving.state import ServingState, load_state
from lemo.serving.user_state import RequestRedis, UserState, read_users
from lemo.stores.connect import Stores
from lemo.stores.redis.availability import AvailabilitySets
from lemo.stores.redis.precomputed import PrecomputedAnswer, history_version

PRECOMPUTED_ITEMS = 50
"""Items kept in a precomputed answer: enough for most requests after what became inactive is left out."""
_BATCH = 256
"""Users answered at once: few enough that the dense scores of a large catalogue fit into memory."""
_THREADS = 2
"""Batches computed at once: half of the work holds Python's global lock, so that more would wait for each other."""


class RecommendationService:
    """Answers requests from mapped snapshots and Redis; it never asks the document store.

    What serves is renewed in the background every two seconds, so that a promotion needs no restart; with
    `watch=False` it stays as it was first loaded, so that all of a batch is answered by one model. Safe for threads.
    """

    def __init__(
        self, stores: Stores, watch: bool = True, capacity: int = 64, refresh_seconds: float = REFRESH_SECONDS
    ) -> None:
        settings = stores.settings
        self._stores = stores
        self._redis = RequestRedis(settings.redis(0), settings.history_length, settings.history_days, stores.keys)
        # A batch rather waits for Redis than goes without.
        availability = AvailabilitySets(self._redis.redis, stores.keys) if watch else stores.availability
        self._scopes = ModelCache(
            lambda scope, before: load_state(scope, stores.snapshots, availability, before),
            capacity,
            watch,
            refresh_seconds,
        )

    def recommend(self, scope: Scope, user_id: str, n: int, exclude: Collection[str] = ()) -> Answer:
        """The n best items for the user, none of `exclude` among them; always answers, degraded if it must."""
        state = self._scopes.state(scope)
        found = _answers(state, [self._redis.read(scope, user_id)], n, exclude, state.exploration)[0]
        return (
            found.model_copy(update={"degraded": True})
            if self._scopes.is_stale(state, "model", "newest items")
            else found
        )

    def recommend_many(self, scope: Scope, users: Sequence[str], n: int) -> Iterator[tuple[str, Answer]]:
        """Each user's answer as `recommend` gives it, without new items; raises EngineUnavailable, never degrades."""
        state = self._complete_state(scope)
        for batch in _batches(users):
            stores = self._stores
            known = read_users(stores.redis, stores.history, stores.answers, stores.seen, scope, batch)
            yield from zip(batch, _answers(state, known, n, (), exploration=0), strict=True)

    def precompute(
        self, scope: Scope, users: Sequence[str], renew: bool = True
    ) -> Iterator[tuple[int, dict[str, PrecomputedAnswer]]]:
        """Batch by batch how many users it holds, and what `Answers.write_many` is to keep for them.

        Users whose answer in Redis would come out the same are left out, and it is renewed, unless all are wanted
        anew. Nothing comes while there is no model. The next batches are computed while one is looked at.
        """
        state = self._complete_state(scope)
        model, version = state.mapped.model, state.mapped.model_version
        if model is None or version is None:
            return
        # What is not published yet is computed too and left out when asked for, so that its moment comes by itself.
        gone = state.availability.gone()
        cache_key = _cache_key(gone)

        def answered(batch: Sequence[str]) -> tuple[int, dict[str, PrecomputedAnswer]]:
            histories = dict(zip(batch, self._stores.history.read_many(scope, batch), strict=True))
            seen = dict(zip(batch, self._stores.seen.read_many(scope, batch), strict=True))
            history_versions = {user: history_version(history, len(seen[user])) for user, history in histories.items()}
            renewed = self._stores.answers.renew(scope, version, cache_key, history_versions) if renew else set()
            asked = [user for user in batch if user not in renewed]
            scored = model.recommend(
                [histories[user] for user in asked], PRECOMPUTED_ITEMS, gone, [seen[user] for user in asked]
            )
            # What we made ourselves need not be validated.
            made = PrecomputedAnswer.model_construct
            return len(batch), {
                user: made(version=version, history_version=history_versions[user], cache_key=cache_key, items=items)
                for user, items in zip(asked, scored, strict=True)
            }

        under_way: deque[Future[tuple[int, dict[str, PrecomputedAnswer]]]] = deque()
        with ThreadPoolExecutor(_THREADS) as pool:
            for batch in _batches(users):
                under_way.append(pool.submit(answered, batch))
                if len(under_way) > _THREADS:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()

    def similar(self, scope: Scope, item_id: str, n: int) -> Answer:
        """The n items most similar to the item; for an item that nothing is known of, popular ones, degraded."""
        state = self._scopes.state(scope)
        if state.mapped.similar is not None:
            # Ask for more than n, since some may be hidden.
            unavailable = state.unavailable
            found = state.mapped.similar.of(item_id, n + len(unavailable))
            shown = [each for each in found if each.item_id not in unavailable][:n]
            if shown:
                degraded = self._scopes.is_stale(state, "similar items", "newest items")
                return answer(shown, state.mapped.similar_version, degraded)
        return answer(_popular(state, n, {item_id}), state.mapped.model_version, degraded=True)

    def knows(self, scope: Scope, item_id: str) -> bool:
        """Whether the snapshots or the newest items have the item; all are taken as known before the first model."""
        state = self._scopes.state(scope)
        model, similar = state.mapped.model, state.mapped.similar
        if model is None or item_id in model.item_ids or item_id in state.latest:
            return True
        return similar is not None and item_id in similar

    def popular(self, scope: Scope, n: int) -> Answer:
        """The n most popular items now; the newest ones, degraded, while there is no model."""
        state = self._scopes.state(scope)
        degraded = state.mapped.model is None or self._scopes.is_stale(state, "model", "newest items")
        return answer(_popular(state, n), state.mapped.model_version, degraded=degraded)

    def latest(self, scope: Scope, n: int) -> Answer:
        """The n newest items, at most about two seconds old; no model has a part in it."""
        state = self._scopes.state(scope)
        return answer(newest(state.latest, n, state.unavailable), None, degraded=not state.complete)

    def renewals(self) -> Renewals:
        """How old what serves is, over all scopes, and what keeps it from being renewed."""
        return self._scopes.renewals()

    def ping_redis(self) -> str:
        """Asks Redis for a sign of life, and does not wait long for it; raises EngineUnavailable."""
        return self._redis.ping()

    def close(self) -> None:
        """Stops renewing and lets go of connections."""
        self._scopes.close()
        self._redis.close()

    def _complete_state(self, scope: Scope) -> ServingState:
        if self._stores.availability.built_at(scope) is None:
            restore(self._stores, scope)
        state = self._scopes.state(scope)
        for fault in state.faults.values():
            if isinstance(fault, Outdated):  # waiting does not mend it
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
    state: ServingState, known: Sequence[UserState], n: int, exclude: Collection[str], exploration: float
) -> list[Answer]:
    """One answer for each user, from the precomputed items where they are current, else from the model."""
    model, version = state.mapped.model, state.mapped.model_version
    unavailable = state.unavailable.union(exclude) if exclude else state.unavailable
    if model is None:
        return [_last(user, state, n, unavailable) for user in known]
    items = [_precomputed(user, version, n, unavailable) for user in known]
    computed = iter(
        _computed(model, [user for user, ready in zip(known, items, strict=True) if ready is None], n, unavailable)
    )
    answers = []
    for user, ready in zip(known, items, strict=True):
        scored = next(computed) if ready is None else ready
        without = unavailable | filtered_items(user.history or (), state.rules) | user.seen
        items_shown = with_new_items(scored, state.new, state.latest, n, without, exploration)
        answers.append(answer(items_shown, version, degraded=user.history is None))
    return answers


def _last(known: UserState, state: ServingState, n: int, unavailable: frozenset[str]) -> Answer:
    """Without a model: what one answered last, as far as Redis remembers, and the newest items."""
    without = unavailable | filtered_items(known.history or (), state.rules) | known.seen
    stored = known.precomputed
    shown = [each for each in stored.items if each.item_id not in without] if stored else []
    version = stored.version if stored and shown else None
    return answer(with_new_items(shown, (), state.latest, n, without), version, degraded=True)


def _precomputed(known: UserState, version: str | None, n: int, unavailable: frozenset[str]) -> list[Scored] | None:
    """The stored items, if they come from this model and this history and are enough."""
    stored = known.precomputed
    if stored is None or known.history is None or stored.version != version:
        return None
    if stored.history_version != history_version(known.history, len(known.seen)):
        return None
    shown = [each for each in stored.items if each.item_id not in unavailable and each.item_id not in known.seen]
    all_there_is = len(stored.items) < PRECOMPUTED_ITEMS
    return shown[:n] if len(shown) >= n or all_there_is else None


def _computed(
    model: HybridRecommender, known: Sequence[UserState], n: int, unavailable: frozenset[str]
) -> list[list[Scored]]:
    if not known:
        return []
    return model.recommend([user.history or () for user in known], n, unavailable, [user.seen for user in known])


def _cache_key(unavailable: Collection[str]) -> str:
    """Names what a precomputed answer depends on besides model and history."""
    made_by = f"{__version__} {PRECOMPUTED_ITEMS} {len(unavailable)}"
    return blake2b(
        "\x1f".join([made_by, *sorted(unavailable)]).encode(errors="surrogatepass"), digest_size=12
    ).hexdigest()


def _batches(users: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(users), _BATCH):
        yield users[start : start + _BATCH]
