"""Whether added columns carry information beyond a base model: tests of their coefficients, and nothing else.

The likelihood-ratio and Rao's score test, on as many degrees of freedom as there are added columns. These are the only
p-values of an increment: differences of AUC, IDI and NRI between nested models are estimates (Pepe et al. 2013, Stat
Med 32:1467). Sums come from each hospital and add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heartify.stats.blocks import CohortBlock, FloatArray
from heartify.stats.chi_square import ChiSquareTest, chi_square_test, ratio_test
from heartify.stats.errors import RankDeficientError
from heartify.stats.increment.nested import NestedLogistic, Offsets
from heartify.stats.newton import Maximum, solve_information
from heartify.stats.rank import least_scaled_eigenvalue

SINGULAR = 1e-13  # least eigenvalue of the scaled information that is no rounding


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class AddedColumnsTest:
    """The two tests of the k added columns, and their coefficients (k,), covariance (k, k) in clinical units.

    `loglik_base` and `loglik_full` are of the models without and with them, on the same n rows.
    """

    names: tuple[str, ...]
    n: int
    events: int
    likelihood_ratio: ChiSquareTest
    score: ChiSquareTest
    coef: FloatArray
    covariance: FloatArray
    loglik_base: float
    loglik_full: float


def added_columns_test(
    blocks: Sequence[CohortBlock], term_names: Sequence[str], added: Sequence[str], offsets: Offsets | None = None
) -> AddedColumnsTest:
    """Test the columns named `added` given all other columns, an intercept per hospital, and the offsets.

    For a base that is a published score, pass its log odds as the one base column (recalibrated by the fit), or as
    `offsets`, an array (n_h,) per block (the score as published, but for the hospitals' intercepts).

    Raises:
        InvalidBlockError: blocks, names or offsets do not fit together; no column is added.
        DegenerateOutcomeError, RankDeficientError, SeparationError, NotConvergedError: one of the models has no fit.
    """
    model = NestedLogistic(blocks, term_names, added, offsets)
    return compare_fits(model, added, model.fit_base(), model.fit_full())


def compare_fits(model: NestedLogistic, added: Sequence[str], base: Maximum, full: Maximum) -> AddedColumnsTest:
    """Return the tests between two fits of one nested model.

    Raises:
        RankDeficientError: the information of the added columns is singular at the base model.
    """
    first = model.hospitals + model.base_width
    sd = model.sd[model.base_width :]
    return AddedColumnsTest(
        names=tuple(added),
        n=model.n,
        events=model.events,
        likelihood_ratio=ratio_test(full.sums.loglik, base.sums.loglik, len(added)),
        score=chi_square_test(_score_statistic(model, base), len(added)),
        coef=full.parameters[first:] / sd,
        covariance=full.covariance[first:, first:] / (sd[:, None] * sd),
        loglik_base=base.sums.loglik,
        loglik_full=full.sums.loglik,
    )


def _score_statistic(model: NestedLogistic, base: Maximum) -> float:
    """Return U' I^-1 U at the base model (Rao 1948); U is zero but for the added columns."""
    sums = model.sums_of_full(base)
    if not least_scaled_eigenvalue(sums.information) > SINGULAR:
        raise RankDeficientError("the added columns carry no information of their own at the base model")
    return max(0.0, float(sums.gradient @ solve_information(sums.information, sums.gradient)))
