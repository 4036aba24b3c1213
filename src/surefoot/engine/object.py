"""Object: ask the contradiction judge, where one is configured, about each text that would be learned.

It comes after the deterministic checks and may only refuse. A judge that cannot be reached, is cut short or answers
in another form refuses too. A definite opinion is remembered under the text, the fixed rules and the model, so a
repeated step neither pays nor asks again.
"""

from __future__ import annotations

from collections.abc import Sequence

from surefoot.core.agent import Agent
from surefoot.core.digest import digest
from surefoot.core.edit import Edit
from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.genome import Genome
from surefoot.core.guardrail import Refusal
from surefoot.core.opinion import Opinion, asked, code_for, read
from surefoot.core.proposal import Cost
from surefoot.engine.evaluate import reserve, settled
from surefoot.ports import Model, Ports, Question

CONTRADICTS, FAILED = "judge-contradiction", "judge-error"


async def objections(
    ports: Ports, agent: Agent, genome: Genome, edits: Sequence[Edit], *, scope: str = ""
) -> tuple[Refusal, ...]:
    """Give a refusal for each edit whose text the judge does not let pass; none where no judge is configured."""
    if not ports.contradiction_judge:
        return ()
    model = ports.model_named(ports.contradiction_judge)
    found = [await _objection(ports, agent, genome, edit, model, scope) for edit in edits if edit.text or edit.answer]
    return tuple(one for one in found if one is not None)


async def _objection(
    ports: Ports, agent: Agent, genome: Genome, edit: Edit, model: Model, scope: str
) -> Refusal | None:  # fmt: skip
    text = "\n".join(part for part in (edit.text, edit.answer) if part)
    key = f"{agent.name}/opinion/{digest([model.name, genome.locked_digest, text])[:24]}"
    known = await ports.store.read(lambda tx: tx.marks.get(key))
    if known is None:
        opinion, why = await _opinion(ports, agent, genome, text, model, f"{scope}/{key}", scope)
        if opinion != "unreadable":
            known = {"opinion": opinion, "why": why}
            remembered, now = known, ports.clock()
            await ports.store.write(
                lambda tx: tx.marks.add(key, remembered, now) if tx.marks.get(key) is None else None
            )
    if known is None:
        return _refused(edit, FAILED, "the contradiction judge gave no readable opinion, and that is no consent")
    if known["opinion"] == "contradicts":
        return _refused(edit, CONTRADICTS, f"the contradiction judge says: {known['why'] or 'it contradicts'}")
    return None


async def _opinion(
    ports: Ports, agent: Agent, genome: Genome, text: str, model: Model, key: str, scope: str
) -> tuple[Opinion, str]:
    code = code_for(genome, text, salt=agent.salt)
    system, message = asked(genome, text, code=code)
    question = Question(system=system, user=message)
    hold = await reserve(ports, agent, scope, key, model.price(question))
    cost = Cost(calls=1)
    try:
        answer = await model.answer(question)
        cost = answer.cost
        return read(answer.text, code=code) if answer.finish == "stop" else ("unreadable", "")
    except (Unavailable, Invalid) as problem:
        cost = getattr(problem, "cost", cost)
        return "unreadable", ""
    finally:
        spent = cost
        await ports.store.write(lambda tx: settled(tx, hold, spent))


def _refused(edit: Edit, code: str, why: str) -> Refusal:
    return Refusal(edit=edit, code=code, sentence=f"the edit {edit.kind} on {edit.target!r} is refused: {why}")
