"""The outbox, the server and its tokens, from the command line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from surefoot.core.signature import verify
from surefoot.core.token import EVERY_AGENT, hashed

SECRET = "the secret of the receiver"


def settings(desk, text: str) -> None:
    (desk / "surefoot.toml").write_text(text)


def again(scene) -> None:
    """Put the request's notice into the outbox as the settings of this directory say."""
    from datetime import UTC, datetime

    from surefoot.app import build
    from surefoot.config import settings as read
    from surefoot.engine.notify import announce

    app = build(read(scene.directory, {}, store=scene.store), environ={})
    try:
        asyncio.run(app.store.write(lambda tx: [
            tx.notices.swap(replace(one, state="delivered", delivered_at=datetime.now(UTC)))
            for one in tx.notices.listed(agents=EVERY_AGENT)
        ]))  # fmt: skip
        asyncio.run(app.store.write(lambda tx: announce(
            tx, app.ports, "approval_requested", agent="support", subject="support/v2", sentence="It won.", facts={}
        )))  # fmt: skip
    finally:
        app.close()


def test_a_request_is_told_on_the_terminal_once(cli, scene):
    wanted = scene.waiting()
    (waits,) = cli("notices", "--json").json["notices"]
    assert (waits["channel"], waits["state"], waits["tries"]) == ("terminal", "waiting", 0)
    told = cli("notify", "--json")
    assert told.json["delivered"] == 1
    assert told.err.startswith("support/v2: ")
    assert f"(surefoot approvals {wanted})" in told.err
    assert cli("notify", "--json").json["notices"] == []
    assert "nothing waits to be told" in cli("notices").out
    assert cli("notices", "--all", "--json").json["notices"][0]["state"] == "delivered"


def test_a_notice_goes_to_the_webhook_of_the_settings_signed(cli, scene, monkeypatch):
    got: list = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None: ...  # noqa: A002 (the name is inherited)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    scene.waiting()
    monkeypatch.setenv("SUREFOOT_WEBHOOK_SECRET", SECRET)
    settings(
        scene.directory,
        f"""
[notify]
webhook_url = "http://127.0.0.1:{server.server_port}/in"
allow_private_hosts = ["127.0.0.1"]
terminal = false
""",
    )
    again(scene)
    assert cli("notify", "--json").json["delivered"] == 1
    server.shutdown()
    server.server_close()
    ((headers, body),) = got
    from datetime import UTC, datetime

    verify(SECRET, timestamp=headers["X-Surefoot-Timestamp"], nonce=headers["X-Surefoot-Nonce"],
           signature=headers["X-Surefoot-Signature"], body=body, now=datetime.now(UTC))  # fmt: skip
    assert json.loads(body)["subject"] == "support/v2"


def test_a_webhook_on_a_private_address_is_a_dead_letter_that_is_seen_and_sent_again(cli, scene):
    scene.waiting()
    settings(scene.directory, '[notify]\nwebhook_url = "http://127.0.0.1:9/"\nterminal = false\n')
    again(scene)
    assert cli("notify", "--json", code=1).json["waiting"] == 1, "without a secret it is tried again"
    os.environ["SUREFOOT_WEBHOOK_SECRET"] = SECRET
    try:
        scene.do(due_now)
        assert cli("notify", "--json", code=1).json["dead"] == 1
        (dead,) = cli("notices", "--json").json["notices"]
        assert "not a public address" in dead["error"]
        assert "send a dead letter again" in cli("notices").out
        assert "by a person" in cli("notices", "--redrive", dead["id"], code=2).err
        assert cli("notices", "--redrive", dead["id"], "--by", "ana", "--json").json["notices"][0]["state"] == "waiting"
        assert "is waiting" in cli("notices", "--redrive", dead["id"], "--by", "ana", code=1).err
    finally:
        del os.environ["SUREFOOT_WEBHOOK_SECRET"]
    assert cli("audit", "verify", "--json").json["intact"]


async def due_now(app) -> None:
    await app.store.write(lambda tx: [
        tx.notices.swap(replace(n, next_at=n.at)) for n in tx.notices.listed(agents=EVERY_AGENT) if n.state == "waiting"
    ])  # fmt: skip


