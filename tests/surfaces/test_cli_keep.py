"""The record, the store as a file, and the doctor."""

from __future__ import annotations

import json
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import sqlalchemy as sa

from surefoot.adapters.store import schema
from surefoot.adapters.store.transaction import SqlTx
from surefoot.cli import doctor
from surefoot.core.agent import Agent
from surefoot.core.starter import starting_genome
from surefoot.core.version import Version
from surefoot.engine.verify import kept_in
from surefoot.rehearsal.clock import START


def sql(scene, text: str) -> None:
    """Do to the file what nobody should."""
    raw = sqlite3.connect(scene.store)
    try:
        raw.execute(text)
        raw.commit()
    finally:
        raw.close()


def test_the_record_is_whole_and_its_head_can_be_checked_later(cli, scene):
    scene.agent()
    head = cli("audit", "verify", "--json").json["head"]
    cli("lessons", "support", "--add", "x", "--by", "ann")
    assert "the record is whole: 2 entries" in cli("audit", "verify", "--head", head).out
    assert "is not a head" in cli("audit", "verify", "--head", "12", code=2).err


def test_who_walked_the_record_is_remembered_by_name(cli, scene, monkeypatch):
    scene.agent()
    cli("audit", "verify", "--by", "ann")
    assert scene.see(kept_in).whole_by == "ann"
    monkeypatch.setattr("getpass.getuser", lambda: "ben")
    cli("audit", "verify")
    assert scene.see(kept_in).whole_by == "ben"


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE seq = 1", "entry 1 was changed"),
        ("DELETE FROM audit WHERE seq = 1", "entry 1 is missing"),
        ("DELETE FROM audit WHERE seq = 2", "the noted head (entry 2) is not in the record"),
    ],
)
def test_a_tampered_record_is_exit_code_1_with_the_entry_named(cli, scene, harm, says):
    scene.agent()
    cli("lessons", "support", "--add", "x", "--by", "ann")
    head = cli("audit", "verify", "--json").json["head"]
    sql(scene, harm)
    assert says in cli("audit", "verify", "--head", head, code=1).out
    assert not cli("audit", "verify", "--head", head, "--json", code=1).json["intact"]


def test_a_count_that_differs_from_its_facts_is_exit_code_1_with_the_rollout_named(cli, scene):
    scene.waiting()
    assert cli("audit", "verify", "--json").json["miscounted"] == []
    sql(scene, "UPDATE label_counts SET n = n + 1")
    rollout = scene.see(lambda tx: tx.rollouts.all("support")[0].id)
    assert cli("audit", "verify", "--json", code=1).json["miscounted"] == [rollout]
    assert f"rollout {rollout} was decided from counts" in cli("audit", "verify", code=1).out


def test_the_record_can_be_read_by_subject(cli, scene):
    scene.candidate(scene.agent())
    scene.agent("other")
    assert [one["action"] for one in cli("audit", "show", "support/v2", "--json").json["entries"]] == ["candidate"]
    assert len(cli("audit", "show", "support", "--json").json["entries"]) == 2
    assert cli("audit", "show", "--limit", "1", "--json").json["entries"][0]["subject"] == "other"


def test_a_backup_of_a_store_in_use_can_be_put_back(cli, scene, desk):
    scene.agent()
    with scene.app():
        seen = cli("backup", "copy.db", "--json").json
    assert seen["bytes"] == (desk / "copy.db").stat().st_size
    scene.agent("later")
    kept = cli("restore", "copy.db", "--json").json["kept"]
    assert [one["name"] for one in cli("agents", "--json").json["agents"]] == ["support"]
    assert [one["name"] for one in cli("agents", "--store", kept, "--json").json["agents"]] == ["later", "support"]


def test_a_backup_overwrites_nothing_and_a_restore_takes_only_stores(cli, scene, desk):
    scene.agent()
    (desk / "taken").write_text("mine")
    assert "taken is there already" in cli("backup", "taken", code=1).err
    assert "there is no directory nowhere" in cli("backup", "nowhere/copy.db", code=2).err
    assert "taken is no usable copy of a store" in cli("restore", "taken", code=2).err
    assert "there is no file none" in cli("restore", "none", code=2).err
    assert cli("agents", "--json").json["agents"][0]["name"] == "support"


