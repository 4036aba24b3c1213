"""Registrations that lie, reach for doors that are not theirs, or try to get in front of others."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from house import House, Threaded, content, url

WAYS_IN = [
    "http://169.254.169.254/latest/meta-data", "http://10.0.0.1:80", "http://[::ffff:10.0.0.1]:80", "http://0.0.0.0:80",
    "http://192.168.1.1", "http://[fd00::1]/", "http://100.64.0.1/", "http://[64:ff9b::10.0.0.1]/", "http://8.8.8.8/",
]  # fmt: skip
NO_ADDRESS = [
    "", "ftp://127.0.0.1", "file:///etc/passwd", "127.0.0.1:80", "http://", "http://user:pass@127.0.0.1/",
    "http://127.0.0.1:99999", "http://127.0.0.1/a?b=c", "http://127.0.0.1/#x", "http://127.0.0.1/\r\nX: y",
    "http://127.0.0.1:80/" + "a" * 600, "javascript:alert(1)", "http://127.0.0.1:0/",
]  # fmt: skip


def announce(home: House, base_url: str, **given: Any) -> Any:
    body = {"version": "1.0.0", "base_url": base_url, "content": "x", "reasoners": [{"name": "classify"}], **given}
    return home.ask("POST", f"/agents/{home.agent}/processes", body, as_="ops")


def test_no_process_lets_the_server_knock_at_private_doors(home: House) -> None:
    for address in WAYS_IN:
        assert announce(home, address).status == 403, address
    for address in NO_ADDRESS:
        assert announce(home, address).status == 422, address
    listed = home.ask("GET", f"/agents/{home.agent}/processes", as_="eve")
    assert listed.status == 404, "nothing came of it, not even an agent"


def test_the_same_version_with_other_content_is_refused_whoever_sends_it_and_forever(home: House) -> None:
    node = home.up("1.0.0")
    for change in ({"content": "another prompt"}, {"reasoners": [{"name": "classify"}]},
                   {"reasoners": [{"name": one, "input_schema": {"type": "string"}} for one in
                                  ("classify", "slow", "late", "broken")]},
                   {"skills": [{"name": "more"}]}):  # fmt: skip
        got = home.register(node, **change)
        assert (got.status, "registered already" in got.json["message"]) == (409, True), change
    mine = home.process("1.0.0")
    assert home.ask("DELETE", f"/agents/{home.agent}/processes/{mine['id']}").status == 200
    assert home.register(node, content="another prompt").status == 409, "versions outlive their processes"
    again = home.register(node, content="", content_hash=content("1.0.0").upper())
    assert (again.status, again.json["new_version"]) == (201, False)
    assert home.register(node, content="another prompt", content_hash=content("1.0.0")).status == 422


@pytest.mark.parametrize(
    "lie", [{"NODE_SAYS_VERSION": "1.0.0"}, {"NODE_SAYS_HASH": "ab" * 32}, {"NODE_SAYS_VERSION": "2.1.0 "}]
)
def test_a_process_that_runs_something_else_than_it_registered_gets_no_request(
    home: House, lie: dict[str, str]
) -> None:
    home.up("1.0.0")
    node = Threaded("2.1.0", **lie)
    home.nodes.append(node)
    got = home.register(node)
    assert (got.status, got.json["status"]) == (201, "unhealthy")
    assert "registered" in got.json["because"]
    home.weight("2.1.0", 45)
    assert {home.execute(X_Session_ID=f"u{number}").json["version"] for number in range(20)} == {"1.0.0"}
    assert node.server.counts["classify"] == 0
    node.server.says = node.server.hash = ""
    home.soon(lambda: home.process("2.1.0")["status"] == "ready")


def test_a_new_version_gets_no_traffic_however_it_registers(home: House) -> None:
    home.up("1.0.0")
    for number, extra in enumerate(({}, {"tags": ["live", "incumbent"]}, {"state": "ready"})):
        node = home.up(f"2.0.{number}")
        assert home.register(node, as_="app", **extra).json["weight_percent"] == 0
    assert home.register(node, weight=100).status == 422, "a share is nothing that a process can ask for"
    assert {home.execute(X_Session_ID=f"u{number}").json["version"] for number in range(20)} == {"1.0.0"}


def test_a_program_cannot_put_the_first_process_of_an_agent_before_users(home: House) -> None:
    node = Threaded("1.0.0")
    home.nodes.append(node)
    got = home.register(node, as_="app")
    assert (got.status, got.json["new_agent"], got.json["status"]) == (201, True, "pending_approval")
    mine = f"/agents/{home.agent}/processes/{got.json['id']}"
    for word, _ in itertools.product(("offline", "ready", "starting", "ready"), range(2)):
        assert home.ask("POST", f"{mine}/heartbeat", {"state": word}).status == 200
    second = Threaded("1.0.0")
    home.nodes.append(second)
    assert home.register(second, as_="app").json["status"] == "pending_approval"
    assert home.ask("DELETE", mine).status == 200
    assert home.register(node, as_="app").json["status"] == "pending_approval"
    assert home.execute().status == 503
    assert home.ask("POST", f"{mine}/admission").status == 403
    assert home.ask("POST", f"{mine}/admission", as_="ops").status == 200
    assert home.ask("POST", f"{mine}/admission", as_="ops").status == 409
    assert home.execute().status == 200


def test_a_token_reaches_no_process_of_an_agent_that_it_is_not_for(home: House) -> None:
    node = home.up("1.0.0")
    mine = f"/agents/{home.agent}/processes/{home.process('1.0.0')['id']}"
    assert home.register(node, as_="far").status in (403, 404)
    for method, path in (("POST", f"{mine}/heartbeat"), ("DELETE", mine)):
        assert home.ask(method, path, {} if method == "POST" else None, as_="far").status in (403, 404)
        assert home.ask(method, path, {} if method == "POST" else None, as_="eve").status == 403
        assert home.ask(method, path, {} if method == "POST" else None, as_="").status == 401
    other = home.guest(f"{home.agent}-other")
    assert other.ask("DELETE", f"/agents/{other.agent}/processes/{home.process('1.0.0')['id']}").status == 404


def test_nonsense_is_told_in_words(home: House) -> None:
    node = home.up("1.0.0")
    good = {"version": "1.1.0", "base_url": url(node), "content": "x"}
    for change in ({"version": ""}, {"version": "a b"}, {"version": "../../x"}, {"content": ""}, {"content_hash": "zz"},
                   {"content_hash": "ab" * 32}, {"reasoners": [{"name": "a/b"}]}, {"reasoners": [{"name": "r"}] * 2},
                   {"reasoners": [{"name": "r", "input_schema": {"x": "y" * 20_000}}]}, {"state": "live"},
                   {"reasoners": "r"}, {"version": None}, {"base_url": 5}, {"extra": 1}):  # fmt: skip
        got = home.ask("POST", f"/agents/{home.agent}/processes", {**good, **change}, as_="ops")
        assert (got.status, got.json["code"], bool(got.json["message"])) == (422, "invalid", True), change
    for agent in ("UPPER", "a b", "..", "-x"):
        assert home.ask("POST", f"/agents/{agent.replace(' ', '%20')}/processes", good, as_="ops").status in (404, 422)
    assert home.execute().status == 200
