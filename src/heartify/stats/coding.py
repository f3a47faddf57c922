"""The two parametrisations of a model with hospital intercepts, and the linear map between them.

Inside, each hospital has its own intercept and the terms are centred and scaled over all rows (well conditioned, and
one hospital's sums touch one intercept only). Outside, R's treatment coding in clinical units: "(Intercept)", the
terms, then "hospital:<name>" for each block but the first. Both describe the same model, so estimates map linearly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.stats.blocks import CohortBlock, FloatArray, Moments
from heartify.stats.errors import InvalidBlockError, RankDeficientError

INTERCEPT = "(Intercept)"
HOSPITAL_PREFIX = "hospital:"
CONSTANT_TOLERANCE = 1e-12  # an SD below this part of the column's mean is rounding


def check_term_names(term_names: Sequence[str], p: int) -> None:
    """Check that there is one distinct, non-reserved name per column.

    Raises:
        InvalidBlockError: their number is not p, a name repeats, is empty, or looks like an intercept.
    """
    if len(term_names) != p:
        raise InvalidBlockError(f"expected {p} term names, got {len(term_names)}")
    if len(set(term_names)) != p:
        raise InvalidBlockError("a term name occurs twice")
    if any(not name or name == INTERCEPT or name.startswith(HOSPITAL_PREFIX) for name in term_names):
        raise InvalidBlockError("a term name is empty or reserved for intercepts")


def parameter_names(term_names: Sequence[str], blocks: Sequence[CohortBlock]) -> tuple[str, ...]:
    """Return the names (1 + p + hospitals - 1) in R's treatment coding; the first block is the reference."""
    return (INTERCEPT, *term_names, *(HOSPITAL_PREFIX + block.name for block in blocks[1:]))


def check_scales(moments: Moments, term_names: Sequence[str]) -> None:
    """Check that every column varies.

    Raises:
        RankDeficientError: a column is constant over all rows.
    """
    constant = moments.sd <= CONSTANT_TOLERANCE * np.abs(moments.mean)
    if constant.any():
        names = ", ".join(name for name, flag in zip(term_names, constant, strict=True) if flag)
        raise RankDeficientError(f"constant over all rows: {names}")


def treatment_map(moments: Moments, hospitals: int) -> FloatArray:
    """Return T (q, q) with treatment-coded, unscaled parameters = T @ (hospital intercepts, standardised slopes)."""
    p = moments.mean.size
    T = np.zeros((hospitals + p, hospitals + p))
    T[0, 0] = 1.0
    T[0, hospitals:] = -moments.mean / moments.sd
    T[1 : 1 + p, hospitals:] = np.diag(1.0 / moments.sd)
    for other in range(1, hospitals):
        T[p + other, other] = 1.0
        T[p + other, 0] = -1.0
    return T
