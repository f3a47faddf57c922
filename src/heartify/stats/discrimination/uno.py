"""Uno's C: concordance up to a time tau, weighted so that its limit does not depend on the censoring.

A pair weighs 1 / G(t-)^2 by the time of its event. Other causes than the one asked for count as censorings. Trusts
`CensoringModel`, which refuses delayed entry.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.follow_up import FollowUp, IntArray
from heartify.stats.discrimination.harrell import Concordance, checked_score, concordance, pair_sums
from heartify.stats.discrimination.ipcw import CensoringModel
from heartify.stats.discrimination.pair_counts import row_pairs
from heartify.stats.errors import DegenerateOutcomeError


@dataclass(frozen=True, slots=True)
class UnoConcordance:
    """Uno's C; `se` takes the estimation of the weights into account, `known_weights_se` is what R prints."""

    c: float
    se: float
    known_weights_se: float
    tau: float
    pairs: Concordance


def uno_c(
    score: FloatArray,
    rows: FollowUp,
    *,
    tau: float | None = None,
    cause: int = 1,
    censoring_group: IntArray | None = None,
) -> UnoConcordance:
    """Return Uno's C of a risk score (n,), over events up to and including tau (the last event if None).

    Source: Uno et al. 2011, Statistics in Medicine 30:1105. Equals R's concordance(Surv(time, status) ~ score,
    timewt = "n/G2", ymax = tau, reverse = TRUE) of survival. Both standard errors are infinitesimal jackknives.

    Raises:
        InvalidBlockError: shapes or values do not fit, or delayed entry.
        DegenerateOutcomeError: no comparable pair up to tau.
    """
    values = checked_score(score, rows)
    single = FollowUp(rows.time, np.where(rows.event == cause, 1, 0), rows.entry)
    is_event = single.event == 1
    if not is_event.any():
        raise DegenerateOutcomeError("nobody has the event")
    last = float(single.time[is_event].max()) if tau is None else float(tau)
    model = CensoringModel(single, censoring_group)
    used = is_event & (single.time <= last)
    weight = np.divide(1.0, model.before_end() ** 2, out=np.zeros(single.n), where=used)

    pairs = row_pairs(values, single, is_event, weight)
    won, every = pairs.event_won + pairs.other_won, pairs.event_all + pairs.other_all
    known = concordance(pair_sums(pairs, won, every, single, is_event))
    won = won + model.influence(2.0 * pairs.event_won)
    every = every + model.influence(2.0 * pairs.event_all)
    full = concordance(pair_sums(pairs, won, every, single, is_event))
    return UnoConcordance(full.c, full.se, known.se, last, known)
