"""What came of an import: what was taken, what was not and why."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lemo.files.reading import Reading
from lemo.files.tally import Tally
from lemo.intake.import_counts import Change
from lemo.streams import Message


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an import."""

    readings: Sequence[Reading[Message]]
    left: int | None
    """Messages that the consumer has not taken; None where nobody waited for it."""
    seconds: float
    unknown: Sequence[str]
    """Items that events name and the catalogue does not hold."""
    tally: Tally
    change: Change | None = None
    """What the scenario held and holds, where that is known."""

    @property
    def published(self) -> int:
        """The good rows, which are in the log."""
        return sum(reading.good for reading in self.readings)

    @property
    def repeated(self) -> int:
        """Of the good rows, those that repeat an id."""
        return sum(reading.repeated for reading in self.readings)

    @property
    def reasons(self) -> Counter[str]:
        """How many rows each reason rejected."""
        return sum((reading.rejects.reasons for reading in self.readings), Counter())

    @property
    def files(self) -> list[dict[str, Any]]:
        """The numbers of each file."""
        return [
            {
                "file": str(reading.path),
                "read": reading.read,
                "published": reading.good,
                "repeated": reading.repeated,
                "rejected": reading.rejects.count,
                "rejects_file": str(reading.rejects.path) if reading.rejects.path and reading.rejects.count else None,
            }
            for reading in self.readings
        ]

    @property
    def first_rejected(self) -> list[dict[str, Any]]:
        """The first rejected rows of each file, with line and reason."""
        return [
            {"file": str(reading.path), "line": reject.line, "reason": reject.reason}
            for reading in self.readings
            for reject in reading.rejects.first
        ]

    @property
    def problems(self) -> list[str]:
        """What else went wrong, in sentences."""
        problems = [reading.rejects.problem for reading in self.readings if reading.rejects.problem]
        return problems + [
            f"{reading.path} holds no rows: nothing to import." for reading in self.readings if not reading.read
        ]

    def as_json(self) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "read": sum(reading.read for reading in self.readings),
            "published": self.published,
            "repeated": self.repeated,
            "rejected": sum(reading.rejects.count for reading in self.readings),
            "rejected_by_reason": dict(self.reasons.most_common()),
            "taken": None if self.left is None else self.left == 0,
            "seconds": round(self.seconds, 3),
            "files": self.files,
            "reasons": self.first_rejected,
            "problems": self.problems,
            "unknown_items": len(self.unknown),
            "known_before": self.change.known(self.published) if self.change else None,
            "new_users": self.change.after.users - self.change.before.users if self.change else None,
            **self.tally.as_json(),
        }
