"""The route by which an improver in a user's program talks to a model, within limits that the server holds."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from surefoot.api.problems import declared
from surefoot.api.reception import Here, Recorder
from surefoot.core.budget import Budget
from surefoot.engine.converse import Talk, turn
from surefoot.engine.inspect import agent_named

router = APIRouter(tags=["improve"])


class TurnBody(BaseModel):
    """One turn: what was said so far, and the limits of the whole conversation."""

    model_config = ConfigDict(extra="forbid")

    talk: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{8,64}$")]
    number: Annotated[int, Field(ge=0, le=1000)]
    messages: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=500)]
    tools: Annotated[list[dict[str, Any]], Field(max_length=64)] = Field(default_factory=list[dict[str, Any]])
    response_format: dict[str, Any] | None = None
    model: Annotated[str, StringConstraints(max_length=200)] = ""
    max_tokens: Annotated[int | None, Field(ge=1, le=200_000)] = None
    max_turns: Annotated[int, Field(ge=1, le=100)] = 6
    max_budget_usd: Annotated[float | None, Field(ge=0, le=1000, allow_inf_nan=False)] = 0.50


class TurnDocument(BaseModel):
    """What the model said, how it ended, and what the conversation has cost so far."""

    message: dict[str, Any]
    finish: Literal["stop", "length", "truncated", "refused", "error"]
    cost_usd: float
    tokens: int
    turns: int


@router.post("/agents/{agent}/harness", responses=declared(404, 409))
async def taken(agent: str, body: TurnBody, here: Here, caller: Recorder, response: Response) -> TurnDocument:
    """Take one turn of a conversation; it is refused before it is sent when it might exceed the limits."""
    await agent_named(here.ports, agent, sees=caller.sees)
    talk = Talk(
        agent=agent, id=body.talk, model=body.model, limits=Budget(calls=body.max_turns, usd=body.max_budget_usd)
    )  # fmt: skip
    asked = {"messages": body.messages, "tools": body.tools or None, "response_format": body.response_format,
             "max_tokens": body.max_tokens}  # fmt: skip
    done = await turn(here.ports, talk, body.number, asked)
    response.headers["Cache-Control"] = "no-store"  # what the model said, as it came
    return TurnDocument.model_validate({
        "message": dict(done.turned.message), "finish": done.turned.finish, "cost_usd": done.spent.usd,
        "tokens": done.spent.tokens, "turns": done.spent.calls,
    })  # fmt: skip
