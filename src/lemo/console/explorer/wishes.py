"""What is tried in the explorer: the wishes of one request, and what answers it; kept in the page's address."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError

from lemo.domain.errors import InvalidInput
from lemo.domain.ids import canonical_id
from lemo.domain.item import LONGEST_ID
from lemo.domain.reasons import reason, shortened
from lemo.domain.request import RecommendationRequest
from lemo.serving.trials import Variant

LENGTHS = (5, 10, 20, 50)
REPEATS = ("never", "allow", "only")


@dataclass(frozen=True, slots=True)
class Boosting:
    """One boost of the request."""

    weight: float
    filter: str


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the tried answer differs by from the one beside it."""

    filter: str = ""
    boosts: tuple[Boosting, ...] = ()
    diversity: float | None = None
    repeat: str = "never"
    """Whether items that the user has had are answered: `never`, `allow`, `only`."""
    base: Variant = field(default_factory=Variant)
    """What answers without the wishes."""
    tried: Variant = field(default_factory=Variant)
    """What answers with them."""

    @property
    def some(self) -> bool:
        """Whether there is anything to compare."""
        return self != Wishes()

    def request(self, user_id: str, n: int, explain: Sequence[str] = ()) -> RecommendationRequest:
        """The request with the wishes; raises InvalidInput for one that cannot be sent."""
        try:
            return RecommendationRequest.model_validate(self.body(user_id, n) | ({"explain": list(explain)}))
        except ValidationError as error:
            raise InvalidInput(f"{reason(error)}.", "Nothing was asked.") from error

    def body(self, user_id: str, n: int) -> dict[str, Any]:
        """The JSON body that asks the same of POST `.../recommendations`."""
        body: dict[str, Any] = {"user_id": user_id, "n": n}
        if self.filter:
            body["filter"] = self.filter
        if self.boosts:
            body["boost"] = [{"filter": each.filter, "weight": each.weight} for each in self.boosts]
        if self.diversity is not None:
            body["diversity"] = self.diversity
        if self.repeat != "never":
            body["repeat"] = self.repeat
        return body

    def parameters(self) -> list[tuple[str, str]]:
        """The wishes as parameters of the page's address."""
        found = [("filter", self.filter)]
        found += [("boost", f"{each.weight:g} {each.filter}") for each in self.boosts]
        found += [
            ("diversity", "" if self.diversity is None else f"{self.diversity:g}"),
            ("repeat", "" if self.repeat == "never" else self.repeat),
            ("model", self.tried.model_version),
            ("pipeline", _text(self.tried.pipeline_version)),
            ("base_model", self.base.model_version),
            ("base_pipeline", _text(self.base.pipeline_version)),
        ]
        return [(name, value) for name, value in found if value]


def wishes_of(parameters: Mapping[str, str], boosts: Sequence[str] = ()) -> Wishes:
    """The wishes in an address; raises InvalidInput for values that cannot be."""
    diversity = parameters.get("diversity", "")
    wishes = Wishes(
        filter=parameters.get("filter", "").strip(),
        boosts=tuple(_boosting(text) for text in boosts if text.strip()),
        diversity=_number("diversity", diversity) if diversity else None,
        repeat=parameters.get("repeat", "") or "never",
        base=Variant(parameters.get("base_model", ""), _version(parameters, "base_pipeline")),
        tried=Variant(parameters.get("model", ""), _version(parameters, "pipeline")),
    )
    wishes.request("anybody", 1)
    return wishes


def page_address(scenario: str, user: str, n: int, wishes: Wishes, item: str = "") -> str:
    """The address of the explorer in a state."""
    head = [("scenario", scenario), ("user", user), ("n", "" if n == LENGTHS[1] else str(n)), ("item", item)]
    return "/explore?" + urlencode([(name, value) for name, value in (*head, *wishes.parameters()) if value])


def as_command(wishes: Wishes, scenario: str, user: str, n: int, api: str) -> str:
    """The command that asks the API for the same; the key is a variable of the shell."""
    body = json.dumps(wishes.body(user, n), ensure_ascii=False).replace("'", r"'\''")
    return (
        f"curl {api}/v1/scenarios/{scenario}/recommendations \\\n"
        '  -H "Authorization: Bearer $LEMO_KEY" -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'"
    )


def moves(before: Sequence[str], after: Sequence[str]) -> dict[str, int | None]:
    """By how many places each item of `after` rose (above 0) or fell; None for one that is new."""
    places = {item_id: place for place, item_id in enumerate(before)}
    return {item_id: places[item_id] - place if item_id in places else None for place, item_id in enumerate(after)}


def checked_user(text: str) -> str:
    """The id that was typed; raises InvalidInput for one that no user can have."""
    user: str = canonical_id(text)
    if len(user) > LONGEST_ID:
        raise InvalidInput(f"An id has up to {LONGEST_ID} characters; this one has {len(user):,}.", "Correct it.")
    return user


def _boosting(text: str) -> Boosting:
    weight, _, filter = text.strip().partition(" ")
    return Boosting(_number("boost", weight), filter.strip())


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"{name}: {shortened(text)} is no number.", "Correct the address.") from None


def _version(parameters: Mapping[str, str], name: str) -> int | None:
    text = parameters.get(name, "")
    if not text:
        return None
    if not text.isdecimal():
        raise InvalidInput(f"{name}: {shortened(text)} is no version.", "Correct the address.")
    return int(text)


def _text(version: int | None) -> str:
    return "" if version is None else str(version)
