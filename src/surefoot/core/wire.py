"""OpenAI's two protocols as far as a gateway must understand them: who asks, what is asked, what was answered.

`chat` is /chat/completions, `responses` is /responses. A body is parsed JSON; nothing here parses or writes bytes.
A body is changed in three places only: the model's name, the system prompt in front, and the genome's parameters. An
answer that does not say that it is whole is not: a stream without a finish is `truncated`, whatever was read of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from surefoot.core.agent import RenderMode
from surefoot.core.digest import canonical
from surefoot.core.errors import Invalid

Protocol = Literal["chat", "responses"]
Body = dict[str, Any]
MOST_UNIT_CHARS = 512
STEERING = frozenset({
    "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "seed", "stop", "presence_penalty",
    "frequency_penalty", "repetition_penalty", "logit_bias", "response_format", "reasoning_effort", "verbosity",
    "chat_template_kwargs",
})  # fmt: skip
"""The parameters of a genome that may go along: they steer the wording, and none reaches out."""
_FINISHES = {"stop": "stop", "tool_calls": "stop", "function_call": "stop", "length": "length",
             "content_filter": "refused"}  # fmt: skip
_ENDINGS = ("response.completed", "response.incomplete", "response.failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What an upstream answered: its text (else its tool calls as JSON), how it ended, and the tokens it counted."""

    text: str = ""
    finish: str = "truncated"
    tokens_in: int = 0
    tokens_out: int = 0


def checked(protocol: Protocol | Literal["embeddings"], body: object) -> Body:
    """Give the body if it can be served; Invalid says which field is missing or of the wrong kind."""
    if not isinstance(body, dict):
        raise Invalid("the body is no JSON object", hint="send an object with model and messages")
    found = cast("Body", body)
    model = found.get("model")
    if not isinstance(model, str) or not model:
        raise Invalid("the body names no model", hint="model is the name of an agent; GET /v1/models lists them")
    if protocol == "chat" and not _messages(found.get("messages")):
        raise Invalid("messages is no list of messages", hint='send [{"role": "user", "content": "…"}]')
    return found


def _messages(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict) and isinstance(cast("Body", one).get("role"), str) for one in cast("list[object]", value)
    )


# Who asks -----------------------------------------------------------------------------------------------------------


def unit_of(protocol: Protocol, body: Body, headers: Mapping[str, str], caller: str) -> str:
    """Give what the version sticks to: session, else user, else conversation, else actor, else how it all began.

    Without any name, all requests that begin with the same words are one unit, so that a conversation, which is sent
    again as a whole with every turn, keeps its version. Headers are in lower case. A unit is held to 512 characters.
    """
    metadata: object = body.get("metadata")
    named = cast("Body", metadata) if isinstance(metadata, dict) else {}
    for kind, value in (
        ("session", headers.get("x-surefoot-session") or headers.get("x-session-id")),
        ("user", body.get("user")), ("user", body.get("safety_identifier")),
        ("conversation", _id(body.get("conversation"))), ("conversation", named.get("conversation_id")),
        ("session", named.get("session_id")),
        ("actor", headers.get("x-surefoot-actor") or headers.get("x-actor-id")),
    ):  # fmt: skip
        if isinstance(value, str) and value.strip():
            return f"{kind}:{value.strip()[:MOST_UNIT_CHARS]}"
    return f"opening:{_named_by(caller, *_opening(protocol, body))}"


def _named_by(*texts: str) -> str:
    parts = b"".join(b"%d:%s" % (len(text), text.encode("utf-8", "surrogatepass")) for text in texts)
    return hashlib.sha256(parts).hexdigest()[:32]


def source_of(body: Body, headers: Mapping[str, str]) -> str:
    """Give who is behind the request as far as the app says so: the actor, else the user."""
    user = body.get("user")
    named = headers.get("x-surefoot-actor") or headers.get("x-actor-id") or (user if isinstance(user, str) else "")
    return named.strip()[:MOST_UNIT_CHARS]


