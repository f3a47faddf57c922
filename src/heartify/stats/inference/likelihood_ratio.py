"""The likelihood-ratio test: what the likelihood loses when some columns leave the model.

Primary for the report, Wald beside it: it does not depend on the parametrisation and does not fail for large effects
(Hauck and Donner 1977). The reduced model is fitted again by maximum likelihood on the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.stats.blocks import CohortBlock
from heartify.stats.chi_square import ChiSquareTest, ratio_test
from heartify.stats.errors import InvalidBlockError
from heartify.stats.inference.wald import SplineTests, positions
from heartify.stats.logistic import PooledLogisticFit, check_fit_belongs, fit_pooled_logistic

NEGATIVE_TOLERANCE = 1e-9  # of |loglik|: beyond this a smaller model cannot fit better than the larger one


def likelihood_ratio_test(blocks: Sequence[CohortBlock], fit: PooledLogisticFit, drop: Sequence[str]) -> ChiSquareTest:
    """Test that the named terms of a maximum-likelihood fit on these blocks are all zero; df = their number.

    Raises:
        InvalidBlockError: names are not distinct terms of the fit, the fit is of other blocks, or it is no maximum
            (a Firth fit has a test of its own).
        StatsError: the reduced model has no estimate, as `fit_pooled_logistic`.
    """
    check_fit_belongs(blocks, fit)
    dropped = set(positions(fit.term_names, drop).tolist())
    kept = [j for j in range(len(fit.term_names)) if j not in dropped]
    smaller = [CohortBlock(block.name, block.X[:, kept], block.y) for block in blocks]
    reduced = fit_pooled_logistic(smaller, [fit.term_names[j] for j in kept])
    statistic = 2.0 * (fit.loglik - reduced.loglik)
    if statistic < -NEGATIVE_TOLERANCE * (1.0 + abs(fit.loglik)) or not np.isfinite(statistic):
        raise InvalidBlockError("the model without the terms fits better: the fit is not a maximum on these blocks")
    return ratio_test(fit.loglik, reduced.loglik, len(drop))


def likelihood_ratio_spline_tests(
    blocks: Sequence[CohortBlock], fit: PooledLogisticFit, names: Sequence[str]
) -> SplineTests:
    """Test a spline term from the names of its columns, the linear one first, by two reduced models.

    Raises:
        InvalidBlockError: fewer than two names, or as `likelihood_ratio_test`.
        StatsError: as `likelihood_ratio_test`.
    """
    if len(names) < 2:
        raise InvalidBlockError("a spline has at least two columns")
    return SplineTests(
        overall=likelihood_ratio_test(blocks, fit, names), nonlinear=likelihood_ratio_test(blocks, fit, names[1:])
    )
