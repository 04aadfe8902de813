"""What the explorer shows; it stands in the address, so that it can be shared."""

from dataclasses import dataclass, field

from lemo.console.explorer.wishes import LENGTHS, Wishes, page_address
from lemo.domain.scope import Scope


@dataclass(slots=True)
class State:
    """What one visitor's page shows."""

    scope: Scope
    user: str = ""
    n: int = LENGTHS[1]
    item: str = ""
    wishes: Wishes = field(default_factory=Wishes)
    trying: bool = False
    """Whether the side panel is open."""

    @property
    def address(self) -> str:
        """The address that shows the same."""
        return page_address(self.scope.scenario_id, self.user, self.n, self.wishes, self.item)
