"""`doctor`: can Surefoot work here? Looks at everything, changes nothing, spends nothing.

Keys are told by the name of their variable, never by value. Servers on this machine are asked for their models; only
an answer of the right shape counts, since other programs like the same ports.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from surefoot.cli.desk import Desk
from surefoot.core.errors import SurefootError

if TYPE_CHECKING:
    from surefoot.cli.screen import Screen
    from surefoot.config import Settings

PACKAGES = (
    "surefoot",
    "dbos",
    "sqlalchemy",
    "alembic",
    "pydantic",
    "pydantic-ai-slim",
    "genai-prices",
    "typer",
    "rich",
)
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "MISTRAL_API_KEY", "GROQ_API_KEY",
        "OPENROUTER_API_KEY", "AZURE_OPENAI_API_KEY", "DEEPSEEK_API_KEY", "XAI_API_KEY")  # fmt: skip
SERVERS = {"Ollama": 11434, "LM Studio": 1234, "vLLM": 8000, "llama.cpp": 8080}
PROBE_S, PATIENCE_S = 0.15, 1.0
LEAST_FREE_BYTES, SCARCE_BYTES = 20_000_000, 500_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding; `ok` is None for what is merely said, and False only for what keeps Surefoot from working."""

    name: str
    ok: bool | None
    detail: str
    hint: str = ""


async def doctor(desk: Desk) -> int:
    """Check whether Surefoot can work here.

    Changes nothing and spends nothing. Exit code 1 when it cannot be used.
    """
    from surefoot.cli.doctor_agents import coding_agents

    seen = await coding_agents()
    checks = [*findings(desk), *(Check(name=one.name, ok=None, detail=one.detail, hint=one.hint) for one in seen)]
    checks += await _outside_improvers(desk)
    usable = all(check.ok is not False for check in checks)

    def page(screen: Screen) -> None:
        for check in checks:
            mark, tone = {True: ("ok", "green"), False: ("no", "red"), None: ("--", "")}[check.ok]
            screen.line(f"{mark}  {check.name}: {check.detail}", tone)
            if check.hint:
                screen.line(f"      {check.hint}")
        screen.title("Surefoot can work here" if usable else "Surefoot cannot work here until this is mended")

    desk.give({"usable": usable, "checks": [
        {"name": check.name, "ok": check.ok, "detail": check.detail, "hint": check.hint} for check in checks
    ]}, page)  # fmt: skip
    return 0 if usable else 1


def findings(desk: Desk) -> list[Check]:
    """Give every finding, in the order in which they matter."""
    checks = [_python(), *_packages()]
    try:
        settings = desk.settings()
    except SurefootError as problem:
        return [*checks, Check(name="settings", ok=False, detail=problem.message, hint=problem.hint)]
    return [
        *checks,
        *_store(settings),
        *_workflows(settings),
        _keys(settings, os.environ),
        *_models(settings),
        *_servers(),
    ]


def _python() -> Check:
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check(name="python", ok=sys.version_info >= (3, 11), detail=version)


def _packages() -> list[Check]:
    from importlib.metadata import PackageNotFoundError, version

    found, missing = list[str](), list[str]()
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    checks = [Check(name="packages", ok=True, detail=", ".join(found))]
    if gone := [name for name in missing if name != "surefoot"]:
        checks.append(
            Check(name="packages", ok=False, detail=f"missing: {', '.join(gone)}", hint="install surefoot again")
        )
    if "surefoot" in missing:
        checks.append(Check(name="packages", ok=None, detail="surefoot runs from a source tree, not installed"))
    return checks


def _store(settings: Settings) -> list[Check]:
    import shutil

    from surefoot.cli.storefile import look

    seen, where = look(settings.store), _existing(settings.store)
    free = shutil.disk_usage(where).free
    room = f"{free / 1e9:.1f} GB free at {where}"
    checks = [Check(name="space", ok=free >= LEAST_FREE_BYTES, detail=room,
                    hint="free some space" if free < SCARCE_BYTES else "")]  # fmt: skip
    if not seen.there:
        allowed = os.access(where, os.W_OK | os.X_OK)
        return [Check(name="store", ok=None if allowed else False, detail=f"there is none at {settings.store} yet",
                      hint="surefoot init makes one" if allowed else f"make {where} writable"), *checks]  # fmt: skip
    if seen.problem:
        return [Check(name="store", ok=False, detail=f"{seen.path} is damaged or no store: {seen.problem}",
                      hint="surefoot restore FILE puts a backup in its place"), *checks]  # fmt: skip
    if seen.unwritable:
        return [Check(name="store", ok=False, detail=f"{seen.path} cannot be written: {seen.unwritable}",
                      hint="give yourself write access to the file and its directory"), *checks]  # fmt: skip
    return [Check(name="store", ok=True, detail=f"{seen.path}, {seen.size_bytes / 1e6:.1f} MB, readable and writable"),
            *checks, _schema(seen.schema)]  # fmt: skip


