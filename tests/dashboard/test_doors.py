"""Who may look and who may act: login, visits, forms of other sites, roles, names of other machines."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from dashboard_house import Place, Reader, serving

from surefoot.config import TokenSettings
from surefoot.core.token import hashed
from surefoot.core.visit import LASTS
from surefoot.engine.issue import Order, issue, revoke

PAGES = (
    "/",
    "/agents/refunds/versions",
    "/agents/refunds/rollouts",
    "/agents/refunds/levers",
    "/agents/refunds/lessons",
    "/approvals",
    "/approvals/promote-refunds-v2-1",
    "/audit",
    "/audit/chain",
)


def rollout(place: Place, agent: str) -> str:
    return place.see(lambda tx: tx.rollouts.all(agent)[-1].id)


@pytest.mark.parametrize("path", PAGES)
def test_a_stranger_is_led_to_the_login_and_from_there_to_the_page(looked_at: Place, path: str) -> None:
    reader = looked_at.reader()
    led = reader.look(path)
    assert led.status == 303
    assert led.headers["location"].startswith("/login?to=")
    door = reader.look(led.headers["location"])
    assert f'name="to" value="{path}"' in door.text
    assert reader.send("/login", token="sf_vera", to=path).headers["location"] == path
    assert reader.look(path).status == 200


@pytest.mark.parametrize("path", [*PAGES, "/palette", "/live"])
def test_a_program_without_a_token_gets_401_and_one_with_a_token_the_json_twin(looked_at: Place, path: str) -> None:
    reader, twin = looked_at.reader(), "/agents" if path == "/" else path
    if path == "/live":
        assert reader.look(path).status == 401
        return
    assert reader.look(f"{twin}.json").status == 401
    assert reader.look(f"{twin}.json", Authorization="Bearer sf_wrong").status == 401
    assert reader.look(f"{twin}.json", Authorization="Bearer sf_vera").json


def test_the_cookie_is_for_this_site_only_no_script_reads_it_and_it_is_not_the_token(looked_at: Place) -> None:
    answer = looked_at.reader().send("/login", token="sf_bob", to="/")
    (cookie,) = answer.cookies
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/" in cookie
    assert "sf_bob" not in cookie
    assert hashed("sf_bob") not in cookie
    assert "Secure" not in cookie  # over TLS it is; see test_over_tls


def test_over_tls_the_cookie_is_secure(looked_at: Place) -> None:
    import asyncio

    sent: list[dict[str, object]] = []
    body = b"token=sf_bob&to=%2F"

    async def asked() -> None:
        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, object]) -> None:
            sent.append(message)

        dashboard = looked_at.app.dashboard()
        headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"host", b"surefoot.example")]
        await dashboard(
            {
                "type": "http",
                "method": "POST",
                "path": "/login",
                "raw_path": b"/login",
                "query_string": b"",
                "headers": headers,
                "scheme": "https",
                "server": ("surefoot.example", 443),
                "client": ("127.0.0.1", 1),
                "root_path": "",
                "http_version": "1.1",
            },
            receive,
            send,
        )

    asyncio.run(asked())
    (cookie,) = [value for name, value in sent[0]["headers"] if name == b"set-cookie"]
    assert b"Secure" in cookie


@pytest.mark.parametrize("token", ["", "sf_wrong", "sf_bob'--", "sf_" + "x" * 4000, "\x00", "ßf_bob"])
def test_a_wrong_token_opens_nothing_and_is_told_kindly(looked_at: Place, token: str) -> None:
    reader = looked_at.reader()
    answer = reader.send("/login", token=token, to="/")
    assert answer.status in (401, 422)
    assert not answer.cookies
    assert 'role="alert"' in answer.text
    assert reader.look("/").status == 303


def test_a_token_for_programs_does_not_look(looked_at: Place) -> None:
    answer = looked_at.reader().send("/login", token="sf_app", to="/")
    assert answer.status == 403
    assert "may not look" in answer.words


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/login?to=/", ""]
)
def test_the_login_leads_to_pages_of_ours_only(looked_at: Place, to: str) -> None:
    assert looked_at.reader().send("/login", token="sf_vera", to=to).headers["location"] == "/"


def test_after_leaving_the_cookie_opens_nothing_any_more(hamlet: Place) -> None:
    reader = hamlet.reader("bob")
    kept = reader.cookie
    assert reader.look("/").status == 200
    assert reader.send("/logout").status == 303
    assert not reader.cookie
    reader.cookie = kept
    assert reader.look("/").status == 303


def test_a_visit_ends_by_itself(hamlet: Place) -> None:
    from dataclasses import replace

    reader = hamlet.reader("bob")
    sha256 = hashed(reader.cookie.partition("=")[2])
    visit = hamlet.see(lambda tx: tx.visits.find(sha256))
    assert visit.until - visit.at == LASTS
    past = replace(visit, until=visit.at - timedelta(seconds=1))
    hamlet.change(lambda tx: (tx.visits.end(sha256), tx.visits.add(past, forget_before=visit.at - LASTS)))
    assert reader.look("/").status == 303


def test_a_visit_ends_with_the_token_that_opened_it(hamlet: Place) -> None:
    import asyncio
    import time

    made = asyncio.run(issue(hamlet.app.ports, Order(name="dora", role="reviewer"), by="ana"))
    reader = hamlet.reader()
    until = time.monotonic() + 5
    while (answer := reader.send("/login", token=made.token, to="/")).status != 303 and time.monotonic() < until:
        time.sleep(0.1)
    assert answer.status == 303
    assert reader.look("/").status == 200
    asyncio.run(revoke(hamlet.app.ports, "dora", by="ana"))
    while reader.look("/").status == 200 and time.monotonic() < until:
        time.sleep(0.1)
    assert reader.look("/").status == 303


def test_no_cookie_lies_in_the_store(hamlet: Place) -> None:
    reader = hamlet.reader("bob")
    raw = hamlet.app.settings.store.read_bytes() + Path(f"{hamlet.app.settings.store}-wal").read_bytes()
    assert reader.cookie.partition("=")[2].encode() not in raw
    assert b"sf_bob" not in raw


# Forms ----------------------------------------------------------------------------------------------------------------


def forms(place: Place) -> list[str]:
    canary = rollout(place, "intake")
    incident = place.see(lambda tx: tx.incidents.all("intake")[0].id)
    return [
        "/approvals/promote-refunds-v2-1/decision",
        f"/rollouts/{canary}/hold",
        f"/rollouts/{canary}/abort",
        f"/rollouts/{canary}/promote",
        f"/incidents/{incident}/close",
    ]


def test_no_form_is_taken_without_the_word_of_this_visit(hamlet: Place) -> None:
    ana, bob = hamlet.reader("ana"), hamlet.reader("bob")
    theirs = bob.look("/approvals/promote-refunds-v2-1").form_word()
    before = hamlet.see(lambda tx: tx.audit.last())
    for path in forms(hamlet):
        for word in ("", "00" * 32, "zz", theirs, theirs[:-2], "é" * 32):
            answer = ana.send(path, form_word=word, decision="approved", reason="because")
            assert answer.status == 403, (path, word)
            assert "form" in answer.words
    assert hamlet.see(lambda tx: tx.audit.last()) == before


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
)
def test_no_form_of_another_site_is_taken_even_with_the_word(hamlet: Place, headers: dict[str, str]) -> None:
    reader = hamlet.reader("ana")
    word = reader.look("/approvals/promote-refunds-v2-1").form_word()
    before = hamlet.see(lambda tx: tx.audit.last())
    for path in (*forms(hamlet), "/login"):
        answer = reader.ask(
            "POST",
            path,
            f"form_word={word}&decision=approved&reason=x&token=sf_ana",
            Content_Type="application/x-www-form-urlencoded",
            **headers,
        )
        assert answer.status == 403, path
        assert not answer.cookies
    assert hamlet.see(lambda tx: tx.audit.last()) == before


def test_the_word_differs_on_each_page_so_that_packing_does_not_give_it_away(looked_at: Place) -> None:
    reader = looked_at.reader("bob")
    words = {reader.look("/approvals/promote-refunds-v2-1").form_word() for _ in range(5)}
    assert len(words) == 5


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", "application/json"),
        (b"x" * 70_000, "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(99)), "application/x-www-form-urlencoded"),
        (b"a=%ff%fe", "application/x-www-form-urlencoded"),
        (b"\xff\xfe", "application/x-www-form-urlencoded"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
    ],
)
def test_what_is_no_form_of_ours_is_refused(looked_at: Place, body: bytes, kind: str) -> None:
    reader = looked_at.reader("ana")
    for path in ("/approvals/promote-refunds-v2-1/decision", "/login"):
        assert reader.ask("POST", path, body, Content_Type=kind).status in (403, 422), path


# Roles ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "sees"),
    [
        ("vera", set[str]()),
        ("bob", {"decide", "close"}),
        ("olga", {"steer"}),
        ("ana", {"decide", "steer", "close"}),
    ],
)
def test_a_page_shows_the_buttons_that_its_reader_may_press_and_no_other(
    looked_at: Place, name: str, sees: set[str]
) -> None:
    reader, found = looked_at.reader(name), set[str]()
    if 'name="decision"' in reader.look("/approvals/promote-refunds-v2-1").text:
        found.add("decide")
    if 'name="reason"' in reader.look(f"/rollouts/{rollout(looked_at, 'intake')}").text:
        found.add("steer")
    if 'action="/incidents/' in reader.look("/").text:
        found.add("close")
    assert found == sees


@pytest.mark.parametrize("name", ["vera", "bob", "olga"])
def test_the_server_refuses_what_a_role_may_not_do_whatever_the_page_showed(hamlet: Place, name: str) -> None:
    reader, helper = hamlet.reader(name), hamlet.reader("ana")
    may = {"vera": set[str](), "bob": {"decision", "close"}, "olga": {"hold", "abort", "promote"}}[name]
    del helper
    from surefoot.core.visit import form_word

    word = form_word(reader.cookie.partition("=")[2], b"0123456789abcdef")
    for path in forms(hamlet):
        if path.rpartition("/")[2] in may:
            continue
        answer = reader.send(
            path, form_word=word, decision="approved", reason="because", version_hash="0" * 64, evidence_hash="0" * 64
        )
        assert answer.status == 403, path
        assert "may not" in answer.words


def test_a_token_for_one_agent_sees_nothing_of_the_others(hamlet_store: Path, copied: Callable[[Path], Path]) -> None:
    tokens = {"rita": TokenSettings(sha256=hashed("sf_rita"), role="admin", agents=("refunds",))}
    with serving(copied(hamlet_store), tokens=tokens) as place:
        reader, hidden = place.reader("rita"), rollout(place, "intake")
        for path in ("/", "/approvals", "/audit", "/palette.json", "/agents/refunds/versions"):
            page = reader.look(path)
            assert page.status == 200
            assert "refunds" in page.text, path
            assert "intake" not in page.text, path
            assert "router" not in page.text, path
        for path in (
            "/agents/intake/versions",
            "/agents/intake/rollouts",
            "/agents/intake/levers",
            f"/rollouts/{hidden}",
            "/approvals/promote-router-v2-1",
            "/audit?agent=intake",
        ):
            answer = reader.look(path)
            assert answer.status == 404, path
        nowhere = reader.look("/approvals/promote-nobody-v2-1")
        assert nowhere.status == 404


def test_an_entry_of_another_agent_is_not_opened_by_its_number(
    hamlet_store: Path, copied: Callable[[Path], Path]
) -> None:
    tokens = {"rita": TokenSettings(sha256=hashed("sf_rita"), role="viewer", agents=("refunds",))}
    with serving(copied(hamlet_store), tokens=tokens) as place:
        last, reader = place.see(lambda tx: tx.audit.last()), place.reader("rita")
        entries = place.see(lambda tx: {one.seq: one.subject for one in tx.audit.all()})
        for seq in range(1, last + 1):
            page = reader.look(f"/audit?entry={seq}")
            assert (f"Entry {seq}" in page.words) == entries[seq].startswith("refunds"), entries[seq]


# Without tokens -------------------------------------------------------------------------------------------------------


def test_without_tokens_this_machine_may_look_but_not_act(hamlet_store: Path, copied: Callable[[Path], Path]) -> None:
    with serving(copied(hamlet_store), tokens={}) as place:
        reader = place.reader()
        page = reader.look("/approvals/promote-refunds-v2-1")
        assert page.status == 200
        assert "Log in" in page.words
        assert 'name="decision"' not in page.text
        before = place.see(lambda tx: tx.audit.last())
        for path in forms(place):
            answer = reader.send(path, decision="approved", reason="x", version_hash="0" * 64, evidence_hash="0" * 64)
            assert answer.status in (401, 403), path
        assert place.see(lambda tx: tx.audit.last()) == before


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "[::2]"])
def test_without_tokens_a_page_under_another_name_is_refused(
    hamlet_store: Path, copied: Callable[[Path], Path], host: str
) -> None:
    with serving(copied(hamlet_store), tokens={}) as place:
        for path in ("/", "/agents.json", "/live", "/palette.json", "/login", "/approvals"):
            answer = place.reader().look(path, Host=host)
            assert answer.status in (400, 403), (path, answer.status)
            assert "refunds" not in answer.text


def test_a_stale_cookie_does_no_harm_where_anybody_may_look(hamlet_store: Path, copied: Callable[[Path], Path]) -> None:
    with serving(copied(hamlet_store), tokens={}) as place:
        reader = Reader(place.port)
        reader.cookie = "surefoot_visit=sv_gone"
        assert reader.look("/").status == 200


# What every answer carries --------------------------------------------------------------------------------------------


def test_every_answer_carries_the_strict_policy_and_nothing_inline(looked_at: Place) -> None:
    reader = looked_at.reader("ana")
    paths = [
        *PAGES,
        f"/rollouts/{rollout(looked_at, 'intake')}",
        "/login",
        "/nowhere",
        "/agents/refunds/versions.json",
        "/palette.json",
    ]
    for path in paths:
        page = reader.look(path)
        policy = page.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        if "html" in page.headers["content-type"]:
            assert not re.search(r"<script(?![^>]*\bsrc=)", page.text), path
            assert "<style" not in page.text
            assert not re.search(r"<[^>]+\s(style|on\w+)\s*=", page.text), path
            assert not re.search(r'(src|href)="(https?:)?//', page.text), path


def test_what_is_no_page_goes_to_the_api_behind(hamlet_store: Path, copied: Callable[[Path], Path]) -> None:
    with serving(copied(hamlet_store), with_api=True) as place:
        reader = place.reader()
        assert reader.look("/api/v1/agents", Authorization="Bearer sf_vera").json["agents"]
        assert reader.look("/api/v1/agents").json["code"] == "unauthenticated"
        assert reader.look("/healthz").json["status"] == "ok"
        assert reader.look("/nowhere.json").json["code"] == "not_found"
