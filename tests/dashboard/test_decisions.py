"""Deciding in the browser: bound to what was seen, in the token's name, refused with the reason when it moved."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from dashboard_house import Place

from surefoot.core.errors import Conflict
from surefoot.engine.accept import accept_guards
from surefoot.engine.rollback import hold, wish
from surefoot.engine.weigh import weigh

ASKED = "promote-refunds-v2-1"
TOOL = "promote-router-v2-1"


def state(place: Place, approval: str) -> str:
    return place.see(lambda tx: tx.approvals.get(approval).state)


def live(place: Place, agent: str) -> int:
    return place.see(lambda tx: tx.agents.get(agent).live)


def test_a_yes_promotes_in_the_name_of_the_token_and_says_through_which_door(hamlet: Place) -> None:
    reader = hamlet.reader("bob")
    answer = reader.decide(ASKED, "approved", feedback="reads right")
    assert answer.status == 303
    assert answer.headers["location"] == f"/approvals/{ASKED}?done=approved"
    assert live(hamlet, "refunds") == 2
    entry = hamlet.see(lambda tx: next(one for one in tx.audit.all() if one.action == "approval-approved"))
    assert (entry.actor, entry.payload["door"], entry.payload["feedback"]) == ("bob", "dashboard", "reads right")
    page = reader.look(answer.headers["location"])
    assert "Approved." in page.words
    assert 'name="decision"' not in page.text


def test_a_no_takes_the_share_away_and_teaches(hamlet: Place) -> None:
    assert hamlet.reader("bob").decide(ASKED, "rejected", feedback="rule two reads wrong").status == 303
    assert live(hamlet, "refunds") == 1
    assert hamlet.see(lambda tx: tx.rollouts.all("refunds")[-1].weight_percent) == 0
    assert any("rule two reads wrong" in one.text for one in hamlet.see(lambda tx: tx.lessons.all("refunds")))


def test_a_request_for_changes_says_which(hamlet: Place) -> None:
    reader = hamlet.reader("bob")
    refused = reader.decide(ASKED, "changes_requested")
    assert refused.status == 422
    assert "says which" in refused.words
    assert state(hamlet, ASKED) == "pending"
    assert reader.decide(ASKED, "changes_requested", feedback="shorter rules").status == 303
    assert state(hamlet, ASKED) == "changes_requested"


def test_a_decision_on_evidence_that_has_moved_is_refused_with_the_reason_and_what_was_written_stays(
    hamlet: Place,
) -> None:
    reader = hamlet.reader("bob")
    seen = reader.look(f"/approvals/{ASKED}")
    before = hamlet.see(lambda tx: tx.approvals.get(ASKED))
    hamlet.change(lambda tx: tx.approvals.swap(before, replace(before, evidence_digest="f" * 64)))
    answer = reader.send(
        f"/approvals/{ASKED}/decision",
        form_word=seen.form_word(),
        decision="approved",
        feedback="looks good to me",
        version_hash=before.version_digest,
        evidence_hash=before.evidence_digest,
    )
    assert answer.status == 409
    assert "has changed since you looked at it" in answer.words
    assert 'role="alert"' in answer.text
    assert "looks good to me" in answer.text
    assert "f" * 64 in answer.text  # the form that stands there now quotes what stands there now
    assert state(hamlet, ASKED) == "pending"
    assert live(hamlet, "refunds") == 1


@pytest.mark.parametrize("missing", ["version_hash", "evidence_hash"])
def test_a_decision_that_quotes_nothing_is_refused(hamlet: Place, missing: str) -> None:
    answer = hamlet.reader("bob").decide(ASKED, "approved", **{missing: ""})
    assert answer.status == 422
    assert state(hamlet, ASKED) == "pending"


def test_a_decision_that_somebody_was_faster_with_is_told_so(hamlet: Place) -> None:
    bob, cid = hamlet.reader("bob"), hamlet.reader("cid")
    page = cid.look(f"/approvals/{ASKED}")
    asked = hamlet.see(lambda tx: tx.approvals.get(ASKED))
    assert bob.decide(ASKED, "approved").status == 303
    answer = cid.send(
        f"/approvals/{ASKED}/decision",
        form_word=page.form_word(),
        decision="rejected",
        feedback="",
        version_hash=asked.version_digest,
        evidence_hash=asked.evidence_digest,
    )
    assert answer.status == 409
    assert live(hamlet, "refunds") == 2


def test_a_change_of_a_tool_takes_two_people_and_each_enters_their_token_again(hamlet: Place) -> None:
    bob, cid = hamlet.reader("bob"), hamlet.reader("cid")
    assert "level 3" in bob.look(f"/approvals/{TOOL}").words
    assert bob.decide(TOOL, "approved").status == 403
    assert bob.decide(TOOL, "approved", token="sf_cid").status == 422
    signed = bob.decide(TOOL, "approved", token="sf_bob")
    assert signed.headers["location"].endswith("?done=signed")
    page = bob.look(f"/approvals/{TOOL}")
    assert "1 of 2" in page.words
    assert "You have said yes" in page.words
    assert live(hamlet, "router") == 1
    assert cid.decide(TOOL, "approved", token="sf_cid").headers["location"].endswith("?done=approved")
    assert live(hamlet, "router") == 2


def test_whoever_proposed_it_is_told_so_and_cannot_decide(hamlet: Place) -> None:
    asked = hamlet.see(lambda tx: tx.approvals.get(ASKED))
    hamlet.change(lambda tx: tx.approvals.swap(asked, replace(asked, proposers=("BOB",))))
    reader = hamlet.reader("bob")
    page = reader.look(f"/approvals/{ASKED}")
    assert "another person has to decide" in page.words
    assert 'name="decision"' not in page.text
    from surefoot.core.visit import form_word

    word = form_word(reader.cookie.partition("=")[2], b"0" * 16)
    answer = reader.send(
        f"/approvals/{ASKED}/decision",
        form_word=word,
        decision="approved",
        version_hash=asked.version_digest,
        evidence_hash=asked.evidence_digest,
    )
    assert answer.status == 403
    assert state(hamlet, ASKED) == "pending"


# Steering -------------------------------------------------------------------------------------------------------------


def steer(place: Place, deed: str, reason: str = "looking into it", name: str = "olga", **more: str) -> Any:
    reader = place.reader(name)
    one = place.see(lambda tx: tx.rollouts.all("intake")[-1].id)
    word = reader.look(f"/rollouts/{one}").form_word()
    seen = {"seen": str(place.see(lambda tx: tx.rollouts.get(one).epoch))}
    return reader.send(f"/rollouts/{one}/{deed}", form_word=word, reason=reason, **(seen | more))


def test_hold_takes_the_share_away_and_go_on_gives_the_floor_back(hamlet: Place) -> None:
    assert steer(hamlet, "hold").status == 303
    held = hamlet.see(lambda tx: tx.rollouts.all("intake")[-1])
    assert (held.state, held.weight_percent) == ("frozen", 0)
    incident = hamlet.see(lambda tx: tx.incidents.all("intake")[0].id)
    reader = hamlet.reader("bob")
    word = reader.look("/").form_word()
    assert reader.send(f"/incidents/{incident}/close", form_word=word, reason="it was the bank").status == 303
    assert hamlet.see(lambda tx: tx.incidents.get(incident).closed_by) == "bob"
    assert steer(hamlet, "thaw").status == 303
    assert hamlet.see(lambda tx: tx.rollouts.all("intake")[-1].state) == "canary"


def test_abort_ends_it_and_the_reason_is_kept(hamlet: Place) -> None:
    assert steer(hamlet, "abort", "the wording is off").status == 303
    assert hamlet.see(lambda tx: tx.rollouts.all("intake")[-1].state) == "aborted"
    assert any(one.payload.get("reason") == "the wording is off" for one in hamlet.see(lambda tx: tx.audit.all()))


def test_a_promotion_by_hand_is_marked_as_without_guarantee(hamlet: Place) -> None:
    assert steer(hamlet, "promote", "customers wait").status == 303
    assert live(hamlet, "intake") == 2
    row = hamlet.see(lambda tx: tx.rollouts.history(tx.rollouts.all("intake")[-1].id)[-1])
    assert row.evidence["guarantee"] is False


def test_no_deed_goes_without_a_reason(hamlet: Place) -> None:
    assert steer(hamlet, "abort", "  ").status == 422
    assert hamlet.see(lambda tx: tx.rollouts.all("intake")[-1].state) != "aborted"


@pytest.mark.parametrize("deed", ["hold", "abort", "promote"])
def test_a_deed_on_a_share_that_has_moved_is_refused(hamlet: Place, deed: str) -> None:
    before = hamlet.see(lambda tx: tx.rollouts.all("intake")[-1])
    assert steer(hamlet, deed, seen="77").status == 409
    for seen in ("", "-1", "1e3", "latest"):
        assert steer(hamlet, deed, seen=seen).status == 422, "who does not say what they saw is refused"
    assert hamlet.see(lambda tx: tx.rollouts.all("intake")[-1]) == before


def test_a_share_that_moves_between_the_look_and_the_write_is_refused_in_the_write(hamlet: Place) -> None:
    one = hamlet.see(lambda tx: tx.rollouts.all("intake")[-1])
    ports = hamlet.app.ports
    for deed in (
        hold(ports, one.id, by="olga", epoch=one.epoch + 1),
        weigh(ports, one.agent, one.challenger, 0, by="olga", epoch=one.epoch + 1),
        accept_guards(ports, one.id, ["any"], by="olga", epoch=one.epoch + 1),
        ports.store.write(lambda tx: wish(tx, ports, one.id, "abort", "olga", "", epoch=one.epoch + 1)),
    ):
        with pytest.raises(Conflict, match="has moved"):
            asyncio.run(deed)
    assert hamlet.see(lambda tx: tx.rollouts.get(one.id)) == one


@pytest.mark.parametrize("deed", ["delete", "..", "promote%00", "share"])
def test_there_are_no_other_deeds(hamlet: Place, deed: str) -> None:
    assert steer(hamlet, deed).status in (404, 405)


def test_a_watched_slice_that_looks_worse_is_accepted_by_its_name(hamlet: Place) -> None:
    """The thinnest possible guard, so that the scene's own labels are enough to trip it."""
    from surefoot.core.evidence.rollout import guard_evidence

    one = hamlet.see(lambda tx: tx.rollouts.all("intake")[-1])
    worse = hamlet.see(lambda tx: [t for t, r in _arms(tx, one.id) if r == "challenger"])
    hamlet.do(lambda app: _all_failed(app, worse))
    seen = hamlet.see(lambda tx: tx.rollouts.slice_strata(one.id))
    name = max((name for name in seen if name.startswith("channel=")), key=lambda name: guard_evidence(seen[name]))
    terms = replace(one.settings, guards=(name,), guard_alpha=0.9, hard_guard=1e9, soft_guard=1e9)
    now = hamlet.see(lambda tx: tx.rollouts.get(one.id))
    hamlet.change(lambda tx: tx.rollouts.swap(replace(now, settings=terms)))
    olga = hamlet.reader("olga")
    page = olga.look(f"/rollouts/{one.id}")
    assert f'name="names" value="{name}"' in page.text
    answer = olga.send(f"/rollouts/{one.id}/accept", form_word=page.form_word(), reason="few requests", names=name,
                       seen=str(now.epoch))  # fmt: skip
    assert answer.status == 303
    assert hamlet.see(lambda tx: tx.rollouts.get(one.id).accepted_guards) == (name,)
    assert 'name="names"' not in olga.look(f"/rollouts/{one.id}").text


def _arms(tx: Any, rollout: str) -> list[tuple[str, str]]:
    rows = tx.connection.exec_driver_sql("SELECT id, arm FROM traces WHERE rollout = ?", (rollout,))
    return [(row[0], row[1]) for row in rows]


async def _all_failed(app: Any, traces: list[str]) -> None:
    from surefoot.core.token import any_agent
    from surefoot.engine.observe import Said, observe_all

    await observe_all(app.ports, [Said(trace_id=one, verdict="failure") for one in traces], sees=any_agent)