def _schema(revision: str) -> Check:
    if not revision:
        return Check(name="schema", ok=False, detail="the file is no Surefoot store", hint="name another with --store")
    return Check(name="schema", ok=True, detail=f"{revision} (surefoot db upgrade brings an older one up to date)")


def _existing(path: Path) -> Path:
    """The nearest directory that is there."""
    return next(parent for parent in path.absolute().parents if parent.is_dir())


def _workflows(settings: Settings) -> list[Check]:
    from surefoot.cli.storefile import look

    unfinished = look(settings.store).unfinished
    if not unfinished:
        return []
    some = ", ".join(unfinished[:5])
    return [Check(name="workflows", ok=None, detail=f"{len(unfinished)} unfinished: {some}",
                  hint="a running worker has them, or surefoot loop AGENT goes on with them")]  # fmt: skip


def _keys(settings: Settings, environ: Mapping[str, str]) -> Check:
    names = dict.fromkeys([*KEYS, *(one.api_key_env for one in settings.models.values() if one.api_key_env)])
    found = [name for name in names if environ.get(name, "").strip()]
    return Check(
        name="keys", ok=None, detail=f"{', '.join(found)} (set)" if found else "none is set; local models need none"
    )


def _models(settings: Settings) -> list[Check]:
    """Say which models are configured, and which of them miss their key."""
    checks: list[Check] = []
    for name, one in settings.models.items():
        missing = bool(one.api_key_env) and not os.environ.get(one.api_key_env or "", "").strip()
        checks.append(Check(
            name=f"model {name}", ok=None, detail=f"{one.model} at {one.base_url or 'the provider'}",
            hint=f"set {one.api_key_env}: it holds the key, and is not set" if missing else "",
        ))  # fmt: skip
    return checks


async def _outside_improvers(desk: Desk) -> list[Check]:
    """Say which improvers other packages offer, and which walls stand around them; none of them is imported."""
    from surefoot.app import outside_improvers

    try:
        said = await outside_improvers(desk.settings())
    except SurefootError:  # the settings cannot be read, which is said already
        return []
    return [Check(name=one.name, ok=None, detail=one.detail, hint=one.hint) for one in said]


def _servers() -> list[Check]:
    """Ask all known ports at once; who does not answer in time is not there."""
    found: dict[str, Check] = {}

    def ask(name: str, port: int) -> None:
        if models := served_models(port):
            found[name] = Check(
                name="local model server", ok=None, detail=f"{name} on 127.0.0.1:{port}: {_few(models)}",
                hint=f'use it: base_url = "http://127.0.0.1:{port}/v1" under [models.NAME]',
            )  # fmt: skip

    return [found[name] for name in _all_at_once(ask) if name in found] or [
        Check(name="local model server", ok=None, detail=f"none answers on the ports of {', '.join(SERVERS)}")
    ]


def _all_at_once(ask: Callable[[str, int], None]) -> tuple[str, ...]:
    threads = [threading.Thread(target=ask, args=server, daemon=True) for server in SERVERS.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    return tuple(SERVERS)


def _few(models: list[str]) -> str:
    rest = len(models) - 5
    return ", ".join(models[:5]) + (f" and {rest} more" if rest > 0 else "")


def served_models(port: int) -> list[str]:
    """Give the models that a server on this machine offers in OpenAI's form; nothing if it is something else."""
    import http.client
    import json

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PROBE_S)
    try:
        connection.request("GET", "/v1/models", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        document: object = json.loads(answer.read(1_000_000)) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError, RecursionError):
        return []
    finally:
        connection.close()
    if not isinstance(document, dict):
        return []
    listed: Any = cast("dict[str, Any]", document).get("data")
    if not isinstance(listed, list):
        return []
    entries = [cast("dict[str, Any]", one) for one in cast("list[object]", listed) if isinstance(one, dict)]
    return [str(one["id"]) for one in entries if isinstance(one.get("id"), str)]
