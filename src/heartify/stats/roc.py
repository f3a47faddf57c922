"""The area under the ROC curve, exactly.

Mann-Whitney's statistic in whole numbers: ties count half, nothing is binned, and the only rounding is the last
division. Sorting makes it O(n log n). Trusts nothing about the order of rows.
"""

from __future__ import annotations

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError


def auc(scores: FloatArray, y: FloatArray) -> float:
    """Return P(score of a case > score of a control) + P(equal) / 2, from scores (n,) and y (n,) of zeros and ones.

    Source: Hanley and McNeil 1982, Radiology 143:29.

    Raises:
        InvalidBlockError: shapes differ, a score is not a number, y has other values.
        DegenerateOutcomeError: no cases or no controls.
    """
    if scores.ndim != 1 or scores.shape != y.shape:
        raise InvalidBlockError(f"expected scores (n,) and y (n,), got {scores.shape} and {y.shape}")
    if np.isnan(scores).any() or not np.isin(y, (0.0, 1.0)).all():
        raise InvalidBlockError("scores must be numbers and y zeros and ones")
    _, level = np.unique(scores, return_inverse=True)
    cases = np.bincount(level, weights=y).astype(np.int64)
    controls = np.bincount(level).astype(np.int64) - cases
    n_cases, n_controls = int(cases.sum()), int(controls.sum())
    if not n_cases or not n_controls:
        raise DegenerateOutcomeError("an AUC needs at least one case and one control")
    below = np.cumsum(controls) - controls
    doubled_wins = int(np.sum(cases * (2 * below + controls)))
    return doubled_wins / (2 * n_cases * n_controls)
