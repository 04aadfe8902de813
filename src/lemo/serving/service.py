"""Recommendations, similar, popular and latest items of any scope, for the API, batch export and jobs alike.

It is long because it is the one entrance to serving: every kind of answer has a method here.
"""

from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from functools import reduce
from hashlib import blake2b
from itertools import chain
from types import TracebackType
from typing import NamedTuple

from lemo import __version__
from lemo.domain.audience import Audience, AudienceRequest
from lemo.domain.errors import EngineUnavailable, Outdated
from lemo.domain.recommendation import Answer, ExplainedItem
from lemo.domain.request import Choice, RecommendationRequest
from lemo.domain.scope import Scope
from lemo.domain.similar_users import SimilarUsers
from lemo.recommenders.scored import Scored
from lemo.serving.arms import ArmLoader, ServingArm
from lemo.serving.assembly import answer, newest, shown_of
from lemo.serving.audience import audience
from lemo.serving.breaker import Breaker
from lemo.serving.catalogue.cache import NO_TYPES, AttributeTypes
from lemo.serving.choices import Choices
from lemo.serving.model_cache import REFRESH_SECONDS, ModelCache
from lemo.serving.pipeline.cache import PipelineCache
from lemo.serving.pipeline.explain import Timed
from lemo.serving.pipeline.plan import Exclusions
from lemo.serving.pipeline.recall import popular
from lemo.serving.ready import ReadyAnswers
from lemo.serving.renewals import Renewals
from lemo.serving.restore import restore
from lemo.serving.similar_users import similar_users
from lemo.serving.state import ServingState, load_state
from lemo.serving.user_state import RequestRedis, read_users
from lemo.stores.connect import Stores
from lemo.stores.objects.versions import made_at
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
        self,
        stores: Stores,
        watch: bool = True,
        capacity: int = 64,
        refresh_seconds: float = REFRESH_SECONDS,
        timed: Timed | None = None,
    ) -> None:
        """`timed` is told how long each stage of an answer to one request took."""
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
        arms = ArmLoader(stores.experiments, stores.pipelines, lambda: stores.snapshots)
        self._pipelines = PipelineCache(stores.pipelines, arms, watch)
        self.choices = Choices(stores, self._cache, self._redis, self._pipelines, PRECOMPUTED_ITEMS, timed)
        """Answers requests with filters and other wishes."""
        self.ready = ReadyAnswers(self._cache, self._pipelines, self.choices)
        """Answers that need no computation."""

    def recommend(
        self,
        scope: Scope,
        user_id: str,
        n: int,
        exclude: Collection[str] = (),
        types: AttributeTypes = NO_TYPES,
        session_id: str | None = None,
    ) -> Answer:
        """The n best items for the user without `exclude`, by the user's arm or else the pipeline in service.

        The answer is degraded if necessary.

        Raises EngineUnavailable only where the pipeline has a filter and the catalogue cannot be read.
        """
        request = RecommendationRequest.model_construct(
            user_id=user_id, session_id=session_id, n=n, exclude=list(exclude)
        )
        found = self.choices.find(scope, request, types)
        answered = answer(found.items, found.version, found.degraded)
        return _told(answered, found.arm, found.pipeline.version)

    def explain(
        self, scope: Scope, user_id: str, n: int, item_ids: Sequence[str], filter: str, types: AttributeTypes
    ) -> Sequence[ExplainedItem]:
        """Why each of the items is in a user's answer, or is not; raises as `recommend_many`."""
        self._complete_state(scope)
        request = RecommendationRequest(user_id=user_id, n=n, filter=filter or None, explain=list(item_ids))
        return self.choices.recommend(scope, request, types).explained or ()

    def recommend_many(
        self, scope: Scope, users: Sequence[str], n: int, filter: str = "", types: AttributeTypes = NO_TYPES
    ) -> Iterator[tuple[str, Answer]]:
        """Each user's answer as by `recommend`, without exploration, of items that match a filter where one is given.

        Raises EngineUnavailable instead of degrading, and InvalidInput for the filter.
        """
        state = self._complete_state(scope)
        request = Choice.model_construct(n=n, filter=filter or None)  # a batch may ask for more than a request
        for batch in _batches(users):
            stores = self._stores
            states = read_users(stores.redis, stores.history, stores.precomputed, stores.seen, scope, batch)
            found = self.choices.find_many(scope, state, states, request, types)
            for user_id, (items, version) in zip(batch, found, strict=True):
                yield user_id, answer(items, version, degraded=state.mapped.model is None)

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
        pipeline = self._pipelines.serving(scope).pipeline
        depth = max(PRECOMPUTED_ITEMS, pipeline.recall.candidates if pipeline.reorders else 0)
        cache_key = _cache_key(gone, depth)

        def compute(batch: Sequence[str]) -> Computed:
            renewed = self._stores.precomputed.renew(scope, version, cache_key, batch) if renew else set()
            pending = [user for user in batch if user not in renewed]
            # The marks first: what changes while this computes outdates what it computes.
            marks = self._stores.precomputed.marks(scope, pending)
            histories = self._stores.history.read_many(scope, pending)
            scored = model.recommend(histories, depth, gone, self._stores.seen.read_many(scope, pending))
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

    def similar(
        self,
        scope: Scope,
        item_id: str,
        n: int,
        types: AttributeTypes = NO_TYPES,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> Answer:
        """The n items most similar to the item; popular items, degraded, where it has no similar items.

        By the arm of the user or session where one is named and an experiment on similar items has one for it.
        """
        arm = self.choices.list_arm(scope, "similar", user_id, session_id)
        return _told(self._similar(scope, item_id, n, types, arm), arm, self.choices.version(scope, arm))

    def _similar(self, scope: Scope, item_id: str, n: int, types: AttributeTypes, arm: ServingArm | None) -> Answer:
        state = self._cache.state(scope)
        state = state if arm is None else arm.state(state)
        hidden = self.choices.hidden(scope, state, types, arm)
        if state.mapped.similar is not None:
            shown = shown_of(state.mapped.similar.of(item_id), n, hidden)
            if shown:
                degraded = self._cache.is_stale(state, "similar items", "newest items") or self.choices.is_stale(scope)
                return answer(shown, state.mapped.similar_version, degraded)
        return answer(
            _popular(state, n, replace(hidden, excluded={item_id})), state.mapped.model_version, degraded=True
        )

    def knows(self, scope: Scope, item_id: str) -> bool:
        """Whether the snapshots or the newest items contain the item; true for every item before the first model."""
        state = self._cache.state(scope)
        model, similar = state.mapped.model, state.mapped.similar
        if model is None or (similar is not None and item_id in similar):
            return True
        return len(model.rows([item_id])) > 0 or item_id in state.latest

    def popular(
        self,
        scope: Scope,
        n: int,
        types: AttributeTypes = NO_TYPES,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> Answer:
        """The n most popular items now; the newest items, degraded, without a model. By an arm as `similar`."""
        arm = self.choices.list_arm(scope, "popular", user_id, session_id)
        state = self._cache.state(scope)
        state = state if arm is None else arm.state(state)
        degraded = state.mapped.model is None or self._cache.is_stale(state, "model", "newest items")
        degraded = degraded or self.choices.is_stale(scope)
        hidden = self.choices.hidden(scope, state, types, arm)
        answered = answer(_popular(state, n, hidden), state.mapped.model_version, degraded=degraded)
        return _told(answered, arm, self.choices.version(scope, arm))

    def latest(self, scope: Scope, n: int, types: AttributeTypes = NO_TYPES) -> Answer:
        """The n newest items, as of about half a second ago, without a model."""
        state = self._cache.state(scope)
        hidden = self.choices.hidden(scope, state, types)
        found = newest(chain(state.latest, hidden.matching_ids()), n, hidden)
        return answer(found, None, degraded=not state.complete or self.choices.is_stale(scope))

    def audience(self, scope: Scope, request: AudienceRequest, types: AttributeTypes = NO_TYPES) -> Audience:
        """The users who most likely want some items; raises as `serving.audience.audience`."""
        return audience(self._stores, self.choices, self._cache.state(scope), scope, request, types)

    def similar_users(self, scope: Scope, user_id: str, n: int) -> SimilarUsers:
        """The users whose histories are most like one user's; raises as `serving.similar_users.similar_users`."""
        return similar_users(self._stores, self._cache.state(scope), scope, user_id, n)

    def pipeline_version(self, scope: Scope) -> int | None:
        """The version of the pipeline in service, where it is known; never waits."""
        serving = self._pipelines.known(scope)
        return None if serving is None else serving.version

    @property
    def breaker(self) -> Breaker:
        """Whether requests ask Redis now."""
        return self._redis.breaker

    def renewals(self) -> Renewals:
        """The age of the serving states of all scopes, and the error that prevents their renewal."""
        models, *others = self.renewals_by_part().values()
        return reduce(Renewals.with_part, others, models)

    def renewals_by_part(self) -> Mapping[str, Renewals]:
        """The same of `models`, `pipelines` and, where a request has needed them, `catalogues`."""
        return {"models": self._cache.renewals(), **self.choices.renewals()}

    def oldest_snapshots(self) -> Mapping[str, datetime]:
        """When the oldest `model` and the oldest `similar` that serve were made."""
        oldest: dict[str, datetime] = {}
        for state in self._cache.states():
            for kind, version in (("model", state.mapped.model_version), ("similar", state.mapped.similar_version)):
                if version is not None and (made := made_at(version)) is not None:
                    oldest[kind] = min(made, oldest.get(kind, made))
        return oldest

    def ping_redis(self) -> str:
        """Pings Redis with a short time-out; raises EngineUnavailable."""
        return self._redis.ping()

    def close(self) -> None:
        """Stops the renewal and closes connections."""
        self.choices.close()
        self._pipelines.close()
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


def _told(answered: Answer, arm: ServingArm | None, pipeline_version: int) -> Answer:
    """The answer with the experiment and the arm that it is of."""
    if arm is not None:
        answered.experiment, answered.arm = arm.experiment, arm.named
        answered.pipeline_version = pipeline_version
    return answered


def _popular(state: ServingState, n: int, hidden: Exclusions) -> list[Scored]:
    if state.mapped.model is None:
        return newest(state.latest, n, hidden)
    return popular(state.mapped.model, n, hidden)


def _cache_key(unavailable: Collection[str], depth: int) -> str:
    """Key of everything that a precomputed answer depends on besides model and history."""
    made_by = f"{__version__} {depth} {len(unavailable)}"
    return blake2b(
        "\x1f".join([made_by, *sorted(unavailable)]).encode(errors="surrogatepass"), digest_size=12
    ).hexdigest()


def _batches(users: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(users), _BATCH):
        yield users[start : start + _BATCH]
