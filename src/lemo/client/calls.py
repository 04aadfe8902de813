"""The calls of the API as data: what is sent, and what an answer means. Shared by both clients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_OWN = ("item_id", "score", "source", "because", "reason", "explored", "propensity", "team")


class LemoRefused(Exception):
    """The API refuses the call, whenever it is made: `status` and `detail` say why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class LemoUnavailable(Exception):
    """The API did not answer, or asks to be called later; all retries were used up."""


@dataclass(frozen=True, slots=True)
class Recommended:
    """One item of an answer."""

    item_id: str
    score: float
    reason: str
    source: str = ""
    because: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The fields and attributes that were asked for, as far as the item has them."""
    explored: bool = False
    """Whether chance put a new item here, to learn of it."""
    propensity: float | None = None
    """Of an explored item the probability with which it was put here, where it is known."""
    team: str | None = None
    """In an interleaved answer the arm of the experiment that the item came from."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Items, best first. Send `request_id` with the events that follow from them."""

    request_id: str
    model_version: str | None
    degraded: bool
    items: tuple[Recommended, ...]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Answer":
        """Reads the JSON of an answer."""
        items = tuple(
            Recommended(
                each["item_id"],
                each["score"],
                each["reason"],
                each.get("source", ""),
                tuple(each.get("because", ())),
                {name: value for name, value in each.items() if name not in _OWN},
                each.get("explored", False),
                each.get("propensity"),
                each.get("team"),
            )
            for each in body["items"]
        )
        return cls(body["request_id"], body["model_version"], body["degraded"], items)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of items or events that were sent."""

    accepted: int
    rejected: tuple[tuple[int, str], ...] = ()
    """Places in the list, from 0, and why."""
    repeated: int = 0

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> "Accepted":
        """Reads the JSON of an answer."""
        rejected = tuple((each["index"], each["reason"]) for each in body["rejected"])
        return cls(body["accepted"], rejected, body.get("repeated", 0))


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    path: str
    params: Mapping[str, Any] | None = None
    json: Any = None


def recommendations(
    scenario: str, user_id: str | None, session: Sequence[Any], n: int, wishes: Mapping[str, Any]
) -> Call:
    """For a user without wishes by GET, which the API answers fastest."""
    path = f"/v1/scenarios/{scenario}/recommendations"
    if user_id is not None and not session and not wishes:
        return Call("GET", path, {"user_id": user_id, "n": n})
    body: dict[str, Any] = {"n": n, **wishes}
    if user_id is not None:
        body["user_id"] = user_id
    if session:
        body["session"] = list(session)
    return Call("POST", path, json=body)


def similar(scenario: str, item_ids: Sequence[str], n: int, wishes: Mapping[str, Any]) -> Call:
    """For one item without wishes by GET."""
    path = f"/v1/scenarios/{scenario}/similar"
    if len(item_ids) == 1 and not wishes:
        return Call("GET", path, {"item_id": item_ids[0], "n": n})
    return Call("POST", path, json={"item_ids": list(item_ids), "n": n, **wishes})


def listed(scenario: str, what: str, n: int, **who: str | None) -> Call:
    """`popular` or `latest`; `who` asks, by `user_id` or `session_id`."""
    query = {name: value for name, value in who.items() if value is not None}
    return Call("GET", f"/v1/scenarios/{scenario}/{what}", {"n": n, **query})


def sent(scenario: str, what: str, rows: Sequence[Mapping[str, Any]]) -> Call:
    """`items` or `events`."""
    return Call("POST", f"/v1/scenarios/{scenario}/{what}", json={what: list(rows)})