def older_store(scene) -> None:
    """A store as the first schema had it, with an agent in it."""
    scene.store.parent.mkdir()
    engine = sa.create_engine(f"sqlite:///{scene.store}")
    schema.migrate_to(engine, "0001")
    genome = starting_genome(("billing", "refund"))
    agent = Agent(name="veteran", base=genome.digest, live=1, created_at=START, labels=("billing", "refund"))
    first = Version(agent="veteran", number=1, genome=genome.digest, parent=None, author="ann", rationale="the start",
                    state="live", created_at=START)  # fmt: skip
    with engine.begin() as connection:
        tx = SqlTx(connection)
        tx.agents.add(agent)
        tx.versions.add(first, genome)
        tx.audit.append(at=START, actor="ann", action="agent-created", subject="veteran", payload={})
    engine.dispose()


def test_a_store_of_an_older_schema_is_upgraded_and_nothing_is_lost(cli, scene):
    older_store(scene)
    seen = cli("db", "upgrade", "--json").json
    assert (seen["before"], seen["after"] > "0001", len(seen["kept"])) == ("0001", True, 1)
    assert cli("versions", "veteran", "--json").json["versions"][0]["author"] == "ann"
    assert cli("audit", "verify").out.startswith("the record is whole: 1 entries")
    assert cli("ask", "veteran", "a refund please", "--json").json["version"] == 1
    again = cli("db", "upgrade", "--json").json
    assert again["before"] == again["after"]


def test_any_command_upgrades_an_older_store(cli, scene):
    older_store(scene)
    assert cli("agents", "--json").json["agents"][0]["name"] == "veteran"
    assert list(scene.store.parent.glob("*.before-0001-upgrade"))


def test_a_store_of_a_newer_surefoot_is_left_alone(cli, scene):
    scene.agent()
    sql(scene, "UPDATE alembic_version SET version_num = '9999'")
    ran = cli("agents", code=3)
    assert "was written by a newer Surefoot (schema 9999" in ran.err
    assert "upgrade Surefoot, or open another store" in ran.err


def test_the_doctor_is_content_and_shows_no_key_only_its_name(cli, scene, monkeypatch):
    scene.agent()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-value")
    ran = cli("doctor")
    assert "OPENAI_API_KEY (set)" in ran.out
    assert "secret" not in ran.out + cli("doctor", "--json").out
    checks = {check["name"]: check for check in cli("doctor", "--json").json["checks"]}
    assert checks["store"]["ok"] is True
    assert checks["schema"]["ok"] is True
    assert "Surefoot can work here" in ran.out


def test_the_doctor_changes_nothing(cli, scene, desk):
    assert cli("doctor", "--json").json["usable"]
    assert list(desk.iterdir()) == []
    older_store(scene)
    before = scene.store.read_bytes()
    assert "0001" in cli("doctor").out
    assert scene.store.read_bytes() == before


def test_the_doctor_names_a_model_whose_key_is_missing(cli, desk):
    (desk / "surefoot.toml").write_text(
        '[models.small]\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\napi_key_env = "MY_KEY"\n'
    )
    assert "set MY_KEY" in cli("doctor").out


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda raw: b"nonsense" * 600, "is damaged or no store"),
        (lambda raw: raw[:4096] + b"\xff" * (len(raw) - 4096), "is damaged or no store"),
    ],
)
def test_a_damaged_store_is_told_by_the_doctor_and_by_every_command(cli, scene, harm, says):
    scene.agent()
    scene.store.write_bytes(harm(scene.store.read_bytes()))
    for tail in ("-wal", "-shm"):
        scene.store.with_name(scene.store.name + tail).unlink(missing_ok=True)
    assert says in cli("doctor", code=1).out
    ran = cli("agents", code=3)
    assert str(scene.store.name) in ran.err
    assert "is damaged" in ran.err
    assert "hint: restore a backup" in ran.err


def test_settings_that_cannot_be_read_are_named_with_the_line(cli, desk):
    (desk / "surefoot.toml").write_text("stoer = 'x'\n")
    assert "stoer" in cli("agents", code=2).err
    assert "stoer" in cli("doctor", code=1).out
    (desk / "surefoot.toml").write_text("store = \n")
    assert "line 1" in cli("agents", code=2).err


def test_a_directory_is_no_store(cli, desk):
    assert "is a directory" in cli("agents", "--store", str(desk), code=2).err


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ({"object": "list", "data": [{"id": "qwen3:8b"}]}, ["qwen3:8b"]),
        ({"data": "many"}, []),
        ({"models": []}, []),
        (["x"], []),
        ({"data": [{"name": "x"}, 7]}, []),
    ],
)
def test_a_local_server_counts_only_when_it_lists_models(body, found):
    class Stub(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/v1/models" else 404)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format, *args):  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Stub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        assert doctor.served_models(server.server_port) == found
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert doctor.served_models(server.server_port) == []
