"""Roles and held tokens in the browser: the same as at the API, and for no longer than the token is good."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dashboard_house import ROLES, Place, serving

from surefoot.config import TokenSettings
from surefoot.core.token import hashed
from surefoot.engine.issue import Order, issue, revoke


@pytest.fixture
def held(hamlet_store: Path, copied) -> Iterator[Place]:
    """A dashboard with somebody who sees `intake` only."""
    known = {name: TokenSettings(sha256=hashed(f"sf_{name}"), role=role) for name, role in ROLES.items()}
    known["held"] = TokenSettings(sha256=hashed("sf_held"), role="viewer", agents=("intake",))
    with serving(copied(hamlet_store), tokens=known) as place:
        yield place


def closed(place: Place, by: str) -> int:
    """Close the incident as a program does; a person's form is asked the same."""
    (incident,) = place.see(lambda tx: tx.incidents.all("intake"))
    return place.reader().ask(
        "POST", f"/incidents/{incident.id}/close", "reason=looked", Authorization=f"Bearer sf_{by}",
        Content_Type="application/x-www-form-urlencoded",
    ).status  # fmt: skip


def test_who_decides_closes_an_incident_and_who_operates_does_not(hamlet: Place) -> None:
    operator, reviewer = hamlet.reader("olga"), hamlet.reader("bob")
    assert "Close the incident" not in operator.look("/").text
    assert "Close the incident" in reviewer.look("/").text
    assert closed(hamlet, "olga") == 403
    assert closed(hamlet, "bob") == 303


def test_the_filters_of_the_record_name_nobody_whom_a_held_token_does_not_see(held: Place) -> None:
    everything = held.reader("vera").look("/audit").text
    shown = held.reader("held").look("/audit").text
    assert '<option value="improver:reflect">' in everything
    assert '<option value="improver:lexical">' in shown
    for name in ("improver:reflect", "ann", "refunds", "router"):
        assert f'<option value="{name}">' not in shown, name


def test_the_chain_of_all_is_not_for_a_held_token(held: Place) -> None:
    reader = held.reader("held")
    assert reader.look("/audit/chain").status == 403
    assert "/audit/chain" not in reader.look("/audit").text
    assert held.reader("vera").look("/audit/chain").status == 200


@pytest.mark.parametrize("by", ["cookie", "token"])
def test_an_open_page_is_told_nothing_more_once_its_token_is_revoked(hamlet: Place, by: str) -> None:
    order = Order(name="dan", role="viewer")
    made = hamlet.do(lambda app: issue(app.ports, order, by="ana"))
    time.sleep(1)
    sent = {"Authorization": f"Bearer {made.token}"}
    if by == "cookie":
        reader = hamlet.reader(made.token.removeprefix("sf_"))
        sent = {"Cookie": reader.cookie}
    connection = http.client.HTTPConnection("127.0.0.1", hamlet.port, timeout=15)
    connection.request("GET", "/live", headers=sent)
    stream = connection.getresponse()
    assert stream.status == 200
    assert any(line.startswith(b"data: ") for line in iter(stream.readline, b""))
    hamlet.do(lambda app: revoke(app.ports, "dan", by="ana"))
    time.sleep(1)
    hamlet.change(lambda tx: tx.audit.append(
        at=hamlet.app.ports.clock(), actor="x", action="lesson-added", subject="intake", payload={}
    ))  # fmt: skip
    assert b"event: beat" not in stream.read()
    connection.close()
