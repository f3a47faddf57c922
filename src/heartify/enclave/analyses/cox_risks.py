"""What a Cox fit says of each patient: the log hazard ratio, and the absolute risk by the plan's horizon.

The absolute risk takes the baseline hazard of the patient's own hospital and stratum. It is that of one cause alone,
so there is none where a competing event precludes the outcome. Row-level: it never leaves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from heartify.enclave.analyses.logistic_risks import SMALLEST_RISK
from heartify.enclave.analyses.risk_bands import Floats
from heartify.enclave.main_fit import fit_cox_model
from heartify.enclave.study_data import StudyData
from heartify.stats.competing.follow_up import FollowUp
from heartify.stats.survival import CoxFit, SurvivalBlock, baseline_hazards


def complete_case_cox_fit(data: StudyData) -> CoxFit:
    """Return the main fit, or one to the complete cases if the main fit is of imputed data.

    Raises:
        StatsError: there are no estimates.
    """
    if data.fit.cox is not None and not data.fit.imputations:
        return data.fit.cox
    fit = fit_cox_model(data.survival, data.names, data.plan.analysis).cox
    if fit is None:
        raise TypeError("a Cox model without Cox estimates")
    return fit


def follow_up_of(blocks: Sequence[SurvivalBlock]) -> FollowUp:
    """Return the follow-up (n,) of all blocks, in order."""
    entries = [block.entry for block in blocks if block.entry is not None]
    return FollowUp(
        np.concatenate([block.time for block in blocks]),
        np.concatenate([block.event for block in blocks]),
        np.concatenate(entries) if entries else None,
    )


def strata_of(blocks: Sequence[SurvivalBlock]) -> NDArray[np.int64]:
    """Return a code (n,) for each hospital and stratum: those whose hazards the model doesn't compare."""
    hospital = np.repeat(np.arange(len(blocks)), [block.n for block in blocks])
    own = np.concatenate([np.zeros(block.n) if block.stratum is None else block.stratum for block in blocks])
    codes: NDArray[np.int64] = (
        np.unique(np.column_stack([hospital, own]), axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    )
    return codes


def log_hazards(coef: Floats, X: Floats) -> Floats:  # noqa: N803 - as in the papers
    """Return X coef (n,) column by column: equal rows must get equal values, or ties of a C would break."""
    total = np.zeros(X.shape[0])
    for column, slope in zip(X.T, coef, strict=True):
        total += column * slope
    return total


def risks_at(fit: CoxFit, blocks: Sequence[SurvivalBlock], horizon: float) -> Floats:
    """Return the risk (n,) of the event by the horizon, strictly between 0 and 1.

    Raises:
        InvalidBlockError: these are not the blocks of the fit.
    """
    baselines = {(item.hospital, item.stratum): item for item in baseline_hazards(fit, blocks)}
    parts = []
    for block in blocks:
        stratum = np.zeros(block.n, dtype=np.int64) if block.stratum is None else block.stratum
        risk = np.full(block.n, SMALLEST_RISK)  # of a stratum without an event
        for code in np.unique(stratum).tolist():
            baseline, mine = baselines.get((block.name, code)), stratum == code
            if baseline is None:
                continue
            step = int(np.searchsorted(baseline.times, horizon, side="right"))
            hazard = float(baseline.hazard[step - 1]) if step else 0.0
            ratio = log_hazards(fit.coef, block.X[mine] - baseline.reference)
            risk[mine] = -np.expm1(-hazard * np.exp(np.minimum(ratio, 700.0)))
        parts.append(risk)
    risks: Floats = np.clip(np.concatenate(parts), SMALLEST_RISK, 1.0 - SMALLEST_RISK)
    return risks
