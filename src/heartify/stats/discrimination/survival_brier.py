"""The Brier score of predicted risks at a horizon under censoring, and its share explained (IPA, scaled Brier).

The reference of IPA predicts everyone's marginal risk, which with one censoring distribution is Aalen-Johansen's.
Someone who had another cause counts as not having had the event.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.competing.follow_up import FollowUp, IntArray
from heartify.stats.discrimination.harrell import checked_score
from heartify.stats.discrimination.ipcw import status_at
from heartify.stats.errors import InvalidBlockError


@dataclass(frozen=True, slots=True)
class SurvivalBrier:
    """The Brier score, that of the marginal risk, and IPA = 1 - brier / null_brier, with standard errors."""

    horizon: float
    brier: float
    brier_se: float
    null_brier: float
    null_risk: float
    ipa: float
    ipa_se: float
    n: int


def brier_at(
    risk: FloatArray,
    rows: FollowUp,
    horizon: float,
    *,
    cause: int = 1,
    censoring_group: IntArray | None = None,
) -> SurvivalBrier:
    """Return the weighted mean squared error of predicted risks (n,) of the event by the horizon.

    Source: Graf et al. 1999, Statistics in Medicine 18:2529; IPA: Kattan and Gerds 2018, Diagn. Progn. Res. 2:7. The
    standard errors are infinitesimal jackknives that include the estimated weights.

    Raises:
        InvalidBlockError: shapes or values do not fit, a risk outside [0, 1], or delayed entry.
        DegenerateOutcomeError: nobody has the event by the horizon, or follow-up ends before it.
    """
    values = checked_risk(risk, rows)
    status = status_at(rows, horizon, cause=cause, censoring_group=censoring_group)
    n, weight, outcome = rows.n, status.weight, status.case.astype(np.float64)
    null_risk = float(weight @ outcome / weight.sum())
    terms = np.column_stack([weight * (outcome - values) ** 2, weight * (outcome - null_risk) ** 2])
    brier, null_brier = (float(value) for value in terms.mean(axis=0))
    through = np.column_stack([status.model.influence(column, horizon) for column in terms.T])
    influence = (terms - np.array([brier, null_brier]) + through) / n
    share = brier / null_brier if null_brier > 0.0 else np.nan
    ipa = (share * influence[:, 1] - influence[:, 0]) / null_brier if null_brier > 0.0 else np.full(n, np.nan)
    return SurvivalBrier(
        horizon=horizon,
        brier=brier,
        brier_se=float(np.sqrt(influence[:, 0] @ influence[:, 0])),
        null_brier=null_brier,
        null_risk=null_risk,
        ipa=1.0 - share,
        ipa_se=float(np.sqrt(ipa @ ipa)),
        n=n,
    )


def checked_risk(risk: object, rows: FollowUp) -> FloatArray:
    """Return predicted risks (n,) for the rows.

    Raises:
        InvalidBlockError: not one number from 0 to 1 per row.
    """
    values = checked_score(risk, rows)
    if (values < 0.0).any() or (values > 1.0).any():
        raise InvalidBlockError("a predicted risk lies outside 0 to 1")
    return values
