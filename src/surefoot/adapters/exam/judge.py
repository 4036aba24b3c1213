"""A judge that is a model: the same doors and prices as the models that are examined, one prompt a call.

The epoch of a vote is part of what it is asked, so that a cache in between cannot answer two votes with one.
"""

from __future__ import annotations

from surefoot.core.errors import Invalid, Unavailable
from surefoot.core.exam.judgement import judge_pin
from surefoot.core.proposal import Cost
from surefoot.ports import Model, Question
from surefoot.ports.exam import Reply


class ModelJudge:
    """Judges with a model; implements `ports.exam.Judge`."""

    def __init__(self, model: Model, name: str) -> None:
        self._model = model
        self.name = name

    @property
    def pin(self) -> str:
        """What it is: model, prompt and parameters; a change of any needs a new baseline."""
        return judge_pin(self._model.name, {})

    @property
    def provider(self) -> str:
        """Whose limits its calls count against."""
        return self._model.name

    def price(self, prompt: str) -> Cost:
        """Give the most that one vote can cost."""
        return self._model.price(_question(prompt, 0))

    async def reply(self, prompt: str, vote: int) -> Reply:
        """Ask for one vote; what prevents it comes back as a problem."""
        try:
            answer = await self._model.answer(_question(prompt, vote))
        except (Unavailable, Invalid) as problem:
            return Reply(text="", cost=getattr(problem, "cost", Cost(calls=1)), problem=problem.message)
        problem = "" if answer.finish == "stop" else f"the judge's reply ended by {answer.finish}"
        return Reply(text=answer.text, cost=answer.cost, problem=problem)


def _question(prompt: str, vote: int) -> Question:
    return Question(system="", user=prompt, case_id=f"vote-{vote}")
