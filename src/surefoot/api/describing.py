"""What the description in OpenAPI says beyond the routes: ids, who may ask, what every write takes and answers.

Each operation is named by its method and path. Every write takes an `Idempotency-Key`; whatever has a body may be too
long; what takes `If-Match` may find that something moved; all but a few take a token.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from surefoot.api.matching import Moved, Unconditional
from surefoot.api.problems import ONE_SHAPE, Problem

WRITES = ("post", "put", "patch", "delete")
# Of these the way in is another one: none, an entered token, a signature, the connector's own token.
_OTHERWISE = ("/healthz", "/readyz", "/metrics", "/api/v1/login", "/api/v1/webhooks/approval-response")
_CONNECTOR = "/api/v1/connector/"
_ALWAYS = {
    "409": "It is decided, expired or stale, somebody was faster, or the same request is being carried out.",
    "413": "The body is longer than is read.",
}
_MATCHED = {"412": Moved.__doc__, "428": Unconditional.__doc__}
_KEY = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "description": "the same request under the same key is carried out once, and its answer is given again for a day",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"}, "example": "order-66",
}  # fmt: skip
EXAMPLES: dict[str, dict[str, Any]] = {
    "put_agents_agent_versions_version_weight": {"weight": 5, "reason": "a first look"},
    "put_agents_agent_settings": {"min_failures": 10, "rollout": {"win_threshold": 20}},
    "put_agents_agent_current": {"version": 1, "reason": "it was better"},
    "post_agents": {"name": "support", "labels": ["billing", "refund"]},
    "post_agents_agent_rollouts": {"version": 2},
    "post_agents_agent_ticks": {"release": False},
    "post_agents_agent_outcomes": {"trace_id": "0190...", "expected": "refund"},
    "post_approvals_approval_decision": {"decision": "approved", "version_hash": "0" * 64, "evidence_hash": "0" * 64},
    "post_webhooks": {"url": "https://hooks.example.com/surefoot", "events": ["rollout.*", "incident.*"]},
    "post_evals": {
        "agent": "support",
        "suite": {"suite": "smoke", "cases": [{"input": "money back?", "expected": "refund", "checks": ["equals"]}]},
    },
}


def operation_id(route: APIRoute) -> str:
    """Name an operation by its method and path: `get_agents_agent_versions`."""
    plain = route.path_format.removeprefix("/api/v1").replace("{", "").replace("}", "").replace("-", "_")
    return "_".join(
        [min(route.methods or {"get"}).lower(), *(part.replace(".", "_") for part in plain.split("/") if part)]
    )


def describe(app: FastAPI) -> None:
    """Let an application say in its description what holds for all routes; every one of a process has the same."""
    plain = app.openapi

    def whole() -> dict[str, Any]:
        if app.version not in _described:
            _described[app.version] = _completed(plain())
        return _described[app.version]

    app.openapi = whole


_described: dict[str, dict[str, Any]] = {}


def _completed(document: dict[str, Any]) -> dict[str, Any]:
    document["info"]["description"] = "Everything that a person or a program may ask of a Surefoot."
    bearer = {"type": "http", "scheme": "bearer", "description": "a token that `surefoot token create` made"}
    document["components"]["securitySchemes"] = {"bearer": bearer}
    document["components"]["schemas"]["Problem"] = Problem.model_json_schema()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            _complete(path, method, operation)
    return {**document, "security": [{"bearer": []}]}


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    if path in _OTHERWISE or path.startswith(_CONNECTOR):
        operation["security"] = []
    more: dict[str, str | None] = {}
    if method in WRITES:
        operation.setdefault("parameters", []).append(_KEY)
        more |= _ALWAYS
    if any(one["name"] == "if-match" for one in operation.get("parameters", ())):
        more |= _MATCHED
    for status, text in more.items():
        answers.setdefault(status, {"description": text, "content": ONE_SHAPE})
    for status in [status for status in answers if status >= "400"]:  # also of a route whose answers are streams
        answers[status]["content"] = ONE_SHAPE
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None and operation["operationId"] in EXAMPLES:
        body["example"] = EXAMPLES[operation["operationId"]]
    operation["responses"] = dict(sorted(answers.items()))
