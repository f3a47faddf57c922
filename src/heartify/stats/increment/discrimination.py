"""The integrated discrimination improvement, as two parts: among events and among non-events.

The part of the events is the mean rise of their risk, that of the non-events the mean fall of theirs; the IDI is the
sum (Pencina et al. 2008, Stat Med 27:157). Estimates with normal intervals, never a test: between nested models on
their own training rows the normal approximation fails near zero; take the bootstrap interval there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import DegenerateOutcomeError
from heartify.stats.performance.predictions import BoolArray, Estimate, check_risks, normal_estimate


@dataclass(frozen=True, slots=True)
class DiscriminationImprovement:
    """The IDI's parts, their sum, and the sum relative to the base model's discrimination slope (nan if that is 0)."""

    events: Estimate
    nonevents: Estimate
    total: Estimate
    relative: float


def integrated_discrimination(p_base: FloatArray, p_new: FloatArray, y: FloatArray) -> DiscriminationImprovement:
    """Return the IDI of risks p_new (n,) over p_base (n,) for y (n,) of zeros and ones.

    Raises:
        InvalidBlockError: shapes or values are wrong.
        DegenerateOutcomeError: fewer than two events, or fewer than two non-events.
    """
    event = check_pair(p_base, p_new, y)
    rise = p_new - p_base
    events, nonevents = _mean(rise[event]), _mean(-rise[~event])
    total = normal_estimate(events.value + nonevents.value, events.se**2 + nonevents.se**2)
    slope = float(p_base[event].mean() - p_base[~event].mean())
    return DiscriminationImprovement(events, nonevents, total, total.value / slope if slope else float("nan"))


def check_pair(p_base: FloatArray, p_new: FloatArray, y: FloatArray) -> BoolArray:
    """Check two risks (n,) of the same rows; return who had the event.

    Raises:
        InvalidBlockError: shapes or values are wrong.
        DegenerateOutcomeError: fewer than two events, or fewer than two non-events.
    """
    event, _ = check_risks(p_base, y), check_risks(p_new, y)
    if min(int(event.sum()), int((~event).sum())) < 2:
        raise DegenerateOutcomeError("an increment needs two rows with the event and two without")
    return event


def _mean(values: FloatArray) -> Estimate:
    return normal_estimate(float(values.mean()), float(np.var(values, ddof=1)) / values.size)
