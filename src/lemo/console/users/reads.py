"""Reads what the pages of users show, by the same services as the API's routes. The calls block."""

from contextlib import closing
from dataclasses import dataclass

from lemo.console.queries import Queries
from lemo.console.shown import ShownItem, items_of, shown_answer
from lemo.domain.ids import canonical_id
from lemo.domain.scope import Scope
from lemo.domain.similar_users import SimilarUsers
from lemo.recommenders.profiles import UserProfile
from lemo.serving.users import UserInteraction, UserOverview, user_overview
from lemo.stores.connect import Stores
from lemo.stores.documents.erasures import ErasureReceipt
from lemo.users.erasure import check_erasure, erase_user
from lemo.users.merge import Merged, merge_users

HISTORY = 50
ANSWER = 10
SIMILAR = 8
FOUND = 50


@dataclass(frozen=True, slots=True)
class KnownUser:
    """What is known of a user, with the items' titles."""

    overview: UserOverview
    history: list[tuple[UserInteraction, ShownItem]]

    @property
    def profile(self) -> UserProfile | None:
        """Tastes as of the last profile run."""
        return self.overview.profile


@dataclass(frozen=True, slots=True)
class CurrentAnswer:
    """What the user would be answered now."""

    items: list[ShownItem]
    model_version: str | None
    degraded: bool


class UserReads:
    """Reads and changes for the pages of users. Safe for threads."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def find(self, scope: Scope, containing: str) -> list[str]:
        """Users with the newest events first, whose id holds the text in any case."""
        return self._queries.stores.events.recent_users(scope, canonical_id(containing), FOUND)

    def known(self, scope: Scope, user_id: str) -> KnownUser:
        """What is known of a user, as GET `.../users`; raises NotFound for a user without events."""
        stores = self._queries.stores
        found = user_overview(stores, scope, user_id, HISTORY)
        items = items_of(stores, scope, [each.item_id for each in found.history])
        history = [(each, ShownItem(each.item_id, items.get(each.item_id))) for each in found.history]
        return KnownUser(found, history)

    def answer(self, scope: Scope, user_id: str) -> CurrentAnswer:
        """The user's answer now, as GET `.../recommendations`."""
        stores = self._queries.stores
        types = stores.scenarios.get(scope).attribute_types
        answer = self._queries.serving.recommend(scope, user_id, ANSWER, types=types)
        return CurrentAnswer(shown_answer(stores, scope, answer), answer.model_version, answer.degraded)

    def similar(self, scope: Scope, user_id: str) -> SimilarUsers:
        """The users whose histories are most like this one's, as GET `.../similar-users`."""
        return self._queries.serving.similar_users(scope, user_id, SIMILAR)

    def erase(self, tenant_id: str, user_id: str, scenario_id: str, by: str) -> ErasureReceipt:
        """Erases a user from all stores, or those of one scenario; raises as `erase_user`. It may take minutes."""
        with closing(Stores(self._queries.settings)) as patient:
            return erase_user(patient, tenant_id, user_id, by, scenario_id)

    def check(self, tenant_id: str, receipt_id: str, user_id: str) -> ErasureReceipt:
        """Searches all stores for an erased user again; raises as `check_erasure`."""
        with closing(Stores(self._queries.settings)) as patient:
            return check_erasure(patient, tenant_id, receipt_id, user_id)

    def merge(self, tenant_id: str, guest: str, into: str, scenario_id: str, by: str) -> Merged:
        """Gives all that a guest did to another user; raises as `merge_users`."""
        with closing(Stores(self._queries.settings)) as patient:
            return merge_users(patient, tenant_id, guest, into, scenario_id, by)
