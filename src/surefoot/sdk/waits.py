"""A wait for a person: what a program hears when somebody decided, or nobody did in time.

The wait is a row at Surefoot under the program's own name for it. A program that asks again, after a restart or from
another machine, joins the same wait; a server that goes away and comes back is waited for. What was not decided in time
is `expired`, by the server's clock, and never a success.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from surefoot.core.errors import NotFound, Unavailable
from surefoot.sdk.house import V1
from surefoot.sdk.link import Link, segment

LOOK_S = 20.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 2.0
Verdict = Literal["approved", "rejected", "request_changes", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided, by whom, with which feedback; `raw` is all that the server said."""

    decision: Verdict
    feedback: str = ""
    decided_by: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def approved(self) -> bool:
        """Whether a person said yes."""
        return self.decision == "approved"

    @property
    def changes_requested(self) -> bool:
        """Whether a person wants it otherwise; the feedback says how."""
        return self.decision == "request_changes"

    @property
    def expired(self) -> bool:
        """Whether nobody decided in time."""
        return self.decision == "expired"


async def decision(link: Link, agent: str, body: Mapping[str, Any], timeout_s: float | None) -> Decision:
    """Ask a person and give what they decided; TimeoutError after `timeout_s`, while the wait itself goes on."""
    async with asyncio.timeout(timeout_s):
        return await _decided(link, f"{V1}/agents/{segment(agent)}/pauses", body)


async def _decided(link: Link, path: str, body: Mapping[str, Any]) -> Decision:
    now = asyncio.get_running_loop().time
    until, asked, pause = now() + body["expires_in_hours"] * 3600, False, FIRST_PAUSE_S
    while True:
        try:
            if not asked:
                found = (await link.ask("POST", path, body=body, patient=True)).body
                asked = True
            else:
                found = (await link.ask(
                    "GET", f"{path}/{segment(body['name'])}", query={"wait_s": LOOK_S}, timeout_s=LOOK_S + 10,
                    patient=True,
                )).body  # fmt: skip
            pause = FIRST_PAUSE_S
        except Unavailable:
            if not asked and now() >= until:
                return Decision(decision="expired", raw={})
            await asyncio.sleep(pause * (0.5 + random.random() / 2))
            pause = min(LONGEST_PAUSE_S, pause * 2)
            continue
        except NotFound:
            if not asked:
                raise
            asked = False  # its store was put back to an earlier day: the question is asked there again
            continue
        if found["decision"] is not None:
            return Decision(
                decision=found["decision"], feedback=found["feedback"], decided_by=found["decided_by"], raw=found
            )
