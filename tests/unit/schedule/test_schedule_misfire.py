"""What becomes of firings that are late."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from refloat.schedule.timetable import MOST, Decision, Timetable, decide

DUE = datetime(2027, 5, 1, 2)
DAY = timedelta(days=1)


def table(misfire: str, pattern: str = "0 2 * * *") -> Timetable:
    return Timetable("crontab", pattern, DUE - 30 * DAY, misfire=misfire)


@pytest.mark.parametrize("misfire", ["skip", "run_once", "run_all"])
def test_on_time(misfire: str) -> None:
    for late in (0, 900):
        decision = decide(table(misfire), DUE, DUE + timedelta(seconds=late))
        assert decision == Decision([DUE], [], DUE + DAY) or decision == Decision([DUE], (), DUE + DAY)


def test_skip() -> None:
    decision = decide(table("skip"), DUE, DUE + 2 * DAY + timedelta(hours=1))
    assert decision.runs == []
    assert [due for due, _why in decision.drops] == [DUE, DUE + DAY, DUE + 2 * DAY]
    assert decision.following == DUE + 3 * DAY
    again = decide(table("skip"), DUE, DUE + 2 * DAY)
    assert again.runs == [DUE + 2 * DAY]


def test_run_once() -> None:
    decision = decide(table("run_once"), DUE, DUE + 2 * DAY + timedelta(hours=1))
    assert decision.runs == [DUE + 2 * DAY]
    assert [due for due, _why in decision.drops] == [DUE, DUE + DAY]
    assert all("2027-05-03 02:00:00 makes up" in why for _due, why in decision.drops)


def test_run_all() -> None:
    decision = decide(table("run_all"), DUE, DUE + 2 * DAY + timedelta(hours=1))
    assert decision.runs == [DUE, DUE + DAY, DUE + 2 * DAY]
    assert not decision.drops


def test_a_year_off_is_told_in_few_lines() -> None:
    decision = decide(table("run_once", "0 * * * *"), DUE, DUE + 365 * DAY)
    assert decision.runs == [DUE + 365 * DAY]
    assert len(decision.drops) == MOST + 1
    assert f"so with {365 * 24 - MOST - 1} more, until" in decision.drops[0][1]
