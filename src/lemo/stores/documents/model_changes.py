"""Which model served when, and who put it there: written under the number that the pointer to the snapshot has."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel

from lemo.domain.errors import Conflict, NotFound
from lemo.domain.scope import Scope
from lemo.stores.documents import MODEL_CHANGES, Documents
from lemo.stores.documents.bodies import body_of
from lemo.stores.documents.models import KIND
from lemo.stores.objects.snapshots import Snapshots

Action = Literal["promote", "refresh", "rollback"]
MOST = 1_000
"""Changes that are looked back over: a refresh every night for nearly three years."""


class ModelChange(BaseModel):
    """One model in the place of another."""

    version: str
    previous: str = ""
    """What served before; empty for the first model."""
    action: Action
    """`promote`: better, or wanted by an operator; `refresh`: the same parameters on newer events; `rollback`."""
    changed_at: datetime
    changed_by: str
    """Training, or who asked for it by which way."""
    why: str = ""
    fence: int
    """The fencing number of the pointer."""


class ModelChanges:
    """The models that served, scenario by scenario, and the only way to put another one in service."""

    def __init__(self, documents: Documents, snapshots: Snapshots) -> None:
        self._documents = documents
        self._snapshots = snapshots

    def put_in_service(
        self, scope: Scope, version: str, fence: int, action: Action, by: str, why: str = ""
    ) -> ModelChange:
        """Makes a version the one that serves, and logs who did; raises NotFound, or Conflict after a later change.

        The line is written before the pointer moves, so no change is unlogged, wherever a process dies; a line whose
        pointer never moved is not believed (`history`).
        """
        change = ModelChange(
            version=version,
            previous=self._snapshots.current(scope, KIND) or "",
            action=action,
            changed_at=datetime.now(UTC),
            changed_by=by,
            why=why,
            fence=fence,
        )
        line = f"{fence:020d}"
        self._documents.put(MODEL_CHANGES, scope, {line: body_of(change)})
        try:
            self._snapshots.point(scope, KIND, version, fence)
        except (Conflict, NotFound):
            self._documents.delete(MODEL_CHANGES, scope, [line])
            raise
        return change

    def history(self, scope: Scope, limit: int = MOST) -> list[ModelChange]:
        """The newest changes that took effect, newest first: each from what the next one found."""
        serving = self._snapshots.current(scope, KIND)
        found = self._documents.find(MODEL_CHANGES, scope, order="-fence", limit=limit)
        return list(_effective([ModelChange.model_validate(body) for _, body in found], serving))

    def before(self, scope: Scope) -> list[str]:
        """The versions that a rollback can go to, the nearest first: what served before what serves, and so on.

        Whoever rolled back has taken back what served until then, so rolling back again goes further.
        """
        changes = self.history(scope)[::-1]
        stack = [changes[0].previous] if changes and changes[0].previous else []
        for change in changes:
            if change.action == "rollback" and change.version in stack:
                del stack[stack.index(change.version) + 1 :]
            else:
                stack.append(change.version)
        there = set(self._snapshots.versions(scope, KIND))
        serving = stack.pop() if stack else ""
        return [version for version in dict.fromkeys(stack[::-1]) if version in there and version != serving]

    def rejected(self, scope: Scope) -> dict[str, str]:
        """Versions that were rolled back from since a model was last promoted, the newest first, and by whom."""
        found: dict[str, str] = {}
        for change in self.history(scope):
            if change.action == "promote":
                break
            if change.action == "rollback":
                found.setdefault(change.previous, change.changed_by)
        return found


def _effective(changes: list[ModelChange], serving: str | None) -> Iterator[ModelChange]:
    """Follows the changes back, newest first, from what serves; of a run that died before its pointer, no line fits."""
    for change in changes:
        if change.version == serving:
            yield change
            serving = change.previous
