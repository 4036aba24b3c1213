"""Where an agent's Surefoot is: at the address that one setting names, else in this program on the store here."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from surefoot.core.errors import Invalid
from surefoot.sdk.agent import Agent
from surefoot.sdk.house import house_at
from surefoot.sdk.keepsake import folder
from surefoot.sdk.link import Inside, Place
from surefoot.sdk.model import Misfit

URL, TOKEN = "SUREFOOT_URL", "SUREFOOT_TOKEN"


def agent_at(
    name: str, *, url: str | None, token: str | None, store: str | Path | None,
    opens: Callable[[str | Path | None], Inside], misfit: Misfit, environ: Mapping[str, str] | None = None,
) -> Agent:  # fmt: skip
    """Give an agent: at `url`, else at SUREFOOT_URL, else inside; a store that is named is always inside.

    `misfit` compares an answer with a JSON schema, within the bounds that hold at a server too.
    """
    here = os.environ if environ is None else environ
    address = (url or ("" if store is not None else here.get(URL, ""))).strip().rstrip("/")
    if address:
        place = Place(url=_checked(address), token=(token or here.get(TOKEN, "")).strip())
        return Agent(name, house_at(place, (address, place.token), kept_in=folder(here)), new_id, misfit)
    where = str(Path(store).absolute()) if store is not None else f"{Path.cwd()}|{here.get('SUREFOOT_STORE', '')}"
    place = Place(opens=lambda: opens(store))
    return Agent(name, house_at(place, ("inside", where), kept_in=None), new_id, misfit)


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise Invalid(
            "the address of Surefoot is not usable", hint=f"set {URL} to something like http://127.0.0.1:8420"
        )
    return url


def new_id() -> str:
    """Give a fresh id that sorts by time (UUID version 7)."""
    milliseconds = time.time_ns() // 1_000_000
    raw = (milliseconds << 80) | (7 << 76) | (secrets.randbits(12) << 64) | (2 << 62) | secrets.randbits(62)
    text = f"{raw:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
