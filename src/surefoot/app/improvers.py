"""Improvers by name: our own, and those of other packages, each of which runs in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from surefoot.adapters.improvers.lexical import LexicalImprover
from surefoot.config import ImproverSettings, Settings
from surefoot.core.errors import NotFound
from surefoot.ports import Improver, Model

OWN = ("lexical", "reflect", "gepa")


def improvers(
    settings: Settings, environ: Mapping[str, str], model_named: Callable[[str], Model]
) -> Mapping[str, Improver]:  # fmt: skip
    """Give all improvers; NotFound for an improver's model that is not configured."""
    own: dict[str, Improver] = {"lexical": LexicalImprover(), **_model_improvers(settings, environ, model_named)}
    return _Improvers(own, cache(lambda: _outside_improvers(settings, environ)))


@dataclass(frozen=True, slots=True)
class _Improvers(Mapping[str, Improver]):
    """Our own improvers, and those of other packages, which are looked for when one is asked for that is not ours."""

    own: Mapping[str, Improver]
    others: Callable[[], Mapping[str, Improver]]

    def __getitem__(self, name: str) -> Improver:
        return self.own[name] if name in self.own else self.others()[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.others(), **self.own})

    def __len__(self) -> int:
        return len({**self.others(), **self.own})


def _model_improvers(
    settings: Settings, environ: Mapping[str, str], model_named: Callable[[str], Model]
) -> Mapping[str, Improver]:  # fmt: skip
    """The improvers that write with a model, once there is one for them."""
    if settings.improver_model is None:
        return {}
    from surefoot.adapters.improvers.gepa import Gepa
    from surefoot.adapters.improvers.reflect import Reflect
    from surefoot.adapters.models.providers import endpoint_from

    try:
        endpoint = endpoint_from(settings.improver_model, settings.models, environ)
    except NotFound as problem:
        raise NotFound(f"improver_model: {problem.message}", hint=problem.hint) from None
    return {"reflect": Reflect(endpoint), "gepa": Gepa(endpoint, model_named)}


def _outside_improvers(settings: Settings, environ: Mapping[str, str]) -> Mapping[str, Improver]:
    """The improvers that other packages offer, each to be run in a process of its own."""
    from surefoot.adapters.improvers.outside import Outside, Terms, found, problem_of

    offered, made = found(), dict[str, Improver]()
    for one in offered:
        chosen = settings.improvers.get(one.name, ImproverSettings())
        terms = Terms(
            env={name: environ[name] for name in chosen.env if name in environ}, ports=chosen.ports,
            timeout_s=chosen.timeout_s, memory_mb=chosen.memory_mb, required=chosen.sandbox == "required",
        )  # fmt: skip
        if not problem_of(one, offered, OWN):
            made[one.name] = Outside(one, terms, store=settings.store)
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One thing that `doctor` tells about the improvers of other packages."""

    name: str
    detail: str
    hint: str = ""


async def outside_improvers(settings: Settings, environ: Mapping[str, str] | None = None) -> list[Said]:
    """Tell how every improver is that another package offers or the settings name, and which walls stand around it."""
    from surefoot.adapters.improvers.outside import found, problem_of, walls

    offered, here = found(), os.environ if environ is None else environ
    said = [
        Said(name=f"improver {one.name}", detail=f"{one.entry} of the package {one.package}", hint=problem_of(
            one, offered, OWN
        )) for one in offered
    ]  # fmt: skip
    known = {one.name for one in offered}
    for name, chosen in settings.improvers.items():
        if name not in known:
            said.append(Said(name=f"improver {name}", detail="no package offers it",
                             hint=f"install its package, or remove [improvers.{name}]"))  # fmt: skip
        if missing := [variable for variable in chosen.env if not here.get(variable)]:
            said.append(Said(name=f"improver {name}", detail=f"its variable {missing[0]} is not set"))
    if said:
        up = await walls(settings.store)
        told = ", ".join(f"{name} {f'missing ({why})' if why else 'stands'}" for name, why in up.items())
        said.append(Said(name="walls around improvers", detail=told))
    return said
