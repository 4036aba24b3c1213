"""What goes into a reasoner and what comes out is held to what its process registered, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import House, house
from test_executions import over, submit

TEXT = {"type": "object", "properties": {"text": {"type": "string", "maxLength": 20}}, "required": ["text"]}
ECHO = {"type": "object", "properties": {"said_by": {"type": "string"}}, "required": ["said_by"]}
NEVER = {"type": "object", "required": ["label"]}


def offered(output: Any = None, given: Any = None, name: str = "classify") -> dict[str, Any]:
    """What a process says of its reasoners."""
    one = {"name": name, "input_schema": TEXT if given is None else given, "output_schema": output or {}}
    return {"reasoners": [one, {"name": "late", "output_schema": output or {}}]}


def typed(home: House, version: str, **given: Any) -> None:
    from house import Threaded

    node = Threaded(version)
    home.nodes.append(node)
    assert (got := home.register(node, **offered(**given))).status == 201, got.json


def test_input_that_does_not_fit_is_told_before_anything_is_written_down(home: House) -> None:
    typed(home, "1.0.0", output=ECHO)
    assert home.execute("short").status == 200
    for path in ("/execute", "/execute/async"):
        for wrong in ({"text": "x" * 21}, {}, "text", None, 7):
            got = home.ask("POST", f"{path}/{home.agent}.classify", {"input": wrong})
            assert (got.status, got.json["code"]) == (422, "invalid"), got.json
            assert "does not fit the input_schema" in got.json["message"]
    assert len(home.ask("GET", f"/agents/{home.agent}/executions").json["executions"]) == 1
    assert home.labels() == 0, "it says nothing about the version"


def test_a_result_that_does_not_fit_is_a_failure_of_the_version_that_gave_it(home: House) -> None:
    typed(home, "1.0.0", output=NEVER)
    got = home.execute("short")
    assert (got.status, got.json["status"]) == (502, "failed")
    assert "does not fit the output_schema of classify ($: 'label' is a required property)" in got.json["message"]
    later = over(home, submit(home, "classify", {"text": "short"})["execution_id"])
    assert (later["status"], later["result"]["said_by"]) == ("failed", "1.0.0")
    assert home.labels() == 2


def test_a_process_that_reports_what_does_not_fit_is_told_and_may_mend_it(home: House) -> None:
    typed(home, "1.0.0", output=NEVER)
    one = submit(home, "late", {"home": "http://127.0.0.1:1", "seconds": 60})["execution_id"]
    home.soon(lambda: home.ask("GET", f"/executions/{one}").json["accepted"])
    path = f"/executions/{one}/status"
    got = home.ask("POST", path, {"status": "succeeded", "result": {"lable": 1}})
    assert (got.status, "output_schema of late" in got.json["message"]) == (422, True)
    assert home.ask("POST", path, {"status": "succeeded", "result": {"label": 1}}).json["status"] == "succeeded"


def test_a_schema_that_is_none_is_refused_when_a_process_registers(home: House) -> None:
    from house import Threaded

    node = Threaded("1.0.0")
    home.nodes.append(node)
    for wrong in ({"type": "nothing"}, {"$ref": "https://example.com/x"}, {"pattern": "("},
                  {"pattern": "(?:(?:(?:(?:a|b?){100}){100}){100}){100}"}, {"$schema": []}):  # fmt: skip
        got = home.register(node, **offered(given=wrong))
        assert (got.status, got.json["code"]) == (422, "invalid"), got.json
    assert home.ask("GET", f"/agents/{home.agent}", as_="eve").status == 404, "no agent was made of it"


@pytest.fixture
def lenient(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, schemas="show") as one:
        yield one


def test_where_the_settings_only_show_schemas_nobody_is_held_to_any(lenient: House) -> None:
    typed(lenient, "1.0.0", output=NEVER)
    assert lenient.execute("x" * 30).status == 200
