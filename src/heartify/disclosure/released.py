"""The whole of what a lab may be told about the fit of a regression: these fields and no others (rule 8).

There is no field for a covariance, a residual, a fitted value, a likelihood or an iteration count, so none can slip
out. Everything shown of a factor is a function of three rounded numbers, its beta, SE and SD. `to_dict` gives plain
JSON values; absent figures are None.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from heartify.disclosure.codes import HospitalReason, HospitalStatus, NoteCode
from heartify.disclosure.rounding import (
    grid_decimals,
    p_text,
    round_decimals,
    round_estimate,
    round_ratio,
    round_significant,
)

PROFILE = "SDC-1"


@dataclass(frozen=True, slots=True)
class ReleasedWeight:
    """One column: log ratio and ratio (odds or hazard) per clinical unit and per SD; a ratio of absurd size is None."""

    factor: str
    beta: float
    se: float
    ci_low: float
    ci_high: float
    z: float
    p: str
    ratio: float | None
    ratio_ci_low: float | None
    ratio_ci_high: float | None
    sd: float
    beta_per_sd: float
    se_per_sd: float
    ratio_per_sd: float | None


@dataclass(frozen=True, slots=True)
class ReleasedIntercept:
    """The intercept of the first hospital of the fit (log odds at zero of all terms)."""

    hospital: str
    beta: float
    se: float


@dataclass(frozen=True, slots=True)
class ReleasedHospital:
    """One hospital: rounded counts and its own intercept, None where suppressed or left out."""

    name: str
    n: int | None
    events: int | None
    intercept: float | None
    intercept_se: float | None
    status: HospitalStatus
    reason: HospitalReason | None


@dataclass(frozen=True, slots=True)
class ReleasedFit:
    """A pooled regression after SDC profile 1; a Cox model has no intercepts, and a concordance in place of an AUC.

    `n` sums the hospitals' shown n; `events` sums the shown events alone, and `events_n` the shown n of those same
    hospitals: its denominator.
    """

    profile: str
    weights: tuple[ReleasedWeight, ...]
    intercept: ReleasedIntercept | None
    hospitals: tuple[ReleasedHospital, ...]
    n: int
    events: int | None
    events_n: int | None
    auc: float | None
    concordance: float | None
    notes: tuple[NoteCode, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values, keys in the order of the fields."""
        plain = asdict(self)
        plain["weights"], plain["hospitals"] = list(plain["weights"]), list(plain["hospitals"])
        plain["notes"] = [note.value for note in self.notes]
        for hospital in plain["hospitals"]:
            hospital["status"] = str(hospital["status"])
            hospital["reason"] = None if hospital["reason"] is None else str(hospital["reason"])
        return plain


def build_released_weight(factor: str, coef: float, se: float, sd: float) -> ReleasedWeight:
    """Round a coefficient and its SE (per clinical unit) and derive the rest from them and the rounded SD.

    Idempotent: a released weight's own beta, se and sd give the same weight again.

    Raises:
        ValueError: a number is not finite or not positive where it must be.
    """
    shown = round_estimate(coef, se)
    low, high = shown.ci
    per_sd_decimals = grid_decimals(shown.se * sd)
    beta_per_sd = round_decimals(shown.beta * sd, per_sd_decimals)
    return ReleasedWeight(
        factor=factor,
        beta=shown.beta,
        se=shown.se,
        ci_low=low,
        ci_high=high,
        z=shown.z,
        p=p_text(shown.z),
        ratio=round_ratio(shown.beta, shown.decimals),
        ratio_ci_low=round_ratio(low, shown.decimals),
        ratio_ci_high=round_ratio(high, shown.decimals),
        sd=sd,
        beta_per_sd=beta_per_sd,
        se_per_sd=round_significant(shown.se * sd, 3),
        ratio_per_sd=round_ratio(beta_per_sd, per_sd_decimals),
    )
