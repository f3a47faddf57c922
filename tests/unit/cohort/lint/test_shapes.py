from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest


def test_a_constant_column_is_found(found: Any, column: Any) -> None:
    assert found((column("x"), [4.5] * 60)) == ["constant:x"]
    assert found((column("x", "a", "b"), [0] * 60)) == ["constant:x"]
    assert found((column("x"), [None] * 60 + [4.5] * 60)) == ["constant:x"]
    assert found((column("x"), [4.5] * 59 + [4.25])) == []
    assert found((column("x"), [4.5] * 30)) == []
    assert found((column("x"), [None] * 60)) == []


@pytest.mark.parametrize("event", [True, False])
def test_an_outcome_that_everybody_or_nobody_has_is_found(event: bool, found: Any, column: Any) -> None:
    outcome = column("cvd", datatype="boolean", role="outcome")

    assert found((outcome, [event] * 60)) == ["outcome-constant:cvd"]
    assert found((outcome, [event] * 59 + [not event])) == []


def test_values_clipped_at_a_limit_are_found(found: Any, column: Any, random: Any) -> None:
    pressure = random.normal(130, 18, 3000).round()
    limited = column("x", unit="mm[Hg]", minimum=70, maximum=150)

    assert found((limited, pressure.clip(75, 150))) == ["limits-touch:x"]
    assert found((limited, np.where(pressure > 150, np.nan, pressure).clip(75))) == []
    assert found((column("x", unit="mm[Hg]"), pressure.clip(75, 150))) == []


def test_scores_zeros_and_recoded_ages_may_touch_their_limits(found: Any, column: Any, random: Any) -> None:
    assert found((column("score", minimum=0, maximum=4), random.integers(0, 5, 500))) == []
    assert found((column("dose", unit="mg", minimum=0), random.choice([0.0, 5.0, 7.5], 500, p=[0.9, 0.05, 0.05]))) == []
    ages = random.normal(80, 8, 1000).round().clip(40, 89)
    assert found((column("age", unit="a", minimum=18, maximum=89), ages)) == []


def test_times_that_are_not_positive_are_found(found: Any, column: Any, random: Any) -> None:
    time = column("follow_up", role="time", unit="d")
    days = random.integers(1, 900, 200)

    assert found((time, np.r_[days, 0])) == ["time-not-positive:follow_up"]
    assert found((time, np.r_[days, -3])) == ["time-not-positive:follow_up"]
    assert found((time, days)) == []


def test_dates_before_1900_or_after_today_are_found(found: Any, column: Any) -> None:
    visit, today = column("visit", datatype="date"), dt.date(2026, 11, 22)
    day = dt.date(2021, 5, 4)

    assert found((visit, [day, today]), today=today) == ["full-date:visit"]
    assert found((visit, [day, today + dt.timedelta(1)]), today=today) == ["date-in-future:visit", "full-date:visit"]
    assert found((visit, [day, dt.date(1899, 12, 31)])) == ["date-before-1900:visit", "full-date:visit"]
    assert found((visit, [day, dt.date(2400, 1, 2)])) == ["full-date:visit"]
