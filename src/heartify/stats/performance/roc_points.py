"""A ROC curve drawn with few points, so that it shows a shape and not the rows.

The full empirical curve has a vertex per distinct score; at most twenty of them are kept, spread evenly along the
curve. Ties form one vertex. "Positive" means a score at or above the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError
from heartify.stats.performance.predictions import check_scores

MOST_POINTS = 20


@dataclass(frozen=True, slots=True)
class RocPoint:
    """Sensitivity and specificity of "score >= threshold"; the first threshold is infinite (nobody is positive)."""

    threshold: float
    sensitivity: float
    specificity: float


def roc_curve(scores: FloatArray, y: FloatArray, points: int = MOST_POINTS) -> tuple[RocPoint, ...]:
    """Return at most `points` vertices of the curve of scores (n,) for y (n,), both ends included.

    Raises:
        InvalidBlockError: shapes or values are wrong, or `points` is not between 2 and 20.
        DegenerateOutcomeError: no events, or only events.
    """
    event = check_scores(scores, y)
    if not 2 <= points <= MOST_POINTS:
        raise InvalidBlockError(f"expected 2 to {MOST_POINTS} points, got {points}")
    levels, level = np.unique(scores, return_inverse=True)
    of_events = np.bincount(level[event], minlength=levels.size)[::-1].cumsum()
    of_nonevents = np.bincount(level[~event], minlength=levels.size)[::-1].cumsum()
    sensitivity = np.concatenate(([0.0], of_events / of_events[-1]))
    false_positive = np.concatenate(([0.0], of_nonevents / of_nonevents[-1]))
    thresholds = np.concatenate(([np.inf], levels[::-1]))

    length = sensitivity + false_positive  # along the curve, which only climbs and goes right: from 0 to 2
    kept = np.unique(np.searchsorted(length, np.linspace(0.0, 2.0, points) - 1e-12))
    return tuple(RocPoint(float(thresholds[i]), float(sensitivity[i]), 1.0 - float(false_positive[i])) for i in kept)
