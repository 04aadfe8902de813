"""A named mapping of a scenario: how files of one origin become items or events."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lemo.domain.event import Action

_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
_Column = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_Columns = Annotated[dict[_Name, _Column], Field(max_length=50)]
_Words = Annotated[dict[_Column, Action], Field(max_length=200)]


class FileMapping(BaseModel):
    """What `lemo import` was told, and what it guessed and was confirmed, about files that look alike."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["items", "events"]
    fields: _Columns = {}
    """For fields, the columns they are in."""
    action: Annotated[str, StringConstraints(max_length=64)] = ""
    """The action of every event."""
    words: _Words = {}
    """For words of the file's actions, the scenario's."""
    no_time: bool = False
    date_order: Literal["dmy", "mdy"] | None = None
    """What comes first in dates such as 11/12/2019."""
    encoding: Annotated[str, StringConstraints(max_length=40)] = ""
    delimiter: Annotated[str, StringConstraints(max_length=10)] = ""
    leave_out: Annotated[list[_Column], Field(max_length=200)] = []
    """Columns that are read as if they were not there."""


def replacing(old: FileMapping | None, new: FileMapping) -> dict[str, Any]:
    """The merge patch (RFC 7396) that puts a mapping in the place of another."""
    patch: dict[str, Any] = new.model_dump(exclude_none=True)
    if old is not None:
        for name in ("fields", "words"):
            patch[name] = dict.fromkeys(getattr(old, name)) | patch[name]
        if new.date_order is None:
            patch["date_order"] = None
    return patch
