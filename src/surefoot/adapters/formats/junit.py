"""JUnit XML, as CI systems read it: a case is a testcase, errored is an error, unknown and quarantined are skipped.

Text that XML cannot hold is spelled out. The order of elements and attributes is that of Jenkins' junit-10 schema.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from surefoot.core.exam.report import Report
from surefoot.core.exam.suite import SuiteCase

_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> str:
    """Give the document."""
    run, suite, held = report.run, report.suite, set(report.verdict.quarantined)
    times = _times(report)
    cases = [_case(report, case, times.get(case.id, 0.0), case.id in held) for case in suite.cases]
    failures = sum(case.find("failure") is not None for case in cases)
    errors = sum(case.find("error") is not None for case in cases)
    numbers = {
        "tests": str(len(cases)), "failures": str(failures), "errors": str(errors),
        "time": f"{sum(times.values()):.3f}",
    }  # fmt: skip
    root = ET.Element("testsuites", {"name": _fit(suite.name), **numbers})
    block = ET.SubElement(root, "testsuite", {
        "name": _fit(suite.name), **numbers,
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "timestamp": run.started_at.strftime("%Y-%m-%dT%H:%M:%S"), "id": "0",
    })  # fmt: skip
    properties = ET.SubElement(block, "properties")
    for name, value in (("run", run.id), ("subject", run.subject), ("judge", run.judge),
                        ("verdict", report.verdict.word), ("sentence", report.verdict.sentence)):  # fmt: skip
        if value:
            ET.SubElement(properties, "property", {"name": name, "value": _fit(value)})
    block.extend(cases)
    ET.indent(root)
    return f"<?xml version='1.0' encoding='UTF-8'?>\n{ET.tostring(root, encoding='unicode')}\n"


def _times(report: Report) -> dict[str, float]:
    found: dict[str, float] = {}
    for (case, _), observed in report.answers.items():
        found[case] = found.get(case, 0.0) + (observed.latency_s or 0.0)
    return found


def _case(report: Report, case: SuiteCase, seconds: float, held: bool) -> ET.Element:
    found = report.results.get(case.id)
    one = ET.Element(
        "testcase", {"name": _fit(case.id), "classname": _fit(report.suite.name), "time": f"{seconds:.3f}"}
    )
    notes = "\n".join(found.notes) if found else "it was not run"
    if found is None:
        ET.SubElement(one, "skipped", {"message": "not run"})
    elif held:
        ET.SubElement(
            one, "skipped", {"message": _fit(f"in quarantine: {found.passed} of {found.epochs} epochs passed")}
        )
    elif found.standing == "failed":
        ET.SubElement(one, "failure", {"message": _fit(_first(notes)), "type": "failed"}).text = _fit(notes)
    elif found.standing == "errored":
        ET.SubElement(one, "error", {"message": _fit(_first(notes)), "type": "errored"}).text = _fit(notes)
    elif found.standing == "abstained":
        ET.SubElement(one, "skipped", {"message": _fit(f"undecided: {_first(notes)}")})
    return one


def _first(notes: str) -> str:
    return notes.split("\n")[0][:200]


def _fit(text: str) -> str:
    return _UNFIT.sub(lambda found: f"<U+{ord(found[0]):04X}>", text)
