"""The OpenAPI document: what FastAPI finds in the routes, and the errors that every operation of a kind may answer."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI

from lemo.api.problems import MEDIA_TYPE

_WITH_KEY = {
    401: "No key, or an unknown one.",
    403: "The key's role, its scenarios or its origins do not allow this.",
    422: "A parameter or the body breaks a rule.",
    429: "The tenant has reached a limit; try again after `Retry-After` seconds.",
    503: "An engine is away; try again after `Retry-After` seconds.",
}
_WITH_BODY = {
    400: "The body is no JSON.",
    408: "The body did not come in time.",
    413: "The body is larger than `LEMO_MAX_BODY_BYTES`.",
}
_CHANGING = {409: "It exists already, or somebody else has changed it meanwhile."}


def document_errors(app: FastAPI) -> None:
    """Adds the errors to the application's document, where a route does not describe them itself."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            for operations in made()["paths"].values():
                for method, operation in operations.items():
                    _add(operation, _WITH_KEY if "security" in operation else {})
                    _add(operation, _WITH_BODY if "requestBody" in operation else {})
                    _add(operation, {} if method == "get" else _CHANGING)
        return made()

    app.openapi = openapi  # type: ignore[method-assign]  # what FastAPI documents for extending it


def _add(operation: dict[str, Any], errors: Mapping[int, str]) -> None:
    for status, text in errors.items():
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        operation["responses"].setdefault(str(status), {"description": text, "content": content})
