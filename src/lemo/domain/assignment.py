"""Which arm a user or a session belongs to: a hash decides, so every process gives the same answer at any time."""

from functools import lru_cache
from hashlib import blake2b
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
HELD_OUT, NOT_IN_SLICE, NOT_IN_RAMP, NO_ID = "held out", "outside its slice of the group", "outside the ramp", "no id"


class Arm(BaseModel):
    """One variant. Arms get units in proportion to their weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class Holdout(BaseModel):
    """A share of units that takes part in no experiment, to measure what all experiments together bring."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    salt: str = Field(min_length=1)
    share: Share


class Slice(BaseModel):
    """The part of an exclusion group that one experiment owns: units with `start` <= hash < `end`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str = Field(min_length=1)
    """The salt of the group. Experiments whose slices of one group do not overlap share no unit."""
    start: Share
    end: Share

    @model_validator(mode="after")
    def _not_empty(self) -> "Slice":
        if self.start >= self.end:
            raise ValueError(
                f"the slice of group {self.group} is empty: start {self.start} is not below end {self.end}"
            )
        return self

    def overlaps(self, other: "Slice") -> bool:
        """Whether a unit can be in both."""
        return self.group == other.group and self.start < other.end and other.start < self.end


class Allocation(BaseModel):
    """How an experiment divides its units. While it runs, only `ramp` may grow; other changes move units."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    salt: str = Field(min_length=1)
    """Unique to the experiment, so that its arms are independent of the arms of all others."""
    arms: tuple[Arm, ...] = Field(min_length=2)
    """The first is the control."""
    unit: Literal["user", "session"] = "user"
    ramp: Share = 1.0
    """Share of the eligible units that takes part."""
    slice: Slice | None = None

    @model_validator(mode="after")
    def _names_differ(self) -> "Allocation":
        if len({arm.name for arm in self.arms}) < len(self.arms):
            raise ValueError(f"two arms have one name: {', '.join(arm.name for arm in self.arms)}")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """The expected share of each arm among the assigned units; they add up to 1."""
        total = sum(arm.weight for arm in self.arms)
        return {arm.name: arm.weight / total for arm in self.arms}


class Assignment(BaseModel):
    """The arm of one unit, or why it has none."""

    model_config = ConfigDict(frozen=True)

    arm: str | None
    reason: str = ""


def assign(
    allocation: Allocation, user_id: str | None, session_id: str | None = None, holdout: Holdout | None = None
) -> Assignment:
    """The arm of the unit that the allocation names: the same in every process, and after every restart.

    Each decision hashes with a salt of its own. So a growing ramp adds units and moves none, and the holdout and the
    slices of a group do not depend on the arms.
    """
    unit = user_id if allocation.unit == "user" else session_id
    if not unit:
        return Assignment(arm=None, reason=NO_ID)
    if holdout is not None and position(f"holdout:{holdout.salt}", unit) < holdout.share:
        return Assignment(arm=None, reason=HELD_OUT)
    part = allocation.slice
    if part is not None and not part.start <= position(f"group:{part.group}", unit) < part.end:
        return Assignment(arm=None, reason=NOT_IN_SLICE)
    if position(f"ramp:{allocation.salt}", unit) >= allocation.ramp:
        return Assignment(arm=None, reason=NOT_IN_RAMP)
    place = position(f"arm:{allocation.salt}", unit) * sum(arm.weight for arm in allocation.arms)
    edge = 0.0
    for arm in allocation.arms:
        edge += arm.weight
        if place < edge:
            return Assignment(arm=arm.name)
    return Assignment(arm=allocation.arms[-1].name)  # rounding may leave the last edge a little below the place


def position(salt: str, unit: str) -> float:
    """Where a unit falls in [0, 1), uniformly and independently for each salt."""
    digest = blake2b(unit.encode(errors="surrogatepass"), key=_key(salt), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53  # a float64 holds 53 bits: more would round up to 1


@lru_cache(maxsize=4096)
def _key(salt: str) -> bytes:
    return blake2b(salt.encode(errors="surrogatepass"), digest_size=32).digest()
