"""The key of redaction: made once, whole, whoever asks first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ASK = """
import sys
from pathlib import Path
from surefoot.adapters.redactor import Redactor

print(Redactor("typed", Path(sys.argv[1]), {}).text("write to ann@example.org"))
"""


def test_processes_that_need_the_key_at_once_get_the_same_one_and_leave_nothing_else(tmp_path: Path) -> None:
    asked = [subprocess.Popen([sys.executable, "-c", _ASK, str(tmp_path)], stdout=subprocess.PIPE) for _ in range(6)]
    told = {one.communicate()[0] for one in asked}
    assert len(told) == 1
    assert b"ann@" not in told.pop()
    assert [path.name for path in tmp_path.iterdir()] == ["redaction.key"]
    assert (tmp_path / "redaction.key").stat().st_mode & 0o077 == 0
