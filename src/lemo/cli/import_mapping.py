"""`lemo import --mapping NAME`: how a file is read, kept in the scenario and used again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from lemo.cli.output import messages

if TYPE_CHECKING:
    from lemo.domain.scenario import Scenario
    from lemo.domain.scope import Scope
    from lemo.files.plan import Plan, Wishes
    from lemo.stores.connect import Stores


class NamedMapping:
    """The mapping that an import names: what it says, where nothing is said now, and where it is kept.

    Raises InvalidInput for a mapping of the other kind.
    """

    def __init__(
        self,
        kind: Literal["items", "events"],
        name: str,
        scenario: "Scenario",
        said: "Wishes",
        leave_out: Sequence[str],
    ) -> None:
        from lemo.files.kept_mapping import wishes_of_mapping
        from lemo.files.plan import NOTHING_SAID

        self._kind = kind
        self._name = name
        self._known = scenario.mappings.get(name) if name else None
        self.wishes = said
        self.leave_out = list(leave_out)
        self._used = self._known is not None and said == NOTHING_SAID and not leave_out
        if self._known is not None and self._used:
            self.wishes = wishes_of_mapping(name, self._known, kind)
            self.leave_out = self._known.leave_out

    def keep(self, stores: "Stores", scope: "Scope", plan: "Plan") -> None:
        """Keeps how the file is read, unless it was read by the kept mapping; raises InvalidInput for a bad name."""
        if not self._name or self._used:
            return
        from lemo.cli.operator import operator
        from lemo.domain.file_mapping import replacing
        from lemo.files.kept_mapping import mapping_of
        from lemo.scheduling.scenario_changes import change_scenario

        mapping = mapping_of(self._kind, plan, self.wishes, self.leave_out)
        change = {"mappings": {self._name: replacing(self._known, mapping)}}
        change_scenario(stores, scope, change, operator(scope.tenant_id))
        messages.print(
            f"{'Replaced' if self._known else 'Kept'} the mapping {self._name}: next time `--mapping {self._name}` is"
            f" enough (`lemo mappings show {self._name} --scenario {scope.scenario_id}`).",
            markup=False,
            soft_wrap=True,
        )
