"""The baseline hazard of one stratum at given relative risks: the scalars of the partial likelihood.

With S0 the risk at risk at an event time, D0 that of the d rows with the event, the l-th of them (l = 0..d-1) sees
S0_l = S0 - f_l D0, with f_l = l / d (Efron 1977, JASA 72:557) or f_l = 0 (Breslow 1974, Biometrics 30:89). All else
of Cox's model, up to the covariates' sums S1, follows from the moments of 1 / S0_l and f_l / S0_l kept here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.survival.blocks import Ties
from heartify.stats.survival.risk_sets import RiskSets


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class HazardSums:
    """Hold, per event time (K,): S0, the hazard increment sum_l 1 / S0_l, and moments that are free of S0's scale.

    `relative` = S0 sum_l 1 / S0_l; `square` = S0^2 sum_l 1 / S0_l^2; `shared` = S0 sum_l f_l / S0_l; `shared_square` =
    S0^2 sum_l f_l / S0_l^2; `death_risk` = D0. `log_sum` = sum over all events of log S0_l.
    """

    S0: FloatArray
    death_risk: FloatArray
    relative: FloatArray
    square: FloatArray
    shared: FloatArray
    shared_square: FloatArray
    log_sum: float

    @property
    def increments(self) -> FloatArray:
        """Return the increments (K,) of the cumulative baseline hazard."""
        return self.relative / self.S0


def hazard_sums(sets: RiskSets, risk: FloatArray, ties: Ties) -> HazardSums:
    """Return the hazard sums of a stratum with at least one event, at relative risks (n,) in its rows' order."""
    death_risk = np.add.reduceat(risk[sets.event_rows], sets.death_start)
    # A risk set holds its own events: differences of late entries may round below that, never be below it.
    S0 = np.maximum(sets.at_risk_sums(risk), death_risk)
    if ties is Ties.BRESLOW or sets.times.size == sets.event_rows.size:
        deaths = sets.deaths.astype(np.float64)
        none = np.zeros(deaths.size)
        return HazardSums(S0, death_risk, deaths, deaths, none, none, float(deaths @ np.log(S0)))
    left = 1.0 - sets.share * (death_risk / S0)[sets.event_index]  # S0_l / S0
    inverse = 1.0 / left
    log_sum = float(sets.deaths @ np.log(S0)) + float(np.log(left).sum())
    return HazardSums(
        S0=S0,
        death_risk=death_risk,
        relative=np.add.reduceat(inverse, sets.death_start),
        square=np.add.reduceat(inverse**2, sets.death_start),
        shared=np.add.reduceat(sets.share * inverse, sets.death_start),
        shared_square=np.add.reduceat(sets.share * inverse**2, sets.death_start),
        log_sum=log_sum,
    )


def expected_events(
    sets: RiskSets, sums: HazardSums, risk: FloatArray, weights: FloatArray | None = None
) -> FloatArray:
    """Return each row's expected events (n,): its risk times the hazard while it was at risk.

    A row with a tied event bears the parts (1 - f_l) of its own event time (Therneau and Grambsch 2000, section 4.6).
    `weights` (K,) multiply each event time's increments; sums of x x' with them give weighted informations.
    """
    increments, shared = sums.increments, sums.shared / sums.S0
    if weights is not None:
        increments, shared = increments * weights, shared * weights
    cumulative = np.concatenate(([0.0], np.cumsum(increments)))
    expected = cumulative[sets.last]
    if sets.first is not None:
        expected -= cumulative[sets.first]
    if shared.any():
        expected[sets.event_rows] -= shared[sets.event_index]
    return np.multiply(expected, risk, out=expected)
