"""Proof that the outcome is separated, so that no finite maximum of the logistic likelihood exists.

A direction d separates when no row has a negative margin (2y - 1) x'd and some row has a positive one (Albert and
Anderson 1984, Biometrika 71:1). Under separation Newton's steps tend to such a d; testing the rows against it makes
the refusal a proof and not a guess from large coefficients. Margins are row-level values: they never leave here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import SeparationError

MARGIN_TOLERANCE = 1e-7  # of the largest margin: the late steps approach d like exp(-iteration)


def check_direction(margins: Sequence[FloatArray]) -> None:
    """Check that a direction, given by the margins of all rows (one array a block), does not separate the outcome.

    Raises:
        SeparationError: no margin is negative, beyond rounding, and at least one is positive.
    """
    largest = max(float(part.max()) for part in margins)
    smallest = min(float(part.min()) for part in margins)
    if largest > 0.0 and smallest >= -MARGIN_TOLERANCE * largest:
        raise SeparationError("a linear combination of the columns separates the outcome: no finite estimate exists")


def block_margins(X: FloatArray, y: FloatArray, intercept: float, slopes: FloatArray) -> FloatArray:
    """Return the margins (n,) of rows X (n, p), y (n,) along the direction (intercept, slopes (p,))."""
    margins: FloatArray = (2.0 * y - 1.0) * (intercept + X @ slopes)
    return margins


def check_standard_errors(at_maximum: FloatArray, at_start: FloatArray, limit: float = 1e4) -> None:
    """Check that no standard error (q,) exploded on the way to the maximum: the last net under `check_direction`.

    Raises:
        SeparationError: one grew more than `limit` times, which a finite maximum of real data never does.
    """
    if not np.isfinite(at_maximum).all() or (at_maximum > limit * at_start).any():
        raise SeparationError("a standard error exploded: the outcome is separated, or nearly so")
