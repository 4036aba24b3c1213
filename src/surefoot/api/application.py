"""The application: all routes under one address, one shape of errors, one description in OpenAPI."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from fastapi import APIRouter, Depends, FastAPI
from starlette.routing import BaseRoute

from surefoot.api import (
    admitting,
    asking,
    assigning,
    connecting,
    conversing,
    deciding,
    enlisting,
    enrolling,
    examining,
    executing,
    explaining,
    exporting,
    finding,
    keeping,
    looking,
    pausing,
    proposing,
    recording,
    recounting,
    remembering,
    rolling,
    streaming,
    subscribing,
    surveying,
    telling,
    tracing,
    versioning,
    webhook,
    working,
)
from surefoot.api.describing import describe, operation_id
from surefoot.api.description import show_description
from surefoot.api.guarding import Guarded
from surefoot.api.limits import Capped
from surefoot.api.parameters import only_named
from surefoot.api.problems import install
from surefoot.api.reception import Reception
from surefoot.api.repeating import Repeatable

V1 = "/api/v1"


def build_api(reception: Reception) -> FastAPI:
    """Give the REST API at this reception. Its description is at /api/v1/openapi.json; it serves no pages."""
    app = FastAPI(
        title="Surefoot", version=reception.version or "0", openapi_url=None, docs_url=None,
        redoc_url=None, redirect_slashes=False, generate_unique_id_function=operation_id, routes=_routes(),
    )  # fmt: skip
    guarded = replace(reception.ports, store=Guarded(reception.ports.store))
    app.state.reception = replace(reception, ports=guarded)
    # Its own writes are none of the request's, so it gets the store as it is.
    app.add_middleware(Repeatable, ports=reception.ports, admission=reception.admission)
    app.add_middleware(Capped)
    install(app)
    show_description(app, f"{V1}/openapi.json")
    describe(app)
    return app


@cache
def _routes() -> list[BaseRoute]:
    """All routes, for every application of this process: FastAPI works each of them out again where it is included."""
    whole = APIRouter(generate_unique_id_function=operation_id)
    whole.include_router(looking.health)
    for room in (
        looking,
        deciding,
        recording,
        remembering,
        webhook,
        assigning,
        pausing,
        asking,
        conversing,
        admitting,
        proposing,
        enlisting,
        finding,
        explaining,
        telling,
        enrolling,
        executing,
        connecting,
        tracing,
        examining,
        keeping,
        versioning,
        rolling,
        working,
        surveying,
        recounting,
        streaming,
        subscribing,
        exporting,
    ):
        whole.include_router(room.router, prefix=V1, dependencies=[Depends(only_named)])
    return whole.routes
