"""Rule 9: which counts are shown, and totals that give no hidden count away.

A hospital's events are hidden when its events or its non-events are under 10 (its n bounds both), and with them its
intercept, which tracks their ratio. Were the pooled events shown, one hidden hospital would follow by subtraction; so
a total is the sum of the rounded cells that are shown, and of nothing else. Then all that is shown about counts is a
function of the shown cells: the hidden ones can be changed without changing a digit (tests/property proves that).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heartify.disclosure.cohort_rules import can_show
from heartify.disclosure.facts import HospitalFacts, OutcomeCount
from heartify.disclosure.rounding import round_count


@dataclass(frozen=True, slots=True)
class ShownCounts:
    """What is shown: per hospital (in order) n and events or None; the totals of what is shown, or None if nothing."""

    n: tuple[int, ...]
    events: tuple[int | None, ...]

    @property
    def total_n(self) -> int:
        """Return the sum of the shown n."""
        return sum(self.n)

    @property
    def total_events(self) -> int | None:
        """Return the sum of the shown events; None when all are hidden."""
        shown = [events for events in self.events if events is not None]
        return sum(shown) if shown else None

    @property
    def total_events_n(self) -> int | None:
        """Return the sum of the shown n of the hospitals whose events are shown; None when there are none."""
        shown = [n for n, events in zip(self.n, self.events, strict=True) if events is not None]
        return sum(shown) if shown else None


def can_show_outcomes(outcomes: OutcomeCount) -> bool:
    """Return whether both the events and the non-events of a hospital are large enough to be shown."""
    return can_show(outcomes.events) and can_show(outcomes.non_events)


def show_counts(hospitals: Sequence[HospitalFacts]) -> ShownCounts:
    """Return the counts of contributing hospitals as they may be shown."""
    outcomes = [hospital.outcomes for hospital in hospitals]
    events = (round_count(count.events) if can_show_outcomes(count) else None for count in outcomes)
    return ShownCounts(tuple(round_count(count.n) for count in outcomes), tuple(events))
