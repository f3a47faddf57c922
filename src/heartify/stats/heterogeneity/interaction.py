"""Do the hospitals differ in one term's slopes: tests of the hospital x term interaction in the one-stage model.

The score test needs nothing but each hospital's likelihood sums at the common fit, so one pass tests every term. The
likelihood-ratio test refits with a slope per hospital; where that has no finite maximum, the score test still stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from heartify.stats.blocks import CohortBlock, FloatArray, Moments, block_moments, pooled_moments
from heartify.stats.chi_square import chi_square_test, ratio_test
from heartify.stats.coding import CONSTANT_TOLERANCE
from heartify.stats.errors import InvalidBlockError
from heartify.stats.importance.terms import Term, check_terms
from heartify.stats.likelihood import LikelihoodSums, logistic_sums
from heartify.stats.logistic import PooledLogisticFit, fit_pooled_logistic
from heartify.stats.newton import solve_information

RANK_TOLERANCE = 1e-9  # of a unit diagonal: below, a hospital's own slope is confounded with its intercept


@dataclass(frozen=True, slots=True)
class InteractionTest:
    """A chi2 test, with df degrees of freedom, that a term has the same slopes in every hospital.

    df is (hospitals - 1) x columns, less what hospitals in which a column does not vary cannot tell; df = 0, with
    chi2 = 0 and p = 1, where nothing can be tested.
    """

    term: str
    df: int
    chi2: float
    p: float


def score_test_interactions(
    blocks: Sequence[CohortBlock], term_names: Sequence[str], terms: Sequence[Term]
) -> tuple[InteractionTest, ...]:
    """Return Rao's score test of hospital x term for each term, given one common fit.

    Equals R's anova(fit, update(fit, . ~ . + hospital:term), test = "Rao").

    Raises:
        StatsError: fewer than two blocks, terms that do not fit the columns, or as `fit_pooled_logistic`.
    """
    _check(blocks, terms)
    fit = fit_pooled_logistic(blocks, term_names)
    sums = _sums_at(fit, blocks, pooled_moments(blocks))
    return tuple(_score_test(sums, term) for term in terms)


def likelihood_ratio_interaction(
    blocks: Sequence[CohortBlock], term_names: Sequence[str], term: Term
) -> InteractionTest:
    """Return the likelihood-ratio test of hospital x term; a second fit with one slope per hospital and column.

    Raises:
        StatsError: as `score_test_interactions`; SeparationError also where the term separates a hospital's outcome.
    """
    _check(blocks, [term])
    common = fit_pooled_logistic(blocks, term_names)
    extra = [(j, h) for j in term.columns for h in _hospitals_with_variation(blocks, j)[1:]]
    if not extra:
        return InteractionTest(term.name, 0, 0.0, 1.0)
    mean = pooled_moments(blocks).mean
    wide = [_widen(block, [float(h == own) for _, h in extra], [j for j, _ in extra], mean)
            for own, block in enumerate(blocks)]  # fmt: skip
    apart = fit_pooled_logistic(wide, [f"t{j}" for j in range(wide[0].X.shape[1])])
    test = ratio_test(apart.loglik, common.loglik, len(extra))
    return InteractionTest(term.name, test.df, test.statistic, test.p)


def _check(blocks: Sequence[CohortBlock], terms: Sequence[Term]) -> None:
    if len(blocks) < 2:
        raise InvalidBlockError("a comparison of hospitals needs at least two")
    check_terms(terms, blocks[0].X.shape[1])


def _sums_at(fit: PooledLogisticFit, blocks: Sequence[CohortBlock], moments: Moments) -> list[LikelihoodSums]:
    slopes = fit.term_coef * moments.sd
    shift = float(fit.term_coef @ moments.mean)
    return [
        logistic_sums((block.X - moments.mean) / moments.sd, block.y, own.value + shift, slopes)
        for block, own in zip(blocks, fit.hospital_intercepts, strict=True)
    ]


def _score_test(sums: list[LikelihoodSums], term: Term) -> InteractionTest:
    """U' S^+ U, with a slope per hospital, S their information given all intercepts and the other terms' slopes."""
    own = np.array(term.columns) + 1  # intercept first in each hospital's sums
    rest = np.setdiff1d(np.arange(1, sums[0].gradient.size), own)
    hospitals, width, others = len(sums), own.size, rest.size
    nuisance = np.zeros((hospitals + others, hospitals + others))
    cross = np.zeros((hospitals + others, hospitals * width))
    target, score = np.zeros((hospitals * width, hospitals * width)), np.zeros(hospitals * width)
    for h, part in enumerate(sums):
        at = np.concatenate(([0], rest))
        into = np.concatenate(([h], np.arange(hospitals, hospitals + others)))
        mine = slice(h * width, (h + 1) * width)
        nuisance[np.ix_(into, into)] += part.information[np.ix_(at, at)]
        cross[into, mine] += part.information[np.ix_(at, own)]
        target[mine, mine] = part.information[np.ix_(own, own)]
        score[mine] = part.gradient[own]

    chi2, rank = _quadratic_form(target - cross.T @ solve_information(nuisance, cross), np.diag(target), score)
    df = rank - width
    if df <= 0:
        return InteractionTest(term.name, 0, 0.0, 1.0)
    return InteractionTest(term.name, df, chi2, chi_square_test(chi2, df).p)


def _quadratic_form(S: FloatArray, diagonal: FloatArray, score: FloatArray) -> tuple[float, int]:
    scale = 1.0 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = eigh(S * np.outer(scale, scale))
    kept = values > RANK_TOLERANCE
    projected = vectors[:, kept].T @ (scale * score)
    return float(np.sum(projected**2 / values[kept])), int(kept.sum())


def _hospitals_with_variation(blocks: Sequence[CohortBlock], j: int) -> list[int]:
    moments = [block_moments(block.X[:, [j]]) for block in blocks]
    return [h for h, m in enumerate(moments) if m.sd[0] > CONSTANT_TOLERANCE * abs(m.mean[0])]


def _widen(block: CohortBlock, own: list[float], columns: list[int], mean: FloatArray) -> CohortBlock:
    products = (block.X[:, columns] - mean[columns]) * np.array(own)
    return CohortBlock(block.name, np.column_stack([block.X, products]), block.y)
