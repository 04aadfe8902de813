"""Bodies of documents: models to JSON values and JSON text, and back."""

import json
from datetime import UTC, datetime

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, from_json

from lemo.domain.errors import InvalidInput
from lemo.stores.documents import Body


def body_of(model: BaseModel) -> Body:
    """A model as a body of JSON values; its top-level datetimes get one width, so that they order as text.

    What a free field (`attributes`, `detail`) holds beyond JSON becomes text, NaN and infinity become null. Raises
    InvalidInput for what has no JSON at all, such as half a surrogate pair.
    """
    try:
        body: Body = from_json(model.model_dump_json())
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidInput(
            f"A {type(model).__name__.lower()} holds something that JSON cannot: {str(error)[:200]}.",
            "Send text, numbers, true, false, null, lists and objects only.",
        ) from None
    for name in type(model).model_fields:
        moment = getattr(model, name)
        if isinstance(moment, datetime):
            body[name] = moment_text(moment)
    return body


def moment_text(moment: datetime) -> str:
    """An aware datetime as ISO 8601 in UTC with six digits of a second: text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def encoded(id: str, body: Body) -> str:
    """The JSON text of a body; raises InvalidInput if the id or the body cannot be stored as UTF-8 JSON."""
    try:
        id.encode()
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInput(
            f"Document {id[:80]!a} cannot be stored as JSON: {str(error)[:200]}.",
            "Send UTF-8 text, finite numbers, true, false, null, lists and objects only.",
        ) from None
    return text


def decoded(text: str) -> Body:
    """The body that `encoded` made the text of."""
    body: Body = json.loads(text)
    return body
