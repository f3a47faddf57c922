"""How sure the order of terms is: the bootstrap distribution of each term's rank.

Rank 1 is the largest value. An order read off one sample is often luck; intervals of ranks show how often (Harrell
2015, Regression Modeling Strategies, section 5.4, with rms and its bootstrap).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RankSummary:
    """Rank (k,) in the sample, mean bootstrap rank, interval of whole or half ranks, and P(rank 1), each (k,).

    Ties share the mean of their ranks (R's rank) and the first place in equal parts, so `first` sums to 1.
    """

    rank: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    first: FloatArray
    level: float


def rank_largest_first(values: FloatArray) -> FloatArray:
    """Return the ranks of values (..., k) along the last axis: 1 for the largest, ties share the mean of theirs."""
    larger = (values[..., None, :] > values[..., :, None]).sum(axis=-1)
    equal = (values[..., None, :] == values[..., :, None]).sum(axis=-1)
    ranks: FloatArray = larger + (equal + 1) / 2.0
    return ranks


def summarise_ranks(values: FloatArray, draws: FloatArray, level: float = 0.95) -> RankSummary:
    """Return the ranks of values (k,), and their distribution over bootstrap draws (B, k).

    The interval takes order statistics (quantile type 1), so that its ends are ranks that occurred.

    Raises:
        InvalidBlockError: shapes do not fit together, a value is not finite, the level is not between 0 and 1.
    """
    if values.ndim != 1 or draws.ndim != 2 or draws.shape[1:] != values.shape or not draws.size:
        raise InvalidBlockError(f"expected values (k,) and draws (B, k), got {values.shape} and {draws.shape}")
    if not np.isfinite(values).all() or not np.isfinite(draws).all() or not 0.0 < level < 1.0:
        raise InvalidBlockError("values and draws must be finite, and the level between 0 and 1")
    ranks, tail = rank_largest_first(draws), (1.0 - level) / 2.0
    low, high = np.quantile(ranks, [tail, 1.0 - tail], axis=0, method="inverted_cdf")
    best = draws == draws.max(axis=1, keepdims=True)
    first = (best / best.sum(axis=1, keepdims=True)).mean(axis=0)
    return RankSummary(rank_largest_first(values), ranks.mean(axis=0), low, high, first, level)
