"""Proof that the partial likelihood is monotone, so that no finite maximum exists.

A direction separates when at every event the row with the event has the largest value of its risk set, and somewhere a
smaller one is present (Heinze and Schemper 2001, Biometrics 57:114). Newton's steps tend to such a direction; testing
the risk sets against it makes the refusal a proof. Values along the direction are row-level: they never leave here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.separation import check_direction
from heartify.stats.survival.design import Stratum
from heartify.stats.survival.risk_sets import RiskSets


def check_not_monotone(strata: Sequence[Stratum], direction: FloatArray) -> None:
    """Check that the direction (p,), in standardised slopes, does not separate the events.

    Raises:
        SeparationError: it does, beyond rounding.
    """
    check_direction([margins for stratum in strata for margins in _margins(stratum, direction)])


def _margins(stratum: Stratum, direction: FloatArray) -> tuple[FloatArray, FloatArray]:
    sets = stratum.sets
    values = direction @ stratum.Z
    at_events = values[sets.event_rows]
    largest = risk_set_maximum(sets, values)[sets.event_index]
    smallest = -risk_set_maximum(sets, -values)[sets.event_index]
    return at_events - largest, at_events - smallest


def risk_set_maximum(sets: RiskSets, values: FloatArray) -> FloatArray:
    """Return (K,) the largest of values (n,) in each risk set.

    Each row covers a range of event times: two overlapping ranges of a power of two, pushed down level by level (a
    sparse table run backwards), O((n + K) log K) without a loop over rows.
    """
    first = np.zeros(sets.n, dtype=np.int64) if sets.first is None else sets.first.astype(np.int64)
    last = sets.last.astype(np.int64)
    exposed = last > first
    first, last, values = first[exposed], last[exposed], values[exposed]
    level = np.frexp((last - first).astype(np.float64))[1] - 1  # floor(log2(length))
    best = np.full(sets.times.size, -np.inf)
    for power in range(int(level.max()), -1, -1):
        own = level == power
        _raise_at(best, first[own], values[own])
        _raise_at(best, last[own] - (1 << power), values[own])
        if power:
            half = 1 << (power - 1)
            shifted = np.concatenate((np.full(half, -np.inf), best[:-half]))
            best = np.maximum(best, shifted)
    return best


def _raise_at(best: FloatArray, positions: NDArray[np.int64], values: FloatArray) -> None:
    np.maximum.at(best, positions, values)
