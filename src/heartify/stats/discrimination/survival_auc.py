"""The area under the cumulative/dynamic ROC curve at a horizon: who has the event by t against who has not.

With competing causes a control is either everyone without the event of interest by t, or the event-free only; the two
answer different questions, so the caller says which.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.follow_up import FollowUp, IntArray
from heartify.stats.discrimination.harrell import checked_score
from heartify.stats.discrimination.ipcw import status_at
from heartify.stats.errors import DegenerateOutcomeError


class Controls(Enum):
    """Who is compared with the cases at a horizon."""

    WITHOUT_THE_EVENT = "event-free or after another cause"
    EVENT_FREE = "event-free"


@dataclass(frozen=True, slots=True)
class SurvivalAuc:
    """The AUC at a horizon and its standard error, with unweighted counts of cases and controls."""

    horizon: float
    auc: float
    se: float
    cases: int
    controls: int


def auc_at(
    score: FloatArray,
    rows: FollowUp,
    horizon: float,
    *,
    cause: int = 1,
    controls: Controls = Controls.WITHOUT_THE_EVENT,
    censoring_group: IntArray | None = None,
) -> SurvivalAuc:
    """Return the weighted probability that a case by the horizon has a larger score (n,) than a control; ties half.

    Source: Uno et al. 2007, JASA 102:527; Blanche, Dartigues, Jacqmin-Gadda 2013, Statistics in Medicine 32:5381
    (definitions of controls and the influence function, which includes the estimated weights).

    Raises:
        InvalidBlockError: shapes or values do not fit, or delayed entry.
        DegenerateOutcomeError: no case, no control, or follow-up ends before the horizon.
    """
    values = checked_score(score, rows)
    status = status_at(rows, horizon, cause=cause, censoring_group=censoring_group)
    is_control = status.free if controls is Controls.EVENT_FREE else status.free | status.rival
    if not is_control.any():
        raise DegenerateOutcomeError("no controls at the horizon")
    case, control = np.where(status.case, status.weight, 0.0), np.where(is_control, status.weight, 0.0)
    beaten, losing = _half_tied(values, case, control)
    pairs = float(case.sum() * control.sum())
    auc = float(case @ beaten) / pairs
    own = (case * (beaten - auc * control.sum()) + control * (losing - auc * case.sum())) / pairs
    influence = own + status.model.influence(own, horizon)
    se = float(np.sqrt(influence @ influence))
    return SurvivalAuc(horizon, auc, se, int(status.case.sum()), int(is_control.sum()))


def _half_tied(score: FloatArray, case: FloatArray, control: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return, per row (n,), the weight of controls below its score and of cases above it, equal scores as half."""
    level = np.unique(score, return_inverse=True)[1]
    cases, controls = np.bincount(level, weights=case), np.bincount(level, weights=control)
    below = np.cumsum(controls) - controls / 2.0
    above = cases.sum() - np.cumsum(cases) + cases / 2.0
    return below[level], above[level]
