"""Tests that a term has the same slopes in every hospital, in the one-stage model of the hospitals given.

Rao's score test for the logistic model, which needs no further fit; the likelihood ratio of hospital x term for the Cox
model. The caller gives only hospitals whose own estimates are shown.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.disclosure.cells import Cell
from heartify.enclave.study_data import StudyData
from heartify.stats.chi_square import ratio_test
from heartify.stats.errors import StatsError
from heartify.stats.heterogeneity import InteractionTest, score_test_interactions
from heartify.stats.importance import Term
from heartify.stats.survival import SurvivalBlock, Ties, fit_cox

MAX_COX_WORK = 2e10  # rows times squared columns times terms: minutes on one core
Row = dict[str, Cell]


def interaction_rows(data: StudyData, hospitals: Sequence[int]) -> list[Row]:
    """Return a row for each term of the model; none where the one-stage model of these hospitals has no estimates."""
    terms = [Term(name, data.model.columns_of(name)) for name in data.model.terms]
    try:
        if data.plan.analysis.model == "cox":
            return [_row(found, "likelihood-ratio") for found in _cox_tests(data, hospitals, terms)]
        blocks = [data.blocks[h] for h in hospitals]
        return [_row(found, "score") for found in score_test_interactions(blocks, data.names, terms)]
    except StatsError:
        return []


def _row(found: InteractionTest, test: str) -> Row:
    return {"term": found.term, "test": test, "chi2": found.chi2 if found.df else None, "df": found.df}


def _cox_tests(data: StudyData, hospitals: Sequence[int], terms: Sequence[Term]) -> list[InteractionTest]:
    blocks = [data.survival[h] for h in hospitals]
    columns = len(data.names) + max(len(term.columns) for term in terms) * (len(blocks) - 1)
    if not can_afford(sum(block.n for block in blocks), columns, len(terms)):
        return []
    ties = Ties(data.plan.analysis.ties)
    common = fit_cox(blocks, data.names, ties=ties).loglik
    return [_cox_test(blocks, data.names, term, ties, common) for term in terms]


def can_afford(rows: int, columns: int, fits: int) -> bool:
    """Return whether so many Cox fits of so many columns end in minutes."""
    return rows * columns**2 * fits <= MAX_COX_WORK


def _cox_test(
    blocks: Sequence[SurvivalBlock], names: Sequence[str], term: Term, ties: Ties, common: float
) -> InteractionTest:
    """Return the test of one term; df = 0 where its slopes can't be told apart, or some hospital's are infinite."""
    extra = [(j, h) for j in term.columns for h in _hospitals_with_variation(blocks, j)[1:]]
    if not extra:
        return InteractionTest(term.name, 0, 0.0, 1.0)
    wide = [dataclasses.replace(block, X=_widen(block.X, own, extra)) for own, block in enumerate(blocks)]
    try:
        apart = fit_cox(wide, [*names, *(f"own slope {k}" for k in range(len(extra)))], ties=ties)
    except StatsError:
        return InteractionTest(term.name, 0, 0.0, 1.0)
    test = ratio_test(apart.loglik, common, len(extra))
    return InteractionTest(term.name, test.df, test.statistic, test.p)


def _hospitals_with_variation(blocks: Sequence[SurvivalBlock], column: int) -> list[int]:
    return [h for h, block in enumerate(blocks) if np.ptp(block.X[:, column]) > 0.0]


def _widen(
    X: NDArray[np.float64],  # noqa: N803 - the matrix of the cited papers
    own: int,
    extra: Sequence[tuple[int, int]],
) -> NDArray[np.float64]:
    """Return X with one more column for each (column, hospital): the column in that hospital, 0 in others."""
    products = [X[:, j] * float(h == own) for j, h in extra]
    return np.column_stack([X, *products])
