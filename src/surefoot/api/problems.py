"""The one shape of every error: code, message and hint, with a status by who can act.

The three are those of the command line and the store; a client needs to know one shape only. Validation, unknown
paths and our own mistakes come in it too.
"""

from __future__ import annotations

import math
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from surefoot.api.matching import Moved, Unconditional
from surefoot.core.errors import Conflict, Forbidden, Invalid, NotFound, SurefootError, Unavailable
from surefoot.core.rate import TooMany
from surefoot.core.signature import Unauthenticated
from surefoot.ports.recorder import Full

# The nearest family counts; a class stands before the one it is made from.
STATUS: tuple[tuple[type[SurefootError], int], ...] = (
    (Unauthenticated, 401), (Forbidden, 403), (NotFound, 404), (Moved, 412), (Conflict, 409), (Unconditional, 428),
    (Invalid, 422), (Full, 429), (TooMany, 429), (Unavailable, 503),
)  # fmt: skip


class Problem(BaseModel):
    """What went wrong, and what to do next."""

    code: str = Field(description="the family of the error")
    message: str = Field(description="what happened, to which thing")
    hint: str = Field(description="what to do next")


# By its name: FastAPI makes a model of its own for each error of each route it is given, a second for all of them.
ONE_SHAPE = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Give what a route declares about its errors; 401, 403, 422, 429 and 503 go without saying."""
    words = {family: (kind.__doc__ or "").partition("\n")[0] for kind, family in STATUS}
    told = (401, 403, *statuses, 422, 429, 503)
    return {status: {"description": words[status], "content": ONE_SHAPE} for status in told}


def status_of(error: SurefootError) -> int:
    """Give the status of an error."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def answer(status: int, code: str, message: str, hint: str = "") -> JSONResponse:
    """Give an error as it goes over the wire."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"code": code, "message": message, "hint": hint}, status, headers=headers)


def install(app: FastAPI) -> None:
    """Let an application answer every error in the one shape."""
    app.add_exception_handler(SurefootError, _ours)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _mistake)


async def _ours(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, SurefootError)
    told = answer(status_of(error), error.code, error.message, error.hint)
    if told.status_code == 429:
        told.headers["Retry-After"] = str(max(1, math.ceil(float(getattr(error, "retry_after_s", 1)))))
    return told


async def _unreadable(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return answer(422, "invalid", f"the body is no JSON, from character {first['loc'][-1]} on", "mend it there")
    if first["type"] == "model_attributes_type" and "json" not in request.headers.get("content-type", ""):
        return answer(422, "invalid", "the body is not sent as JSON", "send Content-Type: application/json")
    where = ".".join(str(part) for part in first["loc"])
    return answer(422, "invalid", f"{where}: {first['msg']}", "docs/reference/api.md shows what this route takes")


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = 422 if error.status_code == 400 else error.status_code  # a body that cannot be read is an invalid one
    code = {404: "not_found"}.get(status, "invalid" if status < 500 else "internal")
    return answer(status, code, str(error.detail).lower(), "docs/reference/api.md lists the routes")


async def _mistake(_: Request, error: Exception) -> JSONResponse:
    return answer(
        500, "internal", f"Surefoot made a mistake ({type(error).__name__})", "please report it, with its log"
    )
