"""The rows of an increment's tables: tests, estimates, AUCs and net benefits of two nested models on the same patients.

Who moved between categories of risk is a count of patients, though it comes as a share: a part of an NRI, and a net
benefit, stay away where 1 to 9 patients moved one way. Labels are the closed words below.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from heartify.disclosure.cohort_rules import MIN_CELL
from heartify.enclave.analyses.logistic_performance import Row, estimate_row
from heartify.enclave.analyses.risk_bands import Floats, as_fine_as, few_moved, open_cuts
from heartify.stats.increment import (
    AddedColumnsTest,
    NetReclassification,
    increment_estimates,
)
from heartify.stats.performance import Estimate, delong_auc, net_benefit_differences

LN_10 = math.log(10.0)


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Comparison:
    """Two nested models: the test between them, their risks (n,) of the judged rows, outcomes, and the shown share."""

    baseline: str
    test: AddedColumnsTest
    base: Floats
    new: Floats
    y: Floats
    share: float


def test_rows(item: Comparison) -> list[Row]:
    """Return the likelihood-ratio and the score test of the added columns."""
    pairs = (("likelihood-ratio", item.test.likelihood_ratio), ("score", item.test.score))
    return [
        {
            "baseline": item.baseline,
            "test": name,
            "chi2": found.statistic,
            "df": found.df,
            "p": found.log10_p * LN_10,
        }
        for name, found in pairs
    ]


def estimate_rows(item: Comparison, cutoffs: Sequence[float]) -> list[Row]:
    """Return the differences of AUC, the IDI and the NRI in their parts, as estimates without a test."""
    found = increment_estimates(item.base, item.new, item.y, cutoffs=cutoffs)
    events = int(item.y.sum())
    sizes = (events, item.y.size - events)
    rows = [
        _row(item, "auc-difference", "all", found.auc_difference),
        _row(item, "idi", "events", found.idi.events),
        _row(item, "idi", "non-events", found.idi.nonevents),
        _row(item, "idi", "all", found.idi.total),
        *_net_rows(item, "continuous-nri", found.continuous_nri, sizes),
    ]
    if found.categorical_nri is not None:
        rows += _net_rows(item, "categorical-nri", found.categorical_nri.net, sizes)
    return rows


def auc_rows(item: Comparison) -> list[Row]:
    """Return the AUC of both models."""
    return [auc_row(item.baseline, "base", item.base, item.y), auc_row(item.baseline, "new", item.new, item.y)]


def auc_row(baseline: str, model: str, p: Floats, y: Floats) -> Row:
    """Return the AUC of risks p (n,) with DeLong's interval."""
    found = delong_auc(p, y)
    labels: Row = {"baseline": baseline, "model": model, "measure": "auc"}
    return {**labels, "value": found.auc, "ci_low": found.ci_low, "ci_high": found.ci_high}


def net_benefit_rows(item: Comparison, thresholds: Sequence[float]) -> list[Row]:
    """Return both net benefits at the thresholds that may be shown for both models."""
    everyone = np.ones(item.y.size, dtype=np.bool_)
    cuts = open_cuts(item.new, open_cuts(item.base, sorted(set(thresholds)), everyone), everyone)
    return [_net_benefit_row(item, cut) for cut in cuts if not few_moved(item.base, item.new, cut)]


def _net_benefit_row(item: Comparison, cut: float) -> Row:
    found = net_benefit_differences(item.base, item.new, item.y, (cut,), prevalence=item.share)[0]
    n, above_base, above_new = item.y.size, int((item.base >= cut).sum()), int((item.new >= cut).sum())
    return {
        "baseline": item.baseline,
        "threshold": cut,
        "above_base": above_base,
        "below_base": n - above_base,
        "above_new": above_new,
        "below_new": n - above_new,
        "treat_all": item.share - (1.0 - item.share) * cut / (1.0 - cut),
        "base": as_fine_as(found.base, n),
        "new": as_fine_as(found.new, n),
    }


def _net_rows(item: Comparison, measure: str, net: NetReclassification, sizes: tuple[int, int]) -> list[Row]:
    parts = (
        ("events", net.events, (net.events_up, net.events_down), sizes[0]),
        ("non-events", net.nonevents, (net.nonevents_up, net.nonevents_down), sizes[1]),
    )
    return [
        _row(item, measure, group, None if _few(shares, size) else estimate) for group, estimate, shares, size in parts
    ]


def _few(shares: tuple[float, float], size: int) -> bool:
    """Return whether 1 to 9 of a group moved up, moved down, or stayed."""
    up, down = (round(share * size) for share in shares)
    return any(0 < count < MIN_CELL for count in (up, down, size - up - down))


def _row(item: Comparison, measure: str, group: str, estimate: Estimate | None) -> Row:
    labels: Row = {"baseline": item.baseline, "measure": measure, "group": group}
    if estimate is None:
        return {**labels, "se": None, "estimate": None, "ci_low": None, "ci_high": None}
    return estimate_row(estimate.value, estimate.se, **labels)
