"""What a visitor says in the form about how a file is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from lemo.domain.errors import InvalidInput
from lemo.domain.file_mapping import FileMapping
from lemo.files.plan import Wishes


@dataclass(frozen=True, slots=True)
class Said:
    """The contents of the form."""

    fields: Mapping[str, str] = field(default_factory=dict)
    leave_out: Sequence[str] = ()
    action: str = ""
    words: str = ""
    """Pairs as `4=purchase`, with commas between them."""
    no_time: bool = False
    order: Literal["dmy", "mdy"] | None = None
    encoding: str = ""
    delimiter: str = ""
    kept: str = ""
    """The mapping of the scenario that the form was filled from, unless it was changed since."""

    @classmethod
    def of_mapping(cls, name: str, mapping: FileMapping) -> "Said":
        """What a mapping of the scenario says."""
        return cls(
            fields=mapping.fields,
            leave_out=mapping.leave_out,
            action=mapping.action,
            words=", ".join(f"{word}={action}" for word, action in mapping.words.items()),
            no_time=mapping.no_time,
            order=mapping.date_order,
            encoding=mapping.encoding,
            delimiter=mapping.delimiter.replace("\t", "\\t"),
            kept=name,
        )

    def wishes(self) -> Wishes:
        """As the reader takes it; raises InvalidInput for words that say nothing."""
        words = {}
        for pair in filter(str.strip, self.words.split(",")):
            word, equals, action = (part.strip() for part in pair.rpartition("="))
            if not equals or not word or not action:
                raise InvalidInput(f"{pair.strip()!r} says of no word what it is.", "Write 4=purchase, pv=view.")
            words[word] = action
        return Wishes(
            fields=dict(self.fields),
            action=self.action,
            words=words,
            no_time=self.no_time,
            order=self.order,
            encoding=self.encoding,
            delimiter=self.delimiter.replace("\\t", "\t"),
            kept=bool(self.kept),
        )
