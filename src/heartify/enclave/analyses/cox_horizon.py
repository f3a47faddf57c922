"""Absolute risks by the horizon against what happened by then, under censoring: AUC, Brier score, calibration, benefit.

Observed risks are one minus Kaplan and Meier's estimate; AUC and Brier score weigh by the inverse probability of
censoring within hospitals. A measure that the follow-up doesn't bear is left out and takes no other with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.disclosure.tables import ExactTable
from heartify.enclave.analyses.logistic_performance import APPARENT, GROUPS, Row, bounded_row
from heartify.enclave.analyses.risk_bands import Flags, Floats, as_fine_as, open_cuts, quantile_bands
from heartify.stats.competing.follow_up import FollowUp
from heartify.stats.discrimination import auc_at, brier_at, calibration_at, uno_c
from heartify.stats.errors import StatsError
from heartify.stats.intervals import Z_95


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class HorizonRows:
    """Risks (n,) by the horizon, the follow-up of the same rows, and their hospitals (n,)."""

    risk: Floats
    rows: FollowUp
    horizon: float
    hospital: NDArray[np.int64]

    @property
    def event(self) -> Flags:
        """Return who is known to have had the event by the horizon (n,)."""
        found: Flags = (self.rows.event == 1) & (self.rows.time <= self.horizon)
        return found

    @property
    def free(self) -> Flags:
        """Return who is known to have been followed beyond the horizon (n,)."""
        found: Flags = self.rows.time > self.horizon
        return found


def uno_rows(score: Floats, at: HorizonRows) -> list[Row]:
    """Return Uno's C of a score (n,) up to the horizon."""

    def row() -> Row:
        found = uno_c(score, at.rows, tau=at.horizon, censoring_group=at.hospital)
        return interval_row("uno-c", found.c, found.se)

    return _estimable(row)


def auc_rows(at: HorizonRows) -> list[Row]:
    """Return the AUC at the horizon."""

    def row() -> Row:
        found = auc_at(at.risk, at.rows, at.horizon, censoring_group=at.hospital)
        return interval_row("auc-at-horizon", found.auc, found.se)

    return _estimable(row)


def ratio_rows(at: HorizonRows) -> list[Row]:
    """Return the ratio of observed to expected risk."""

    def row() -> Row:
        found = calibration_at(at.risk, at.rows, at.horizon, groups=1)
        return {
            "measure": "observed-expected",
            "evaluation": APPARENT,
            "se": found.ratio * found.whole.se / found.whole.observed,
            "estimate": found.ratio,
            "ci_low": found.ratio_ci_low,
            "ci_high": found.ratio_ci_high,
        }

    return _estimable(row)


def accuracy_table(at: HorizonRows) -> ExactTable:
    """Return the Brier score and its share explained (IPA)."""
    try:
        found = brier_at(at.risk, at.rows, at.horizon, censoring_group=at.hospital)
    except StatsError:
        return ExactTable("accuracy", ())
    rows = [
        _fine_row("brier", found.brier, found.brier_se, at.rows.n),
        _fine_row("scaled-brier", found.ipa, found.ipa_se, at.rows.n),
    ]
    return ExactTable("accuracy", rows)


def group_table(at: HorizonRows) -> ExactTable:
    """Return up to ten groups of risk with ten events by the horizon and ten patients who were followed beyond it.

    `non_events` are the latter; those censored before are in `n` only.
    """
    band = quantile_bands(at.risk, GROUPS, at.event, at.free)
    rows = [row for index in range(int(band.max()) + 1) for row in _group_rows(at, index, band == index)]
    return ExactTable("calibration_groups", rows)


def net_benefit_table(at: HorizonRows, thresholds: Sequence[float]) -> ExactTable:
    """Return the net benefit at the plan's thresholds that may be shown (Vickers et al. 2008, on survival data)."""
    everyone = np.ones(at.risk.size, dtype=np.bool_)
    cuts = open_cuts(at.risk, sorted(set(thresholds)), everyone)
    rows = [row for cut in cuts for row in _estimable(lambda cut=cut: _net_benefit_row(at, cut))]  # type: ignore[misc]
    return ExactTable("net_benefit", rows)


def interval_row(measure: str, value: float, se: float) -> Row:
    """Return an apparent index with its normal interval, cut to 0 and 1."""
    return bounded_row(measure, APPARENT, value, *interval(value, se))


def interval(value: float, se: float) -> tuple[float, float]:
    """Return the normal 95 % interval of an index, cut to 0 and 1."""
    return max(0.0, value - Z_95 * se), min(1.0, value + Z_95 * se)


def _fine_row(measure: str, value: float, se: float, n: int) -> Row:
    value, low, high = (as_fine_as(number, n) for number in (value, value - Z_95 * se, value + Z_95 * se))
    return bounded_row(measure, APPARENT, value, low, high)


def _group_rows(at: HorizonRows, index: int, inside: Flags) -> list[Row]:
    def row() -> Row:
        found = calibration_at(at.risk[inside], at.rows.take(inside), at.horizon, groups=1).whole
        return {
            "group": index + 1,
            "n": found.n,
            "events": int(at.event[inside].sum()),
            "non_events": int(at.free[inside].sum()),
            "predicted": found.expected,
            "observed": found.observed,
        }

    return _estimable(row)


def _net_benefit_row(at: HorizonRows, cut: float) -> Row:
    above, odds = at.risk >= cut, cut / (1.0 - cut)
    # A probability leaves with two decimals: in treating all there is no more of it than that.
    share = round(_observed(at, np.ones(above.size, dtype=np.bool_)), 2)
    observed, treated = _observed(at, above), float(above.mean())
    return {
        "threshold": cut,
        "above": int(above.sum()),
        "below": int((~above).sum()),
        "treat_all": share - (1.0 - share) * odds,
        "model": as_fine_as(treated * (observed - (1.0 - observed) * odds), above.size),
    }


def _observed(at: HorizonRows, inside: Flags) -> float:
    return calibration_at(at.risk[inside], at.rows.take(inside), at.horizon, groups=1).whole.observed


def _estimable(row: Callable[[], Row]) -> list[Row]:
    """Return the row, or none where the follow-up doesn't bear it."""
    try:
        return [row()]
    except StatsError:
        return []
