"""Fit: hold what goes into a reasoner and what comes out of it to the schemas that its build registered.

What a caller sends is held to the live version's schema, since that is the contract that callers know: what does not
fit is theirs to mend, and is told before anything is written down. What comes out is held to the schema of the version
that gave it: what does not fit is that version's failure. A challenger that wants other input than the live version
gets what callers send, and fails by itself. Without schemas, or where the settings only show them, anything fits.
"""

from __future__ import annotations

from surefoot.core.build import Build
from surefoot.core.errors import Invalid
from surefoot.core.execution import Execution
from surefoot.ports import Ports
from surefoot.ports.node import Schemas


async def must_be_schemas(schemas: Schemas | None, build: Build) -> None:
    """Raise Invalid for a build whose schemas nobody could be held to."""
    if schemas is None:
        return
    found = [
        (f"{name} of {one.name}", schema)
        for one in (*build.reasoners, *build.skills)
        for name, schema in (("input_schema", one.input_schema), ("output_schema", one.output_schema))
    ]
    await schemas.check({name: schema for name, schema in found if schema})


async def must_fit(schemas: Schemas | None, live: Build, reasoner: str, value: object) -> None:
    """Raise Invalid for input that does not fit what the live version wants."""
    offered = live.offer(reasoner)
    if schemas is None or offered is None or not offered.input_schema:
        return
    if wrong := await schemas.misfit(offered.input_schema, value):
        raise Invalid(
            f"the input does not fit the input_schema of {live.agent}.{reasoner} ({wrong})",
            hint=f"send what {live.version} wants; a process registers its schemas",
        )


async def misfit_of(ports: Ports, schemas: Schemas | None, one: Execution, result: object) -> str:
    """Say why a result does not fit what its version promised; empty where it does."""
    if schemas is None:
        return ""
    build = await ports.store.read(lambda tx: tx.builds.named(one.agent, one.version))
    offered = build.offer(one.reasoner) if build else None
    if offered is None or not offered.output_schema:
        return ""
    wrong = await schemas.misfit(offered.output_schema, result)
    return f"the result does not fit the output_schema of {one.reasoner} ({wrong})" if wrong else ""
