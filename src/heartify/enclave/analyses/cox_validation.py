"""Leave-one-hospital-out validation of a Cox model: Harrell's C and the calibration slope in the hospital left out.

The others' log hazard ratios give its patients a score; the baseline hazard is the hospital's own, so that there is
nothing to compare expected events with. Competing events are censored, strata inside the hospital are kept apart.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.stats.competing import FollowUp
from heartify.stats.discrimination import harrell_c
from heartify.stats.errors import StatsError
from heartify.stats.heterogeneity import LeftOutHospital, Measure
from heartify.stats.heterogeneity.validation import logit_c
from heartify.stats.survival import SurvivalBlock, Ties, fit_cox

Floats = NDArray[np.float64]


def leave_one_hospital_out_cox(
    blocks: Sequence[SurvivalBlock], names: Sequence[str], ties: str
) -> tuple[LeftOutHospital, ...]:
    """Return every hospital judged by the model of the others; measures of calibration in the large are None."""
    return tuple(_judge(blocks, out, names, Ties(ties)) for out in range(len(blocks)))


def _judge(blocks: Sequence[SurvivalBlock], out: int, names: Sequence[str], ties: Ties) -> LeftOutHospital:
    block = blocks[out]
    try:
        model = fit_cox([other for h, other in enumerate(blocks) if h != out], names, ties=ties)
    except StatsError as exc:
        return _judged(block, None, None, type(exc).__name__)
    score = np.zeros(block.n)
    for j, slope in enumerate(model.coef):  # column by column: equal rows must give equal scores, or ties break
        score += block.X[:, j] * slope
    return _judged(block, _c(block, score), _slope(block, score, ties), None)


def _c(block: SurvivalBlock, score: Floats) -> Measure | None:
    try:
        found = harrell_c(score, FollowUp(block.time, block.event, block.entry), stratum=block.stratum)
    except StatsError:
        return None
    return Measure(found.c, found.se)


def _slope(block: SurvivalBlock, score: Floats, ties: Ties) -> Measure | None:
    alone = SurvivalBlock(block.name, score[:, None], block.time, block.event, block.entry, block.stratum)
    try:
        fit = fit_cox([alone], ["score"], ties=ties)
    except StatsError:
        return None
    return Measure(float(fit.coef[0]), float(fit.se[0]))


def _judged(block: SurvivalBlock, c: Measure | None, slope: Measure | None, failure: str | None) -> LeftOutHospital:
    return LeftOutHospital(
        hospital=block.name,
        n=block.n,
        observed=block.events,
        expected=None,
        c=c,
        logit_c=logit_c(c),
        slope=slope,
        in_the_large=None,
        log_oe=None,
        failure=failure,
    )
