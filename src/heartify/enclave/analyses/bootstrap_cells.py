"""Cells of intervals and ranks from bootstrap draws; empty where there were too few draws for an interval."""

from __future__ import annotations

import math

import numpy as np

from heartify.disclosure.cells import Cell
from heartify.enclave.analyses.refits import Floats
from heartify.stats.importance import rank_largest_first, summarise_ranks

LEVEL = 0.95
MIN_DRAWS = 40  # with fewer, 95 % of the draws reach from the smallest to the largest
Bounds = tuple[float, float] | tuple[None, None]


def percentile_interval(draws: Floats | None) -> Bounds:
    """Return the 95 % percentile interval of draws (B,), or nothing where they are too few."""
    if draws is None:
        return None, None
    tail = (1.0 - LEVEL) / 2.0
    low, high = np.quantile(draws, [tail, 1.0 - tail], method="weibull")  # as heartify.stats.importance.summarise
    return float(low), float(high)


def rank_cells(values: Floats, draws: Floats | None) -> list[dict[str, Cell]]:
    """Return rank, rank_low, rank_high and first (the part of draws in which it is first) of k values, largest first.

    Ranks are whole: ties share the best of theirs, intervals reach outwards.
    """
    ranks = [math.floor(rank) for rank in rank_largest_first(values).tolist()]
    if draws is None:
        return [{"rank": rank, "rank_low": None, "rank_high": None, "first": None} for rank in ranks]
    found = summarise_ranks(values, draws, LEVEL)
    return [
        {"rank": rank, "rank_low": math.floor(low), "rank_high": math.ceil(high), "first": float(first)}
        for rank, low, high, first in zip(ranks, found.low, found.high, found.first, strict=True)
    ]