def _id(value: object) -> object:
    return cast("Body", value).get("id") if isinstance(value, dict) else value


def _opening(protocol: Protocol, body: Body) -> list[str]:
    """Everything up to the first words of the user."""
    said: list[str] = []
    for message in _turns(protocol, body):
        said.append(f"{message.get('role')}: {text_of(message.get('content'))}")
        if message.get("role") == "user":
            break
    return said


def _turns(protocol: Protocol, body: Body) -> list[Body]:
    turns: object = body.get("messages" if protocol == "chat" else "input")
    if isinstance(turns, str):
        return [{"role": "user", "content": turns}]
    listed = cast("list[object]", turns) if isinstance(turns, list) else []
    return [cast("Body", one) for one in listed if isinstance(one, dict)]


# What is asked ------------------------------------------------------------------------------------------------------


def asked(protocol: Protocol, body: Body) -> str:
    """Give the last words of the user; of pictures and files only that they were there."""
    for message in reversed(_turns(protocol, body)):
        if message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def text_of(content: object) -> str:
    """Give the text of a message's content, part by part."""
    if isinstance(content, str):
        return content
    parts = cast("Sequence[object]", content) if isinstance(content, list) else ()
    return "\n".join(_part(cast("Body", part)) for part in parts if isinstance(part, dict))


def _part(part: Body) -> str:
    text = part.get("text") or part.get("refusal")
    return text if isinstance(text, str) else f"[{part.get('type', 'part')}]"


def posed(protocol: Protocol, body: Body, *, system: str, params: Mapping[str, Any], render: RenderMode) -> Body:
    """Give the body with the genome in front: `replace` drops the app's own system messages, `prepend` keeps them.

    With `none` the app's messages and parameters go as they came. A genome without text leaves them alone as well.
    """
    if render == "none":
        return body
    changed = {**body, **_fitting(protocol, params)}
    if not system:
        return changed
    if protocol == "chat":
        kept = [one for one in body["messages"] if render == "prepend" or one["role"] not in ("system", "developer")]
        return {**changed, "messages": [{"role": "system", "content": system}, *kept]}
    return {**changed, **_instructed(body, system, render)}


def _instructed(body: Body, system: str, render: RenderMode) -> Body:
    own, turns = body.get("instructions"), body.get("input")
    if render == "prepend":
        return {"instructions": f"{system}\n\n{own}" if isinstance(own, str) and own else system}
    if not isinstance(turns, list):
        return {"instructions": system}
    kept = [one for one in cast("list[object]", turns) if not _is_system(one)]
    return {"instructions": system, "input": kept}


def _is_system(item: object) -> bool:
    return isinstance(item, dict) and cast("Body", item).get("role") in ("system", "developer")


