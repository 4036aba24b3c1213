"""The application: all routes under one address, one shape of errors, one description in OpenAPI."""

from __future__ import annotations

from fastapi import FastAPI

from surefoot.api import deciding, looking, recording, remembering, webhook
from surefoot.api.limits import Capped
from surefoot.api.problems import install
from surefoot.api.reception import Reception

V1 = "/api/v1"


def build_api(reception: Reception) -> FastAPI:
    """Give the REST API at this reception. Its description is at /api/v1/openapi.json; it serves no pages."""
    app = FastAPI(
        title="Surefoot", version=reception.version or "0", openapi_url=f"{V1}/openapi.json", docs_url=None,
        redoc_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.state.reception = reception
    app.add_middleware(Capped)
    install(app)
    app.include_router(looking.health)
    for room in (looking, deciding, recording, remembering, webhook):
        app.include_router(room.router, prefix=V1)
    return app
