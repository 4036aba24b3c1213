"""Only parameters that a route names: a misspelt one would be left out, and the request would mean something else.

`DELETE /actors/ada?dryrun=true` erases, and a filter with a slip of the pen lists everything. Bodies are held to what
they name by their documents; this holds addresses to it.
"""

from __future__ import annotations

from fastapi import Request
from fastapi.dependencies.models import Dependant

from surefoot.core.errors import Invalid


async def only_named(request: Request) -> None:
    """Let a request pass; Invalid when its address has a parameter that its route does not name."""
    if not request.query_params:
        return
    named = _named(request.scope["route"].dependant)
    strange = next((name for name in request.query_params if name not in named), None)
    if strange is not None:
        takes = ", ".join(sorted(named)) or "none"
        raise Invalid(f"there is no parameter {strange[:60]!r} here", hint=f"parameters of this address: {takes}")


def _named(dependant: Dependant) -> set[str]:
    """The parameters of a route, and of all that it depends on."""
    return {one.alias for one in dependant.query_params}.union(*map(_named, dependant.dependencies))
