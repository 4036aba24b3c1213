"""Lessons, reasons and the record quote titles, and titles quote answers: only who may read sees what is quoted."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from dashboard_house import Place
from test_traces import AGENT, api, own  # noqa: F401  a fixture

from surefoot.core.lesson import Lesson
from surefoot.core.mask import masked_payload, masked_quotes

SECRET = "zq7-what-a-customer-said"
TITLE = f"“{SECRET} answered as card (3)”"


@given(st.text(max_size=10), st.text(alphabet='ab “”"\n', max_size=30), st.text(max_size=10))
def test_no_piece_of_what_is_quoted_is_left_whatever_marks_it_holds(before: str, inside: str, after: str) -> None:
    seen = masked_quotes(f"{before}“\ue000{inside}\ue000”{after}")
    assert "\ue000" not in seen.removeprefix(before).removesuffix(after)
    assert masked_quotes("it did not help: 3 of 9") == "it did not help: 3 of 9"


def test_the_record_keeps_what_happened_and_loses_titles_and_quotes() -> None:
    told = {"lever": "L-1", "title": SECRET, "sentence": f"Edits for {TITLE} helped", "n": 3,
            "deep": [{"title": SECRET}, f'it said "{SECRET}"']}  # fmt: skip
    seen = masked_payload(told)
    assert SECRET not in repr(seen)
    assert (seen["lever"], seen["n"], seen["sentence"]) == ("L-1", 3, "Edits for “…” helped")


def quoted(place: Place) -> None:
    """Everything that quotes says the same."""
    now = place.app.ports.clock()

    def work(tx: Any) -> None:
        tx.lessons.add(Lesson(agent=AGENT, text=f"Edits for {TITLE} did not help", evidence=TITLE, tick=3, at=now))
        tx.connection.execute(
            sa.text("UPDATE versions SET document = json_set(document, '$.rationale', :why)"),
            {"why": f"answers {TITLE}"},
        )
        tx.audit.append(
            at=now, actor="loop", action="tick", subject=AGENT,
            payload={"lever": "L-1", "title": SECRET, "sentence": f"about {TITLE}"},
        )  # fmt: skip

    place.change(work)


def test_who_may_look_but_not_read_sees_no_quote_through_any_door(own: Place) -> None:  # noqa: F811
    quoted(own)
    rollout = own.see(lambda tx: tx.rollouts.all(AGENT)[-1].id)
    last = own.see(lambda tx: tx.audit.last())
    asked = own.see(lambda tx: [one.id for one in tx.approvals.listed(agents=(AGENT,))])
    pages = [f"/agents/{AGENT}/lessons", f"/agents/{AGENT}/versions", f"/agents/{AGENT}/versions?base=1&head=2",
             f"/rollouts/{rollout}", f"/audit?entry={last}", *(f"/approvals/{one}" for one in asked)]  # fmt: skip
    vera, bob = own.reader("vera"), own.reader("bob")
    for path in pages:
        mine, theirs = vera.look(path), bob.look(path)
        assert (mine.status, theirs.status) == (200, 200), path
        assert SECRET in theirs.text, path
        assert SECRET not in mine.text, path
    for path, words in ((f"/agents/{AGENT}/lessons?q=zq7", "did not help"),):  # a search would tell what is hidden
        assert (words in vera.look(path).text, words in bob.look(path).text) == (False, True)
    for path in (f"/agents/{AGENT}/lessons", f"/agents/{AGENT}/versions", f"/agents/{AGENT}/versions/1",
                 f"/audit?subject={AGENT}&limit=200",
                 *(f"/approvals/{one}" for one in asked)):  # fmt: skip
        assert SECRET not in api(own, path, "vera").text, path
        assert SECRET in api(own, path, "bob").text, path
    for name, told in (("vera", False), ("bob", True)):
        assert (SECRET in heard(own, f"/events?after={last - 1}", name)) is told


def heard(place: Place, path: str, name: str) -> str:
    """The first event of a stream."""
    line = http.client.HTTPConnection("127.0.0.1", place.port, timeout=20)
    line.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer sf_{name}"})
    answer = line.getresponse()
    said = next(one for one in iter(answer.readline, b"") if one.startswith(b"data:")).decode()
    line.close()
    assert "L-1" in said
    return said
