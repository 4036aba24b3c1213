"""The route of the API's own description; it is worked out once, beside the requests, since it takes a second."""

from __future__ import annotations

import asyncio
import json

from fastapi import FastAPI, Request, Response


def show_description(app: FastAPI, path: str) -> None:
    """Serve the description of an application at a path; anyone may read it."""
    once, kept = asyncio.Lock(), list[bytes]()

    async def description(_: Request) -> Response:
        async with once:
            if not kept:
                kept.append(await asyncio.to_thread(lambda: json.dumps(app.openapi()).encode()))
        return Response(kept[0], media_type="application/json")

    app.add_route(path, description, include_in_schema=False)
