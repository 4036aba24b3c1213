"""One challenger after another: the chance of any false promotion stays what one rollout promised."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from surefoot.core.errors import Conflict
from surefoot.core.rollout.ledger import LedgerMode, Past, granted_margin, ledger_factor, quarter_of

NOW = datetime(2026, 5, 10, tzinfo=UTC)
MODES: tuple[LedgerMode, ...] = ("slots", "e-lond", "off")


def before(count: int, *, won: int = 0, at: datetime = NOW, factor: float = 5) -> list[Past]:
    return [Past(started_at=at, factor=factor, won=n < won) for n in range(count)]


@pytest.mark.parametrize(
    ("moment", "quarter"),
    [
        (datetime(2026, 1, 1, tzinfo=UTC), (2026, 1)),
        (datetime(2026, 3, 31, 23, 59, tzinfo=UTC), (2026, 1)),
        (datetime(2026, 4, 1, tzinfo=UTC), (2026, 2)),
        (datetime(2026, 12, 31, tzinfo=UTC), (2026, 4)),
    ],
)
def test_a_quarter_is_one_of_the_calendar(moment: datetime, quarter: tuple[int, int]) -> None:
    assert quarter_of(moment) == quarter


def test_the_levels_of_a_quarters_slots_add_up_to_alpha() -> None:
    levels = [0.05 / ledger_factor("slots", slots=5, past=before(n), now=NOW) for n in range(5)]
    assert sum(levels) == pytest.approx(0.05)


def test_when_the_slots_are_used_no_rollout_begins_before_the_next_quarter() -> None:
    with pytest.raises(Conflict, match="5 were declared"):
        ledger_factor("slots", slots=5, past=before(5), now=NOW)
    assert ledger_factor("slots", slots=5, past=before(5), now=NOW + timedelta(days=60)) == 5


def test_without_a_win_the_levels_of_e_lond_never_exceed_alpha_however_many_rollouts_there_are() -> None:
    levels = [0.05 / ledger_factor("e-lond", slots=5, past=before(n), now=NOW) for n in range(500)]
    assert sum(levels) < 0.05
    assert levels == sorted(levels, reverse=True)


def test_a_win_makes_the_next_one_cheaper_under_e_lond() -> None:
    assert ledger_factor("e-lond", slots=5, past=before(3, won=1), now=NOW) == 10
    assert ledger_factor("e-lond", slots=5, past=before(3), now=NOW) == 20


def test_what_was_spent_before_the_ledger_was_changed_stays_spent() -> None:
    with pytest.raises(Conflict, match="false promotion"):
        ledger_factor("slots", slots=20, past=before(1, factor=1), now=NOW)
    assert ledger_factor("slots", slots=20, past=before(4, factor=5), now=NOW) == 20
    with pytest.raises(Conflict):
        ledger_factor("slots", slots=20, past=[*before(4, factor=5), *before(4, factor=20)], now=NOW)


def test_off_costs_nothing() -> None:
    assert ledger_factor("off", slots=5, past=before(50), now=NOW) == 1


def test_one_margin_a_quarter_and_all_of_them_within_a_quarter_more_failures() -> None:
    spring = Past(started_at=NOW, stands=True, margin=1.1)
    with pytest.raises(Conflict, match="had its"):
        granted_margin(1.1, past=[spring], now=NOW)
    assert granted_margin(1.1, past=[spring], now=NOW + timedelta(days=90)) == pytest.approx(1.21)
    summer = Past(started_at=NOW + timedelta(days=90), stands=True, margin=1.1)
    with pytest.raises(Conflict, match="33 % more failures"):
        granted_margin(1.1, past=[spring, summer], now=NOW + timedelta(days=180))


def test_a_margin_that_was_not_used_costs_nothing() -> None:
    assert granted_margin(1.25, past=[Past(started_at=NOW, margin=1.2)], now=NOW) == 1.25
