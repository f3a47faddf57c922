"""General dominance of k terms: each term's average gain over all subsets of the others (Shapley 1953).

Knows no model: `value` gives the worth of a subset of term indices, any R2 or log-likelihood. General dominance is
Budescu's (1993), the LMG share of Lindeman, Merenda and Gold (1980). Gains always sum to value(all) - value(none).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

Subset = tuple[int, ...]
Value = Callable[[Subset], float]
MOST_EXACT_TERMS = 16  # 65,536 subsets


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ExactDominance:
    """Exact dominance of k terms over all 2^k subsets.

    `general` (k,): average gain; sums to total. `conditional` (k, k): row s, column j: average gain of term j when
    added to s others; general is its mean over rows. `complete` (k, k): True at (i, j) where term i gains at least as
    much as j in every subset of the others, and more in at least one (Budescu 1993).
    """

    general: FloatArray
    conditional: FloatArray
    complete: NDArray[np.bool_]
    nothing: float
    total: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SampledDominance:
    """General dominance (k,) from sampled orders of the terms, its Monte Carlo SE (k,), the orders drawn."""

    general: FloatArray
    monte_carlo_se: FloatArray
    nothing: float
    total: float
    orders: int


def exact_dominance(value: Value, k: int) -> ExactDominance:
    """Evaluate all subsets of k terms, largest first (each is one term short of an earlier one), sorted indices.

    Raises:
        InvalidBlockError: k is not between 1 and 16.
    """
    if not 1 <= k <= MOST_EXACT_TERMS:
        raise InvalidBlockError(f"exact dominance needs between 1 and {MOST_EXACT_TERMS} terms, got {k}")
    values = np.empty(1 << k)
    for size in range(k, -1, -1):
        for subset in combinations(range(k), size):
            values[sum(1 << j for j in subset)] = value(subset)
    masks = np.arange(1 << k)
    sizes = np.array([int(mask).bit_count() for mask in masks])
    conditional = np.empty((k, k))
    for j in range(k):
        without = masks[(masks >> j) & 1 == 0]
        gain = values[without | (1 << j)] - values[without]
        conditional[:, j] = np.bincount(sizes[without], gain) / [math.comb(k - 1, s) for s in range(k)]
    return ExactDominance(
        general=conditional.mean(axis=0),
        conditional=conditional,
        complete=_complete(values, masks, k),
        nothing=float(values[0]),
        total=float(values[-1] - values[0]),
    )


def _complete(values: FloatArray, masks: NDArray[np.int64], k: int) -> NDArray[np.bool_]:
    complete = np.zeros((k, k), dtype=bool)
    for i in range(k):
        for j in range(k):
            if i != j:
                rest = masks[((masks >> i) | (masks >> j)) & 1 == 0]
                lead = values[rest | (1 << i)] - values[rest | (1 << j)]
                complete[i, j] = bool((lead >= 0).all() and (lead > 0).any())
    return complete


def sampled_dominance(value: Value, k: int, pairs: int, rng: np.random.Generator) -> SampledDominance:
    """Average gains over `pairs` random orders of k terms, each with its reverse (antithetic; Mitchell et al. 2022).

    Every subset is evaluated once, along each order from the full set downwards. The SE is that of the mean over
    independent pairs.

    Raises:
        InvalidBlockError: k < 1, or fewer than two pairs (no standard error).
    """
    if k < 1 or pairs < 2:
        raise InvalidBlockError("sampled dominance needs at least one term and two pairs of orders")
    known: dict[int, float] = {}
    gains = np.empty((pairs, k))
    for pair in range(pairs):
        order = rng.permutation(k)
        gains[pair] = (_walk(value, order, known) + _walk(value, order[::-1], known)) / 2.0
    nothing, full = known[0], known[(1 << k) - 1]
    se = gains.std(axis=0, ddof=1) / math.sqrt(pairs)
    return SampledDominance(gains.mean(axis=0), se, nothing, full - nothing, 2 * pairs)


def _walk(value: Value, order: NDArray[np.int64], known: dict[int, float]) -> FloatArray:
    gains = np.empty(order.size)
    mask = (1 << order.size) - 1
    worth = _look_up(value, mask, known)
    for j in map(int, order):
        mask &= ~(1 << j)
        less = _look_up(value, mask, known)
        gains[j], worth = worth - less, less
    return gains


def _look_up(value: Value, mask: int, known: dict[int, float]) -> float:
    if mask not in known:
        known[mask] = value(tuple(j for j in range(mask.bit_length()) if mask >> j & 1))
    return known[mask]
