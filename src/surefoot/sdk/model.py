"""Asking an agent's model: one chat completion at the gateway, read as a text or as an answer to a schema."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from surefoot.core.errors import Invalid
from surefoot.core.wire import heard
from surefoot.sdk.link import Link

AI_S = 120.0
PATH = "/v1/chat/completions"
Misfit = Callable[[Mapping[str, Any], Any], str]
"""Says where and why a value does not fit a JSON schema, empty where it does; Invalid where nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a model answered, which version it spoke as, and what that took."""

    text: str
    finish: str
    version: int
    trace_id: str
    tokens_in: int = 0
    tokens_out: int = 0
    cost_usd: float = 0.0
    model: str = ""


async def asked(link: Link, body: Mapping[str, Any], headers: Mapping[str, str], timeout_s: float) -> Said:
    """Ask, and give what was answered."""
    got = await link.ask("POST", PATH, body=body, headers=headers, timeout_s=timeout_s, patient=True, once=True)
    return read_whole(got.body, got.headers)


def body_of(
    agent: str, user: str, system: str | None, messages: list[Mapping[str, Any]] | None, schema: object,
    more: Mapping[str, Any],
) -> dict[str, Any]:  # fmt: skip
    """Give the body of a request; Invalid when nothing is asked, or in pieces where it has to be whole."""
    if more.get("stream"):
        raise Invalid("ai() gives whole answers", hint="async for piece in agent.ai.stream(...)")
    if not user and not messages:
        raise Invalid("the model is asked nothing", hint="give user=, or messages=")
    told: list[Mapping[str, Any]] = [{"role": "system", "content": system}] if system else []
    told += messages or []
    told += [{"role": "user", "content": user}] if user else []
    shape = schema_of(schema)
    answer = {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": shape}}}
    return {"model": agent, "messages": told, **(answer if shape is not None else {}), **more}


def schema_of(schema: object) -> dict[str, Any] | None:
    """Give the JSON schema of a pydantic model, or a JSON schema as it is; None for none."""
    if schema is None:
        return None
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return schema.model_json_schema()
    if isinstance(schema, Mapping):
        return dict(cast("Mapping[str, Any]", schema))
    raise Invalid(f"{schema!r} is no schema", hint="give a pydantic model, or a JSON schema as a dict")


def read(schema: object, text: str, misfit: Misfit) -> Any:
    """Give an answer as its schema wants it, a pydantic object or JSON; Invalid says what does not fit."""
    inner = _json_in(text)
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        try:
            return schema.model_validate_json(inner)
        except ValidationError as problem:
            first = "; ".join(
                f"{'.'.join(str(part) for part in one['loc']) or 'answer'}: {one['msg']}"
                for one in problem.errors(include_input=False, include_url=False)[:5]
            )
            raise Invalid(f"the answer does not fit the schema ({first})", hint="ask again, or loosen it") from None
    return _checked(inner, schema_of(cast("object", schema)) or {}, misfit)


async def read_beside(schema: object, text: str, misfit: Misfit) -> Any:
    """Read an answer while everybody else on the loop goes on: a comparison may take its whole second."""
    if isinstance(schema, Mapping):
        return await asyncio.to_thread(read, cast("object", schema), text, misfit)
    return read(schema, text, misfit)


def _checked(text: str, schema: Mapping[str, Any], misfit: Misfit) -> Any:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise Invalid("the answer is no JSON", hint="ask again, or loosen the schema") from None
    if wrong := misfit(schema, found):
        raise Invalid(f"the answer does not fit the schema ({wrong})", hint="ask again, or loosen it")
    return found


def _json_in(text: str) -> str:
    """Give the outermost JSON object or list in a text, which may stand in a fence or among words."""
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    end = max(text.rfind("}"), text.rfind("]"))
    return text[min(starts) : end + 1] if starts and min(starts) < end else text


def begun(headers: Mapping[str, str]) -> Said:
    """Give what is known of an answer that has begun: which version speaks, and under which trace."""
    return Said(
        text="", finish="truncated", version=int(headers.get("x-surefoot-version") or 0),
        trace_id=headers.get("x-surefoot-trace-id", ""),
    )  # fmt: skip


def read_whole(body: object, headers: Mapping[str, str]) -> Said:
    """Give what a whole answer says."""
    told = heard("chat", body)
    model = str(cast("dict[str, Any]", body).get("model", "")) if isinstance(body, dict) else ""
    return replace(
        begun(headers), text=told.text, finish=told.finish, model=model, tokens_in=told.tokens_in,
        tokens_out=told.tokens_out, cost_usd=float(headers.get("x-surefoot-cost-usd") or 0),
    )  # fmt: skip
