"""The score tests of a screen: every candidate once, exactly where that is affordable, and its adjusted p-value.

A candidate with gaps needs the model refitted on its own rows. As long as the distinct patterns of gaps are few for the
size of the cohort each is refitted; beyond, one Newton step stands for the refit, and the most significant candidates
are then tested again exactly. (Cox: always one step; the hits' full refits are exact.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from heartify.disclosure.rounding import round_estimate
from heartify.enclave.analyses.screen_candidates import NOT_ESTIMABLE, TOO_FEW_PATIENTS, Candidate
from heartify.enclave.analyses.screen_null import ScreenNull
from heartify.enclave.cases import Floats
from heartify.enclave.study_data import StudyData
from heartify.stats.errors import StatsError
from heartify.stats.intervals import log_two_sided_p
from heartify.stats.screening import (
    CandidateLoader,
    CandidateState,
    CoxNull,
    ScreenOptions,
    ScreenResult,
    adjust_bh,
    adjust_by,
    screen,
    storey,
)

CHUNK = 64
REFIT_ROWS = 5_000_000  # rows that refits may pass over: some seconds
MANY_TESTS = 100  # from here on pi0 is read off Storey's smoother, as R's qvalue does
COLLINEAR = "collinear with the model"
_UNTESTED = {
    CandidateState.CONSTANT: "constant",
    CandidateState.COLLINEAR: COLLINEAR,
    CandidateState.TOO_FEW_ROWS: TOO_FEW_PATIENTS,
    CandidateState.NO_NULL: NOT_ESTIMABLE,
}
Adjustment = Literal["bh", "by", "storey"]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Screened:
    """Every allowed candidate's test, arrays (m,) in the order of `candidates`, NaN where there is none.

    `shown_z` is z as the tables show it, in tenths. `beta_h`, `precision_h` (H, m) are each hospital's own one-step
    estimates. `is_approximate`: one Newton step stands for the refit.
    """

    candidates: tuple[Candidate, ...]
    untested: tuple[str | None, ...]
    z: Floats
    shown_z: Floats
    log_p: Floats
    beta: Floats
    se: Floats
    needs_firth: NDArray[np.bool_]
    is_approximate: NDArray[np.bool_]
    beta_h: Floats
    precision_h: Floats

    @property
    def tested(self) -> NDArray[np.bool_]:
        """Return which candidates (m,) have a test."""
        return ~np.isnan(self.z)


def affordable(rows: int) -> int:
    """Return how many models may be refitted on so many rows; never fewer than 20."""
    return max(20, REFIT_ROWS // rows)


def run_tests(
    data: StudyData, null: ScreenNull, candidates: Sequence[Candidate], refits: int | None = None
) -> Screened:
    """Test all candidates, which must be allowed; `refits` is what is affordable, if not given.

    Raises:
        StatsError: as `stats.screening.screen`.
    """
    limit = affordable(sum(block.n for block in data.blocks)) if refits is None else refits
    is_cox = isinstance(null.model, CoxNull)
    patterns = {item.pattern for item in candidates if item.pattern is not None}
    is_exact = not is_cox and len(patterns) <= limit
    found = _screen(data, null, [item.name for item in candidates], "refit" if is_exact else "one-step")
    gaps = np.array([item.pattern is not None for item in candidates])
    screened = _collect(null, candidates, found, gaps & (not is_exact))
    if is_exact or is_cox or not gaps.any():
        return screened
    order = np.argsort(np.where(gaps & screened.tested, screened.log_p, np.inf), kind="stable")
    again = np.sort(order[: min(limit, int((gaps & screened.tested).sum()))])
    chosen = [candidates[j] for j in again]
    exact = _screen(data, null, [item.name for item in chosen], "refit")
    return _replace(screened, again, _collect(null, chosen, exact, np.zeros(len(chosen), np.bool_)))


def adjust(p: Floats, adjustment: Adjustment, pi0: float | None) -> Floats:
    """Return the adjusted p-values (m,); Storey's are BH's times pi0, or BH's own where there is no pi0."""
    if adjustment == "by":
        return adjust_by(p)
    return adjust_bh(p) * (pi0 if adjustment == "storey" and pi0 is not None else 1.0)


def true_null_share(p: Floats) -> float | None:
    """Return Storey's pi0 of p-values (m,), or None where it isn't estimable."""
    try:
        return storey(p, "smoother" if np.count_nonzero(~np.isnan(p)) >= MANY_TESTS else "lambda").pi0
    except StatsError:
        return None


def _screen(
    data: StudyData, null: ScreenNull, names: Sequence[str], missing: Literal["refit", "one-step"]
) -> ScreenResult:
    def loaders() -> Iterator[CandidateLoader]:
        for first in range(0, len(names), CHUNK):
            yield partial(null.load, data, names[first : first + CHUNK])

    return screen(null.model, loaders(), ScreenOptions(missing=missing))


def _collect(
    null: ScreenNull, candidates: Sequence[Candidate], found: ScreenResult, is_approximate: NDArray[np.bool_]
) -> Screened:
    beta_h, precision_h = null.by_hospital(found)
    shown = [_shown_z(float(beta), float(se)) for beta, se in zip(found.beta, found.se, strict=True)]
    return Screened(
        candidates=tuple(candidates),
        untested=tuple(_UNTESTED.get(CandidateState(int(state))) for state in found.state),
        z=found.z,
        shown_z=np.array(shown),
        log_p=found.log10_p * np.log(10.0),
        beta=found.beta,
        se=found.se,
        needs_firth=found.needs_refit,
        is_approximate=is_approximate,
        beta_h=beta_h,
        precision_h=precision_h,
    )


def _shown_z(beta: float, se: float) -> float:
    try:
        return round_estimate(beta, se).z
    except ValueError:
        return float("nan")


def _replace(screened: Screened, places: NDArray[np.intp], exact: Screened) -> Screened:
    """Return the tests with those at some places replaced."""
    changed: dict[str, NDArray[np.float64] | NDArray[np.bool_]] = {}
    for name in ("z", "shown_z", "log_p", "beta", "se", "needs_firth", "is_approximate", "beta_h", "precision_h"):
        values = getattr(screened, name).copy()
        values[..., places] = getattr(exact, name)
        changed[name] = values
    untested = list(screened.untested)
    for place, reason in zip(places.tolist(), exact.untested, strict=True):
        untested[place] = reason
    return dataclasses.replace(screened, untested=tuple(untested), **changed)  # type: ignore[arg-type]


def log_p_of(z: Floats) -> Floats:
    """Return the natural logarithms (m,) of two-sided p-values."""
    return np.array([log_two_sided_p(value) if not np.isnan(value) else np.nan for value in z.tolist()])
