"""Tokens: known by their hash alone, held to a role and to agents."""

from __future__ import annotations

from typing import get_args

import pytest

from surefoot.core.errors import Forbidden
from surefoot.core.signature import Unauthenticated
from surefoot.core.token import Deed, Role, Token, hashed, must_may, recognised

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
    [("viewer", "look"), ("agent", "record"), ("reviewer", "look record decide"), ("operator", "look record operate"),
     ("admin", "look record decide operate")],
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
