"""Comparable pairs of rows, counted by score in O(n log n): what concordance is made of.

A pair is an event and someone who is still event-free then: followed longer, or censored at the same time. Counts are
weighted sums over ranges of sorted rows, found bit by bit of the score's rank; with weights of 1 they are exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.follow_up import BoolArray, FollowUp, IntArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class RowPairs:
    """Hold, per row (n,), weighted pairs in which it is the event, and those in which it is the other one.

    A pair is concordant where the event has the larger score; `won` = concordant - discordant, `all` includes ties.
    """

    event_won: FloatArray
    event_all: FloatArray
    other_won: FloatArray
    other_all: FloatArray
    concordant: float
    discordant: float
    tied_score: float


def row_pairs(score: FloatArray, rows: FollowUp, is_event: BoolArray, weight: FloatArray) -> RowPairs:
    """Count the pairs of rows with score (n,); `weight` (n,) is a pair's weight by its event, read at events only."""
    rank = np.unique(score, return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((~is_event, rows.time))  # at one time events come first
    time, event = rows.time[order], is_event[order]
    last_event = np.searchsorted(time[event], time[event], side="right")
    beyond = np.searchsorted(time, time[event], side="left") + (
        last_event - np.searchsorted(time[event], time[event], side="left")
    )
    own_rank, own_weight = rank[order][event], weight[order][event]

    below, above, total = _split(rank[order], np.ones(rows.n), beyond, np.full(beyond.size, rows.n), own_rank)
    if rows.entry is not None:
        below, above, total = _without_late_entries((below, above, total), rank, rows.entry, time[event], own_rank)
    below, above, total = below * own_weight, above * own_weight, total * own_weight

    start = np.zeros(rows.n, np.int64)
    if rows.entry is not None:
        start = np.searchsorted(time[event], rows.entry, side="right")
    until_event = np.searchsorted(time[event], rows.time, side="left")
    until_censored = np.searchsorted(time[event], rows.time, side="right")
    stop = np.where(is_event, until_event, until_censored)
    under, over, every = _split(own_rank, own_weight, np.minimum(start, stop), stop, rank)

    won, pairs = np.zeros(rows.n), np.zeros(rows.n)
    position = order[event]
    won[position], pairs[position] = below - above, total
    concordant, discordant = float(below.sum()), float(above.sum())
    tied = float((total - below - above).sum())
    return RowPairs(won, pairs, over - under, every, concordant, discordant, tied)


_Split = tuple[FloatArray, FloatArray, FloatArray]


def _split(rank: IntArray, weight: FloatArray, first: IntArray, last: IntArray, value: IntArray) -> _Split:
    below = weighted_below(rank, weight, first, last, value)
    up_to = weighted_below(rank, weight, first, last, value + 1)
    running = np.concatenate(([0.0], np.cumsum(weight)))
    every = running[last] - running[first]
    return below, every - up_to, every


def _without_late_entries(
    counts: _Split, rank: IntArray, entry: FloatArray, event_time: FloatArray, own_rank: IntArray
) -> _Split:
    # Whoever enters at or after an event's time is followed beyond it too, so all of them were counted.
    by_entry = np.argsort(entry, kind="stable")
    late = np.searchsorted(entry[by_entry], event_time, side="left")
    ends = np.full(late.size, entry.size)
    missing = _split(rank[by_entry], np.ones(entry.size), late, ends, own_rank)
    below, above, total = (have - out for have, out in zip(counts, missing, strict=True))
    return below, above, total


def weighted_below(rank: IntArray, weight: FloatArray, first: IntArray, last: IntArray, value: IntArray) -> FloatArray:
    """Return, per query (q,), the weight (n,) of positions first <= i < last with rank[i] < value; ranks are >= 0.

    Rows are sorted stably by the bits of their rank from the highest on, and every query's range follows its value
    (a wavelet matrix: Claude and Navarro 2012); levels are not kept, so memory is O(n + q).
    """
    total = np.zeros(first.size)
    largest = max(int(rank.max(initial=0)), int(value.max(initial=0)))
    for bit in reversed(range(largest.bit_length())):
        zero = (rank >> bit) & 1 == 0
        zeros = np.concatenate(([0], np.cumsum(zero)))
        zero_weight = np.concatenate(([0.0], np.cumsum(np.where(zero, weight, 0.0))))
        ones = (value >> bit) & 1 == 1
        total += np.where(ones, zero_weight[last] - zero_weight[first], 0.0)
        first = np.where(ones, zeros[-1] + first - zeros[first], zeros[first])
        last = np.where(ones, zeros[-1] + last - zeros[last], zeros[last])
        rank, weight = np.concatenate([rank[zero], rank[~zero]]), np.concatenate([weight[zero], weight[~zero]])
    return total
