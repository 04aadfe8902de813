"""Every error as RFC 9457 problem details: what happened and what to do; no traces, no secrets, no inputs."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from lemo.deadlines import PATIENCE_SECONDS, BodyDeadline
from lemo.domain.errors import (
    Conflict,
    EngineUnavailable,
    InvalidInput,
    LemoError,
    NotAllowed,
    NotFound,
    TooLarge,
    TooMuch,
    WrongCredential,
)

log = structlog.get_logger()

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
_SHOWN = 5
"""Faults of a request that one answer names."""


class BrokenBody(LemoError):
    """The body is no JSON."""


STATUS: Mapping[type[LemoError], HTTPStatus] = {
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    Conflict: HTTPStatus.CONFLICT,
    WrongCredential: HTTPStatus.UNAUTHORIZED,
    NotAllowed: HTTPStatus.FORBIDDEN,
    TooMuch: HTTPStatus.TOO_MANY_REQUESTS,
    EngineUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    BrokenBody: HTTPStatus.BAD_REQUEST,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = Field(examples=["urn:lemo:problem:not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no scenario 'shop'."])
    instance: str = Field(examples=["/v1/scenarios/shop/recommendations"])


DOCUMENTED: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text, "content": {MEDIA_TYPE: {}}}
    for status, text in {
        401: "No key, or an unknown one.",
        403: "The key's role, or its scenarios, do not allow this.",
        404: "The scenario does not exist (or is not this tenant's).",
        422: "A parameter or the body breaks a rule.",
        503: "An engine is away; try again after `Retry-After` seconds.",
    }.items()
}
"""The errors that any route below a scenario may answer, for its documentation."""


def problem(request: Request, status: int, detail: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response that tells of a problem."""
    phrase = HTTPStatus(status).phrase
    body = Problem(
        type=f"urn:lemo:problem:{phrase.lower().replace(' ', '-')}",
        title=phrase,
        status=status,
        detail=detail,
        instance=request.url.path[:300],
    )
    return JSONResponse(body.model_dump(), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Makes the application answer every error as a problem."""
    app.add_exception_handler(LemoError, _on_lemo_error)
    app.add_exception_handler(RequestValidationError, _on_wrong_request)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, _on_departure)
    app.add_exception_handler(Exception, _on_fault)
    app.add_middleware(BodyDeadline, refuse=_refuse_slow)


def _on_lemo_error(request: Request, error: Exception) -> JSONResponse:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        log.warning("an engine is away", path=request.url.path, error=str(error))
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if isinstance(error, TooMuch):
        headers["Retry-After"] = str(error.seconds)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return problem(request, status, str(error), headers)


def _on_wrong_request(request: Request, error: Exception) -> JSONResponse:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    # Where it is and what is expected there, never the input: it may be huge, or no JSON.
    parts = [f"{'.'.join(str(step)[:64] for step in each['loc'][1:])}: {each['msg'][:300]}" for each in faults[:_SHOWN]]
    return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(parts))


def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        return _on_fault(request, error)
    detail = {
        404: "There is no such route; /docs lists those there are.",
        405: "This route does not take this method; /docs says which it takes.",
    }.get(error.status_code, str(error.detail)[:300])
    return problem(request, error.status_code, detail, error.headers)


def _on_departure(request: Request, _error: Exception) -> JSONResponse:
    # That clients leave is no fault of the API, and nobody is there to read this.
    log.debug("a client left before its body was whole", path=request.url.path)
    return problem(request, HTTPStatus.BAD_REQUEST, "The connection was closed before the body was whole.")


async def _refuse_slow(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    log.info("a body came too slowly", path=request.url.path)
    detail = f"The body did not come in time: nothing for {PATIENCE_SECONDS:.0f} s, or too slowly. Send it again."
    response = problem(request, HTTPStatus.REQUEST_TIMEOUT, detail, {"Connection": "close"})
    await response(scope, receive, send)


def _on_fault(request: Request, error: Exception) -> JSONResponse:
    log.error("a request failed", path=request.url.path, exc_info=error)
    return problem(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something broke here; the log of the API says what. Try again later.",
    )
