"""Upstreams by the names that agents give their models: an endpoint over HTTP, or a model of this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from surefoot.adapters.models.endpoint import endpoint_from
from surefoot.adapters.upstreams.http import HttpUpstream
from surefoot.adapters.upstreams.inside import InsideUpstream
from surefoot.adapters.upstreams.pool import Pool
from surefoot.core.errors import Invalid, NotFound, Unavailable
from surefoot.ports.model import Model
from surefoot.ports.upstream import Upstream

if TYPE_CHECKING:
    from surefoot.config import ModelSettings


def upstreams(
    models: Mapping[str, ModelSettings], environ: Mapping[str, str], pool: Pool, model_named: Callable[[str], Model]
) -> Callable[[str], Upstream]:  # fmt: skip
    """Give the upstreams by name; Unavailable for a model that is not set up rightly, since the app cannot mend it."""
    known: dict[str, Upstream] = {}

    def made(name: str) -> Upstream:
        if name in models or name.startswith("openai:"):
            return HttpUpstream(endpoint_from(name, models, environ), pool)
        return InsideUpstream(name, model_named(name))

    def named(name: str) -> Upstream:
        if name not in known:
            try:
                known[name] = made(name)
            except (Invalid, NotFound) as problem:
                raise Unavailable(problem.message, hint=problem.hint) from None
        return known[name]

    return named
