"""Tokens: known by their hash alone, held to a role and to agents."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from surefoot.core.errors import Forbidden, Invalid
from surefoot.core.signature import Unauthenticated
from surefoot.core.token import Deed, Issued, Role, Token, hashed, life, must_hand_out, must_may, recognised

ANA = Token(name="ana", sha256=hashed("sf_one"), role="reviewer")
BOT = Token(name="bot", sha256=hashed("sf_two").upper(), role="agent", agents=("support",))


def test_a_token_is_known_by_its_hash():
    assert recognised((BOT, ANA), "sf_one") is ANA
    assert recognised((BOT, ANA), "sf_two") is BOT


@pytest.mark.parametrize("presented", ["", " ", "sf_one ", "SF_ONE", ANA.sha256, "sf_öne", "\udc80"])
def test_nothing_else_is(presented):
    with pytest.raises(Unauthenticated):
        recognised((BOT, ANA), presented)


def test_the_hash_of_nothing_opens_nothing():
    with pytest.raises(Unauthenticated):
        recognised((Token(name="x", sha256=hashed(""), role="admin"),), "")


@pytest.mark.parametrize(
    ("role", "deeds"),
    [("viewer", "look"), ("agent", "record"), ("improver", "propose"), ("reviewer", "look read record decide"),
     ("operator", "look read record propose operate"), ("admin", "look read record propose decide operate administer")],
)  # fmt: skip
def test_a_role_may_do_its_deeds_and_no_other(role: Role, deeds: str):
    for deed in get_args(Deed):
        caller = Token(name="x", sha256="", role=role)
        if deed in deeds.split():
            must_may(caller, deed, agent="support")
        else:
            with pytest.raises(Forbidden, match=f"may not {deed}"):
                must_may(caller, deed)


def test_a_token_for_one_agent_is_good_for_no_other():
    must_may(BOT, "record", agent="support")
    with pytest.raises(Forbidden, match="not for billing"):
        must_may(BOT, "record", agent="billing")


def test_nobody_hands_out_more_than_they_have():
    def admin(*agents: str) -> Token:
        return Token(name="a", sha256="", role="admin", agents=agents)

    for role in get_args(Role):
        must_hand_out(admin(), role, ())
        must_hand_out(admin("support", "sales"), role, ("support",))
        for agents in ((), ("billing",), ("support", "billing")):
            with pytest.raises(Forbidden):
                must_hand_out(admin("support", "sales"), role, agents)
        if role != "admin":
            with pytest.raises(Forbidden):
                must_hand_out(Token(name="x", sha256="", role=role), "viewer", ())


def test_a_token_on_record_stands_for_its_person_and_ends_on_the_day():
    now = datetime(2026, 1, 5, tzinfo=UTC)
    one = Issued(id="1", name="ann-laptop", person="Ann", sha256="x", role="reviewer", created_at=now, created_by="o",
                 expires_at=now + timedelta(days=1))  # fmt: skip
    assert one.token.name == "Ann"
    assert one.state(now) == "good"
    assert one.state(now + timedelta(days=1)) == "expired"
    assert not one.token.holds(now + timedelta(days=1))


def test_how_long_a_token_lives_is_read_or_refused():
    assert (life("12h"), life(" 90d"), life("4w")) == (timedelta(hours=12), timedelta(days=90), timedelta(weeks=4))
    for wrong in ("", "0d", "-1d", "1y", "d", "523w", "99999w", "9" * 50 + "d"):
        with pytest.raises(Invalid):
            life(wrong)
