"""Harrell's C: of two comparable patients, how often the one with the larger score has the event first.

Sums of pairs add over strata, so that hospitals are compared within themselves only. The standard error is the
infinitesimal jackknife's. Other causes than the one asked for count as censorings: C is cause-specific.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.follow_up import BoolArray, FollowUp, IntArray, frozen_vector, group_codes
from heartify.stats.discrimination.pair_counts import RowPairs, row_pairs
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError


@dataclass(frozen=True, slots=True)
class ConcordanceSums:
    """Hold pair counts of some rows; they add over strata and hospitals, whose rows are not compared.

    `tied_time` pairs of events at one time do not count. `won_won`, `won_all`, `all_all` are sums over rows of products
    of a row's influence on concordant - discordant and on all pairs: what the variance needs.
    """

    concordant: float
    discordant: float
    tied_score: float
    tied_time: float
    won_won: float
    won_all: float
    all_all: float
    n: int
    events: int

    def __add__(self, other: ConcordanceSums) -> ConcordanceSums:
        return ConcordanceSums(
            self.concordant + other.concordant,
            self.discordant + other.discordant,
            self.tied_score + other.tied_score,
            self.tied_time + other.tied_time,
            self.won_won + other.won_won,
            self.won_all + other.won_all,
            self.all_all + other.all_all,
            self.n + other.n,
            self.events + other.events,
        )


@dataclass(frozen=True, slots=True)
class Concordance:
    """A C statistic with its standard error, and the pairs behind it (weighted, where the estimator weighs)."""

    c: float
    se: float
    concordant: float
    discordant: float
    tied_score: float
    tied_time: float
    n: int
    events: int


def harrell_c(score: FloatArray, rows: FollowUp, *, cause: int = 1, stratum: IntArray | None = None) -> Concordance:
    """Return Harrell's C of a risk score (n,), ties of scores counting half, within strata (n,) if given.

    Source: Harrell, Lee, Mark 1996, Statistics in Medicine 15:361; variance: Therneau and Atkinson, concordance
    vignette of R's survival, whose concordance(Surv(entry, time, status) ~ score + strata(stratum), reverse = TRUE)
    this equals. With delayed entry only those at risk at the event are compared with it.

    Raises:
        InvalidBlockError: shapes or values do not fit.
        DegenerateOutcomeError: no comparable pair.
    """
    values = checked_score(score, rows)
    codes = np.zeros(rows.n, np.int64) if stratum is None else group_codes(stratum, rows.n, "stratum")[1]
    parts = []
    for code in np.unique(codes):
        mine = codes == code
        parts.append(concordance_sums(values[mine], rows.take(mine), cause=cause))
    return concordance(reduce(ConcordanceSums.__add__, parts))


def concordance_sums(score: FloatArray, rows: FollowUp, *, cause: int = 1) -> ConcordanceSums:
    """Return the additive sums of one stratum with score (n,).

    Raises:
        InvalidBlockError: shapes or values do not fit.
    """
    values = checked_score(score, rows)
    is_event = rows.event == cause
    pairs = row_pairs(values, rows, is_event, np.ones(rows.n))
    won, every = pairs.event_won + pairs.other_won, pairs.event_all + pairs.other_all
    return pair_sums(pairs, won, every, rows, is_event)


def concordance(sums: ConcordanceSums) -> Concordance:
    """Return C and its standard error from sums.

    Raises:
        DegenerateOutcomeError: no comparable pair.
    """
    pairs = sums.concordant + sums.discordant + sums.tied_score
    if not pairs > 0.0:
        raise DegenerateOutcomeError("concordance needs an event with someone still event-free at its time")
    somers = (sums.concordant - sums.discordant) / pairs
    squares = sums.won_won - 2.0 * somers * sums.won_all + somers**2 * sums.all_all
    return Concordance(
        (somers + 1.0) / 2.0,
        float(np.sqrt(max(squares, 0.0))) / (2.0 * pairs),
        sums.concordant,
        sums.discordant,
        sums.tied_score,
        sums.tied_time,
        sums.n,
        sums.events,
    )


def checked_score(score: object, rows: FollowUp) -> FloatArray:
    """Return a finite score (n,) for the rows.

    Raises:
        InvalidBlockError: it is not one finite number per row.
    """
    values = frozen_vector(score, "score")
    if values.size != rows.n:
        raise InvalidBlockError(f"expected one score for each of {rows.n} rows, got {values.size}")
    return values


def pair_sums(
    pairs: RowPairs, won: FloatArray, every: FloatArray, rows: FollowUp, is_event: BoolArray
) -> ConcordanceSums:
    """Return the sums of one stratum from its pairs and each row's influence (n,) on wins and on all pairs."""
    counts = np.unique(rows.time[is_event], return_counts=True)[1].astype(np.float64)
    return ConcordanceSums(
        concordant=pairs.concordant,
        discordant=pairs.discordant,
        tied_score=pairs.tied_score,
        tied_time=float((counts * (counts - 1.0) / 2.0).sum()),
        won_won=float(won @ won),
        won_all=float(won @ every),
        all_all=float(every @ every),
        n=rows.n,
        events=int(is_event.sum()),
    )
