"""The difference of two Harrell's C on the same rows: an estimate with a paired interval, by design without a test.

The standard error is the infinitesimal jackknife's of the difference, row by row, so that what the two scores share
cancels. For nested models take the likelihood-ratio test of the added coefficients instead.
"""

from __future__ import annotations

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.follow_up import FollowUp, IntArray, group_codes
from heartify.stats.discrimination.harrell import checked_score
from heartify.stats.discrimination.pair_counts import row_pairs
from heartify.stats.errors import DegenerateOutcomeError
from heartify.stats.performance.predictions import Estimate, normal_estimate


def harrell_c_difference(
    score_base: FloatArray, score_new: FloatArray, rows: FollowUp, *, cause: int = 1, stratum: IntArray | None = None
) -> Estimate:
    """Return C(new) - C(base) of two risk scores (n,), within strata (n,) if given.

    Equals R's concordance(fit1, fit2) of survival with the contrast (-1, 1) of its variance (Therneau and Atkinson).

    Raises:
        InvalidBlockError: shapes or values do not fit.
        DegenerateOutcomeError: no comparable pair.
    """
    codes = np.zeros(rows.n, np.int64) if stratum is None else group_codes(stratum, rows.n, "stratum")[1]
    base, base_influence = _influence(checked_score(score_base, rows), rows, cause, codes)
    new, new_influence = _influence(checked_score(score_new, rows), rows, cause, codes)
    return normal_estimate(new - base, float(((new_influence - base_influence) ** 2).sum()))


def _influence(score: FloatArray, rows: FollowUp, cause: int, codes: IntArray) -> tuple[float, FloatArray]:
    """Return C and each row's influence on it (n,)."""
    won, every = np.zeros(rows.n), np.zeros(rows.n)
    ahead = total = 0.0
    for code in np.unique(codes):
        mine = codes == code
        part = rows.take(mine)
        pairs = row_pairs(score[mine], part, part.event == cause, np.ones(part.n))
        won[mine], every[mine] = pairs.event_won + pairs.other_won, pairs.event_all + pairs.other_all
        ahead += pairs.concordant - pairs.discordant
        total += pairs.concordant + pairs.discordant + pairs.tied_score
    if not total > 0.0:
        raise DegenerateOutcomeError("concordance needs an event with someone still event-free at its time")
    somers = ahead / total
    return (somers + 1.0) / 2.0, (won - somers * every) / (2.0 * total)