def _fitting(protocol: Protocol, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same bound has another name in the other protocol."""
    if protocol == "chat":
        return params
    bounds = [params[name] for name in ("max_tokens", "max_completion_tokens") if name in params]
    kept = {name: params[name] for name in ("temperature", "top_p") if name in params}
    return {**kept, "max_output_tokens": bounds[0]} if bounds else kept


# What was answered --------------------------------------------------------------------------------------------------


def heard(protocol: Protocol, answer: object) -> Heard:
    """Read a whole answer; what has no known shape is `truncated`."""
    if not isinstance(answer, dict):
        return Heard()
    found = cast("Body", answer)
    return _chat_heard(found) if protocol == "chat" else _response_heard(found)


def _chat_heard(answer: Body) -> Heard:
    choice = _first(answer.get("choices"))
    message = choice.get("message")
    said = cast("Body", message) if isinstance(message, dict) else {}
    text = text_of(said.get("content")) or _refusal(said) or _calls(said.get("tool_calls"))
    finish = "refused" if _refusal(said) else _FINISHES.get(str(choice.get("finish_reason")), "truncated")
    return _counted(text, finish, answer.get("usage"), ("prompt_tokens", "completion_tokens"))


def _response_heard(answer: Body) -> Heard:
    output: object = answer.get("output")
    listed = cast("list[object]", output) if isinstance(output, list) else []
    items = [cast("Body", one) for one in listed if isinstance(one, dict)]
    text = "\n".join(text_of(one.get("content")) for one in items if one.get("type") == "message")
    calls = _written([one for one in items if one.get("type") == "function_call"])
    reason: object = _dict(answer.get("incomplete_details")).get("reason")
    finish = {"completed": "stop", "failed": "error"}.get(str(answer.get("status")), "truncated")
    if answer.get("status") == "incomplete":
        finish = {"max_output_tokens": "length", "content_filter": "refused"}.get(str(reason), "truncated")
    return _counted(text or calls, finish, answer.get("usage"), ("input_tokens", "output_tokens"))


def heard_stream(protocol: Protocol, events: Iterable[object]) -> Heard:
    """Read the events of a stream, in order, down to where it ended or broke off."""
    listed = [cast("Body", one) for one in events if isinstance(one, dict)]
    return _chat_stream(listed) if protocol == "chat" else _response_stream(listed)


def piece_of(event: object) -> str:
    """Give the text that one event of a chat's stream adds."""
    return _added(_dict(_first(_dict(event).get("choices")).get("delta")))


def _added(delta: Body) -> str:
    return text_of(delta.get("content")) or _refusal(delta)


def _chat_stream(events: list[Body]) -> Heard:
    texts: list[str] = []
    calls: dict[int, Body] = {}
    finish, refused, usage = "truncated", False, None
    for event in events:
        if "error" in event:
            finish = "error"
        usage = event.get("usage") or usage
        choice = _first(event.get("choices"))
        delta = _dict(choice.get("delta"))
        texts.append(_added(delta))
        refused = refused or bool(_refusal(delta))
        _add_calls(calls, delta.get("tool_calls"))
        if choice.get("finish_reason"):
            finish = _FINISHES.get(str(choice["finish_reason"]), "truncated")
    text = "".join(texts)
    if not text.strip():
        text = _written([calls[n] for n in sorted(calls)])
    return _counted(text, "refused" if refused else finish, usage, ("prompt_tokens", "completion_tokens"))


def _add_calls(calls: dict[int, Body], deltas: object) -> None:
    for delta in cast("list[object]", deltas) if isinstance(deltas, list) else []:
        part = _dict(delta)
        index, function = part.get("index"), _dict(part.get("function"))
        call = calls.setdefault(index if isinstance(index, int) else 0, {"name": "", "arguments": ""})
        for name in ("name", "arguments"):
            call[name] += function.get(name) if isinstance(function.get(name), str) else ""


def _response_stream(events: list[Body]) -> Heard:
    for event in reversed(events):
        if event.get("type") in _ENDINGS:
            return _response_heard(_dict(event.get("response")))
    failed = any(event.get("type") == "error" for event in events)
    said = (event.get("delta") for event in events if event.get("type") == "response.output_text.delta")
    return Heard(text="".join(one for one in said if isinstance(one, str)), finish="error" if failed else "truncated")


def _first(value: object) -> Body:
    return _dict(cast("list[object]", value)[0]) if isinstance(value, list) and value else {}


def _dict(value: object) -> Body:
    return cast("Body", value) if isinstance(value, dict) else {}


def _refusal(message: Body) -> str:
    refusal = message.get("refusal")
    return refusal if isinstance(refusal, str) else ""


def _calls(calls: object) -> str:
    listed = cast("list[object]", calls) if isinstance(calls, list) else []
    return _written([_dict(_dict(one).get("function")) for one in listed])


def _written(calls: list[Body]) -> str:
    return canonical([{n: one.get(n) for n in ("name", "arguments")} for one in calls]) if calls else ""


def _counted(text: str, finish: str, usage: object, names: tuple[str, str]) -> Heard:
    known = _dict(usage)
    before, after = (known.get(name) for name in names)
    return Heard(
        text=text, finish=finish, tokens_in=before if isinstance(before, int) else 0,
        tokens_out=after if isinstance(after, int) else 0,
    )  # fmt: skip
