"""Sorts support mails; says how it went where somebody corrected a label; asks a person before it goes on."""

import asyncio
import sys

import surefoot

agent = surefoot.agent("classifier")
MAILS = [
    ("ada", "The invoice for March is wrong", "billing"),
    ("bob", "I want my money back, please refund me", "refund"),
    ("cleo", "Where is your office?", "other"),
]


@agent.entry(session="customer")
async def sort(text: str, customer: str) -> dict[str, str | int]:  # noqa: ARG001  the version sticks to it
    """Answer one mail with its label, and the version that chose it."""
    label = await agent.ai(user=text)
    return {"label": label.strip().lower(), "version": agent.version}


async def main() -> int:
    """Sort all mails, and tell what was right."""
    wrong = 0
    for customer, text, expected in MAILS:
        found = await sort(text, customer)
        wrong += found["label"] != expected
        await agent.outcome(agent.last_trace_id, expected=expected)
        print(f"{customer}: {found['label']} (v{found['version']})")
    await agent.memory.agent.set("last-run", {"mails": len(MAILS), "wrong": wrong})
    if "--ask" in sys.argv:
        decision = await agent.pause("go-live", reason=f"{wrong} of {len(MAILS)} were wrong", expires_in_hours=1)
        print(decision.decision, decision.feedback)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
