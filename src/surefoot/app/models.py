"""Models by name: scripted ones, the offline ones, recordings, and those of a provider."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from surefoot.adapters.models.local_lexical import LocalLexical
from surefoot.config import Settings
from surefoot.core.errors import Invalid
from surefoot.ports import Model

PROCESS = "process"


def models_by_name(
    settings: Settings, environ: Mapping[str, str], scripted: Mapping[str, Model]
) -> Callable[[str], Model]:  # fmt: skip
    """Give what gives a model; NotFound, by that, for one that is not configured."""

    @cache
    def named(name: str) -> Model:
        if name in scripted:
            return scripted[name]
        if name == "local-lexical":
            return LocalLexical()
        if name == PROCESS:
            raise Invalid(
                "the versions of this agent are processes, and no model speaks for them",
                hint="surefoot execute AGENT.REASONER asks one; surefoot rollout start --force offers one to traffic",
            )
        if name.startswith("replay:"):
            from surefoot.adapters.models.replay import Replay, load_recordings

            return Replay(load_recordings(Path(name.removeprefix("replay:"))))
        from surefoot.adapters.models.providers import ProviderModel, endpoint_from

        return ProviderModel(endpoint_from(name, settings.models, environ))

    return named