def test_the_request_page_names_the_worst_slice_and_the_way_back(cli, scene):
    wanted = scene.waiting()
    page = cli("approvals", wanted).out
    for part in ("worst slice", "label=", "touches", "% after a yes", "surefoot rollback support --by NAME", "why",
                 "knows the answer", f"surefoot request-changes {wanted} --by NAME --feedback TEXT"):  # fmt: skip
        assert part in page, part
    (one,) = cli("approvals", wanted, "--json").json["approvals"]
    assert one["worst_slice"]["name"] in page
    assert "no agent 'promote-nothing'" in cli("approvals", "promote-nothing", code=2).err


def test_a_request_for_changes_needs_words_and_keeps_them(cli, scene):
    wanted = scene.waiting()
    assert "missing option '--feedback'" in cli("request-changes", wanted, "--by", "bob", code=2).err
    assert "says which" in cli("request-changes", wanted, "--by", "bob", "--feedback", " ", code=2).err
    cli("request-changes", wanted, "--by", "bob", "--feedback", "name the form RF-7")
    texts = [one["text"] for one in cli("lessons", "support", "--json").json["lessons"]]
    assert any("bob asks for changes: name the form RF-7" in text for text in texts)


def test_two_people_from_the_settings(cli, scene):
    """The number is frozen when it is asked, so this asks again."""
    wanted = scene.waiting()

    async def two(app) -> None:
        (one,) = await app.store.read(lambda tx: tx.approvals.all())
        await app.store.write(lambda tx: tx.approvals.swap(one, replace(one, people_needed=2)))

    scene.do(two)
    done = cli("approve", wanted, "--by", "bob", "--json").json
    assert (done["state"], done["people"], done["live"]) == ("pending", "1 of 2", 1)
    assert "1 of 2" in cli("approvals").out
    assert cli("approve", wanted, "--by", " BOB", "--json").json["people"] == "1 of 2"
    assert "bob: approved, support v2 (2 of 2 people)" not in cli("approvals").out
    done = cli("approve", wanted, "--by", "eve", "--json").json
    assert (done["state"], done["people"], done["live"], done["by"]) == ("approved", "2 of 2", 2, "eve")


# The server ----------------------------------------------------------------------------------------------------------


def test_a_token_is_shown_once_and_only_its_hash_goes_into_the_settings(cli, scene):
    scene.agent()
    made = cli("token", 'Ana "the" Ü', "--role", "reviewer", "--agent", "support", "--json").json
    assert made["sha256"] == hashed(made["token"])
    assert made["token"] not in made["settings"]
    settings(scene.directory, made["settings"])
    from surefoot.config import settings as read

    (name, one), *_ = read(scene.directory, {}).tokens.items()
    assert (name, one.sha256, one.role, one.agents) == ('Ana "the" Ü', made["sha256"], "reviewer", ("support",))
    assert "needs a name" in cli("token", " ", code=2).err


def test_a_shell_takes_a_new_token_and_nothing_beside_it(cli, scene):
    scene.agent()
    made = cli("token", "create", "shop", "--role", "agent", "--agent", "support")
    assert made.out.startswith("sf_")
    assert made.out.split() == [made.out.strip()]
    assert "not shown again" in made.err
    assert cli("token", "create", "other", "--json").err == ""


def test_others_than_this_machine_are_served_only_with_tokens(cli, scene):
    scene.agent()
    for host in ("0.0.0.0", "192.0.2.7", "::", "example.com"):
        assert "no tokens" in cli("serve", "--host", host, "--port", "0", code=1).err


@pytest.mark.parametrize(("end", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_serve_answers_until_a_signal_and_tells_people_meanwhile(scene, environment, end, code):
    scene.waiting()
    running = subprocess.Popen(
        [sys.executable, "-m", "surefoot", "serve", "--port", "0", "--json"],
        cwd=scene.directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        where = running.stderr.readline().split()[2].rstrip(";")
        token = running.stderr.readline().split()[-1]
        assert "token create" in running.stderr.readline()
        assert "support/v2" in running.stderr.readline(), "the notice of the terminal"
        asked = urllib.request.Request(f"{where}/api/v1/approvals", headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(asked, timeout=10) as got:
            assert json.load(got)["approvals"][0]["state"] == "pending"
    finally:
        running.send_signal(end)
    out, err = running.communicate(timeout=20)
    assert running.returncode == code, err
    assert json.loads(out) == {"address": where, "ended": end.name}


def test_a_port_that_is_taken_is_said_in_words(cli, scene):
    import socket

    scene.agent()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1 port {port}" in cli("serve", "--port", str(port), code=3).err
