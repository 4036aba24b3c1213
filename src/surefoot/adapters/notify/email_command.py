"""The e-mail command: the operator's own program, which gets the text of a notice on its standard input.

It is run as a list of arguments, never through a shell, and nothing of a notice becomes an argument. It sees the path,
the home and the language of this process, and no key or secret of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence

from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.notice import Notice, letter

TIMEOUT_S = 10.0
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME")


class EmailCommand:
    """A command such as `mail -s Surefoot ops@example.com`."""

    def __init__(self, command: Sequence[str], *, environ: Mapping[str, str], timeout_s: float = TIMEOUT_S) -> None:
        self._command = tuple(command)
        self._environ = {name: environ[name] for name in _KEPT if name in environ}
        self._timeout_s = timeout_s

    async def send(self, notice: Notice) -> None:
        """Run the command; Unavailable when it cannot be run, fails, or takes longer than ten seconds."""
        if not self._command:
            raise Invalid("there is no e-mail command", hint="set [notify] email_command to a list of words")
        name = self._command[0]
        try:
            running = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE, env=self._environ, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise Unavailable(f"{name} cannot be run: {error.strerror}", hint="check [notify] email_command") from None
        try:
            async with asyncio.timeout(self._timeout_s):
                _, said = await running.communicate(letter(notice).encode())
        except TimeoutError:
            raise Unavailable(f"{name} took longer than {self._timeout_s:g} s", hint="it is tried again") from None
        finally:
            if running.returncode is None:
                with contextlib.suppress(ProcessLookupError):  # with whatever it started
                    os.killpg(running.pid, signal.SIGKILL)
                await running.wait()
        if running.returncode != 0:
            why = said.decode(errors="replace").strip()[:200]
            raise Unavailable(f"{name} gave {running.returncode}: {why}", hint="run it by hand to see why")
