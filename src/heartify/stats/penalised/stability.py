"""Stability selection: which factors an elastic net chooses again and again on halves of the cohort.

Meinshausen and Buehlmann 2010 (J R Stat Soc B 72:417) with the complementary pairs of Shah and Samworth 2013 (75:55).
Halves are drawn within hospital and outcome. Each half names the first q penalised terms that enter its path, so at
most q; hence the bounds on the expected number of falsely chosen terms. The generator is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks
from heartify.stats.coding import check_term_names
from heartify.stats.errors import InvalidBlockError
from heartify.stats.penalised.cross_validation import subset
from heartify.stats.penalised.elastic_net import SUPPORT_ONLY, PenalisedProblem, check_alpha, check_factors
from heartify.stats.penalised.path import walk

PAIRS = 50


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StabilitySelection:
    """Hold each term's inclusion frequency (p,) over 2 x pairs halves, and the terms at or above the threshold.

    `both_frequency` (p,) is the part of pairs whose two halves both chose the term. `expected_false` bounds the
    expected number of falsely chosen terms by q^2 / ((2 threshold - 1) p), `expected_false_unimodal` by the sharper
    bound of Shah and Samworth (inf where it does not apply). A term without a penalty is in every half by design: its
    frequency is nan and it is neither chosen nor counted in p.
    """

    term_names: tuple[str, ...]
    frequency: FloatArray
    both_frequency: FloatArray
    threshold: float
    q: int
    pairs: int
    expected_false: float
    expected_false_unimodal: float

    @property
    def selected(self) -> tuple[str, ...]:
        """Return the terms whose inclusion frequency reaches the threshold."""
        rows = zip(self.term_names, self.frequency, strict=True)
        return tuple(name for name, value in rows if value >= self.threshold)


def select_stable(
    blocks: Sequence[CohortBlock],
    term_names: Sequence[str],
    q: int,
    threshold: float,
    rng: Generator,
    *,
    pairs: int = PAIRS,
    alpha: float = 1.0,
    factors: FloatArray | None = None,
) -> StabilitySelection:
    """Count how often each term is among the first q to enter the elastic net's path, over complementary halves.

    Raises:
        InvalidBlockError: q, threshold, pairs or alpha out of range, or a hospital with fewer than 2 cases or controls.
        StatsError: as `PenalisedProblem`.
    """
    check_blocks(blocks)
    check_term_names(term_names, blocks[0].X.shape[1])
    weights = check_factors(factors, len(term_names))
    penalised = weights > 0.0
    _check_plan(q, threshold, pairs, int(penalised.sum()), alpha)
    if any(min(block.events, block.n - block.events) < 2 for block in blocks):
        raise InvalidBlockError("each hospital needs two cases and two controls, one for each half")
    once, both = np.zeros(len(term_names)), np.zeros(len(term_names))
    for _ in range(pairs):
        first, second = _halves(blocks, rng)
        chosen = [first_to_enter(half, q, alpha, weights) for half in (first, second)]
        once += chosen[0].astype(np.float64) + chosen[1]
        both += chosen[0] & chosen[1]
    p = int(penalised.sum())
    return StabilitySelection(
        term_names=tuple(term_names),
        frequency=np.where(penalised, once / (2 * pairs), np.nan),
        both_frequency=np.where(penalised, both / pairs, np.nan),
        threshold=threshold,
        q=q,
        pairs=pairs,
        expected_false=expected_false_selections(q, p, threshold),
        expected_false_unimodal=unimodal_false_selections(q, p, threshold, pairs),
    )


def expected_false_selections(q: int, p: int, threshold: float) -> float:
    """Return q^2 / ((2 threshold - 1) p), Meinshausen and Buehlmann's Theorem 1: the per-family error rate.

    Assumes that noise terms are exchangeable and that selection is no worse than random guessing.
    """
    return q**2 / ((2.0 * threshold - 1.0) * p)


def unimodal_false_selections(q: int, p: int, threshold: float, pairs: int) -> float:
    """Return Shah and Samworth's bound for unimodal proportions (Theorem 2): a constant times q^2 / p.

    It bounds the expected number of chosen terms among those of low selection probability (at most q / p), if their
    simultaneous selection proportions are unimodal; inf where the threshold is too near 1/2 for it.
    """
    theta = q / p
    if threshold > 0.75:
        constant = 4.0 * (1.0 - threshold + 1.0 / (2 * pairs)) / (1.0 + 1.0 / pairs)
    elif threshold > 0.5 + max(min(theta**2, 1.0 / (2 * pairs) + 0.75 * theta**2), 1.0 / (4 * pairs)):
        constant = 1.0 / (2.0 * (2.0 * threshold - 1.0 - 1.0 / (2 * pairs)))
    else:
        return math.inf
    return constant * q * theta


def choose_q(p: int, threshold: float, expected_false: float) -> int:
    """Return the largest q whose expected number of false selections stays within `expected_false`.

    Raises:
        InvalidBlockError: even q = 1 is too many.
    """
    q = math.floor(math.sqrt((2.0 * threshold - 1.0) * p * expected_false) * (1.0 + 1e-12))
    if q < 1:
        raise InvalidBlockError("no q is small enough for that expected number of false selections")
    return min(q, p)


def first_to_enter(blocks: Sequence[CohortBlock], q: int, alpha: float, weights: FloatArray) -> NDArray[np.bool_]:
    """Return a mask (p,) of the first q penalised terms (fewer if the path ends) that enter; ties by size per SD."""
    problem = PenalisedProblem(blocks)
    own = weights[problem.varying]
    entered: list[int] = []
    for _, position, _ in walk(problem, own, alpha, None, SUPPORT_ONLY):
        fresh = np.flatnonzero((position.slopes != 0.0) & (own > 0.0))
        fresh = fresh[~np.isin(fresh, entered)]
        entered += [int(j) for j in fresh[np.argsort(-np.abs(position.slopes[fresh]), kind="stable")]]
        if len(entered) >= q:
            break
    mask = np.zeros(weights.size, dtype=np.bool_)
    mask[np.flatnonzero(problem.varying)[entered[:q]]] = True
    return mask


def _halves(blocks: Sequence[CohortBlock], rng: Generator) -> tuple[list[CohortBlock], list[CohortBlock]]:
    first: list[CohortBlock] = []
    second: list[CohortBlock] = []
    for block in blocks:
        mask = np.zeros(block.n, dtype=np.bool_)
        for outcome in (0.0, 1.0):
            rows = rng.permutation(np.flatnonzero(block.y == outcome))
            # An odd row out goes to either half by lot, so that neither is larger on average.
            mask[rows[: (rows.size + int(rng.integers(2))) // 2]] = True
        first.append(subset(block, mask))
        second.append(subset(block, ~mask))
    return first, second


def _check_plan(q: int, threshold: float, pairs: int, p: int, alpha: float) -> None:
    check_alpha(alpha)
    if alpha == 0.0:
        raise InvalidBlockError("ridge (alpha = 0) selects nothing")
    if not 1 <= q <= p:
        raise InvalidBlockError(f"q must be between 1 and the number of penalised terms, {p}")
    if not 0.5 < threshold <= 1.0:
        raise InvalidBlockError("the threshold must be above 1/2 and at most 1")
    if pairs < 1:
        raise InvalidBlockError("expected at least one pair of halves")
