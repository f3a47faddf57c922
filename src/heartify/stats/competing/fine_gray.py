"""The proportional subdistribution hazards model of Fine and Gray, for absolute risk under competing causes.

Strata (hospitals, say) have their own baseline and their own censoring distribution; their likelihoods and scores add.
A subdistribution hazard ratio orders risks, it is not a rate ratio: for aetiology fit the cause-specific hazard.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from heartify.stats.blocks import FloatArray, Moments, block_moments
from heartify.stats.coding import check_scales, check_term_names
from heartify.stats.competing.fine_gray_stratum import FineGrayStratum
from heartify.stats.competing.follow_up import FollowUp, IntArray, group_codes
from heartify.stats.competing.intervals import step_at
from heartify.stats.competing.weighting import CensoringTies
from heartify.stats.errors import DegenerateOutcomeError, InvalidBlockError, RankDeficientError, SeparationError
from heartify.stats.likelihood import LikelihoodSums
from heartify.stats.newton import Maximum, invert_information, maximise
from heartify.stats.rank import RANK_TOLERANCE, least_scaled_eigenvalue
from heartify.stats.separation import check_standard_errors

_Strata = list[tuple[int, FineGrayStratum]]

FLAT_REGION = 1e-9  # of the information at zero: a standard error 30,000 times larger, which no finite maximum has


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class SubdistributionBaseline:
    """Hold one stratum's cumulative subdistribution hazard (m,) at zero of all terms, from each event time (m,) on."""

    stratum: int
    time: FloatArray
    cumulative: FloatArray


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class FineGrayFit:
    """Hold log subdistribution hazard ratios per clinical unit, coef (p,).

    `covariance` (p, p) is the sandwich of Fine and Gray 1999, weights estimated (with delayed entry: taken as known);
    `known_weights_covariance` the robust one that takes them as known; `model_covariance` the inverse information.
    """

    term_names: tuple[str, ...]
    coef: FloatArray
    covariance: FloatArray
    known_weights_covariance: FloatArray
    model_covariance: FloatArray
    loglik: float
    null_loglik: float
    iterations: int
    n: int
    events: int
    competing: int
    baselines: tuple[SubdistributionBaseline, ...]

    @property
    def se(self) -> FloatArray:
        """Return the standard errors (p,), from the sandwich."""
        return np.sqrt(np.diag(self.covariance))

    def predict(self, X: FloatArray, times: FloatArray, *, stratum: int = 0) -> FloatArray:
        """Return the cumulative incidence (k, t) of rows X (k, p) at times (t,), in one stratum.

        Source: 1 - exp(-H0(t) exp(x b)), as R's predict.crr; constant beyond the last event time.

        Raises:
            InvalidBlockError: X is not (k, p) of finite numbers, or the stratum is unknown.
        """
        found = [base for base in self.baselines if base.stratum == stratum]
        if not found:
            raise InvalidBlockError(f"no stratum {stratum} in this fit")
        rows = checked_matrix(X)
        if rows.shape[1] != self.coef.size:
            raise InvalidBlockError(f"expected X (k, {self.coef.size}), got {rows.shape}")
        hazard = step_at(found[0].time, found[0].cumulative, np.asarray(times, dtype=np.float64), 0.0)
        return np.asarray(-np.expm1(-np.exp(rows @ self.coef)[:, None] * hazard), dtype=np.float64)


def fit_fine_gray(
    X: FloatArray,
    rows: FollowUp,
    term_names: Sequence[str] | None = None,
    *,
    cause: int = 1,
    stratum: IntArray | None = None,
    censoring_group: IntArray | None = None,
    ties: CensoringTies = CensoringTies.EVENTS_FIRST,
) -> FineGrayFit:
    """Fit the subdistribution hazard of `cause` on X (n, p), with a baseline per code of `stratum` (n,).

    Censoring is estimated per stratum and code of `censoring_group` (n,); without strata (None) there is one, 0. Tied
    events as Breslow. Source: Fine and Gray 1999, JASA 94:496; delayed entry: Geskus 2011, Biometrics 67:39; strata:
    Zhou et al. 2011, Biometrics 67:661. Equals R's cmprsk::crr under CensoringTies.TOGETHER, and survival::finegray
    with coxph(ties = "breslow") under EVENTS_FIRST.

    Raises:
        InvalidBlockError: shapes, values or names do not fit.
        DegenerateOutcomeError: nobody has the cause, or weights do not exist.
        RankDeficientError: a term is constant (within strata), or a combination of others.
        SeparationError: the likelihood is monotone: every event has the largest predictor of its risk set.
        NotConvergedError: no maximum was reached for another reason.
    """
    matrix = checked_matrix(X)
    if matrix.shape[0] != rows.n:
        raise InvalidBlockError(f"X has {matrix.shape[0]} rows and the follow-up {rows.n}")
    names = tuple(term_names) if term_names is not None else tuple(f"x{j + 1}" for j in range(matrix.shape[1]))
    check_term_names(names, matrix.shape[1])
    events = int((rows.event == cause).sum())
    if cause < 1 or events == 0:
        raise DegenerateOutcomeError(f"nobody has an event of cause {cause}")

    moments = block_moments(matrix)
    check_scales(moments, names)
    strata = _strata((matrix - moments.mean) / moments.sd, rows, cause, _codes(stratum, censoring_group, rows.n), ties)
    maximum, null = _maximise([part for _, part in strata], matrix.shape[1])
    known, full = _sandwiches([part for _, part in strata], maximum)
    unscale = np.outer(1.0 / moments.sd, 1.0 / moments.sd)
    return FineGrayFit(
        term_names=names,
        coef=maximum.parameters / moments.sd,
        covariance=full * unscale,
        known_weights_covariance=known * unscale,
        model_covariance=maximum.covariance * unscale,
        loglik=maximum.sums.loglik,
        null_loglik=null,
        iterations=maximum.iterations,
        n=rows.n,
        events=events,
        competing=int((rows.event > 0).sum()) - events,
        baselines=tuple(_baseline(code, part, maximum.parameters, moments) for code, part in strata),
    )


def checked_matrix(X: object) -> FloatArray:
    """Return X as finite doubles (n, p), n and p at least 1.

    Raises:
        InvalidBlockError: it is not.
    """
    try:
        matrix = np.array(X, dtype=np.float64, order="C", copy=True)
    except (TypeError, ValueError) as exc:
        raise InvalidBlockError(f"X does not hold numbers ({type(exc).__name__})") from None
    if matrix.ndim != 2 or matrix.size == 0 or not np.isfinite(matrix).all():
        raise InvalidBlockError("X must be (n, p) without missing or infinite values, n and p at least 1")
    return matrix


def _codes(stratum: IntArray | None, censoring_group: IntArray | None, n: int) -> tuple[IntArray, IntArray]:
    zeros = np.zeros(n, dtype=np.int64)
    strata = zeros if stratum is None else np.take(*group_codes(stratum, n, "stratum"))
    groups = zeros if censoring_group is None else group_codes(censoring_group, n, "censoring_group")[1]
    return strata, groups


def _strata(
    Z: FloatArray, rows: FollowUp, cause: int, codes: tuple[IntArray, IntArray], ties: CensoringTies
) -> _Strata:
    strata, groups = codes
    found = []
    for code in np.unique(strata):
        mine = strata == code
        if (rows.event[mine] == cause).any():  # without an event a stratum says nothing of the coefficients
            found.append((int(code), FineGrayStratum(Z[mine], rows.take(mine), cause, groups[mine], ties)))
    return found


def _maximise(strata: Sequence[FineGrayStratum], p: int) -> tuple[Maximum, float]:
    def evaluate(beta: FloatArray) -> LikelihoodSums:
        return reduce(LikelihoodSums.__add__, (part.sums(beta) for part in strata))

    def watch(step: FloatArray) -> None:
        if all(part.separating(step) for part in strata):
            raise SeparationError("a combination of the terms orders every event first: no finite estimate exists")

    start = np.zeros(p)
    null = evaluate(start)
    diagonal = np.diag(null.information)
    if not (diagonal > RANK_TOLERANCE).all():
        raise RankDeficientError("a term does not vary within any risk set")
    if least_scaled_eigenvalue(null.information) < RANK_TOLERANCE:
        raise RankDeficientError("a term is a linear combination of other terms")
    lost = FLAT_REGION * diagonal

    def bounded(beta: FloatArray) -> LikelihoodSums:
        # One carrier of a rare factor can throw Newton's first step far beyond the maximum, where the likelihood is
        # nearly flat but higher than at zero: such a step must be halved, not taken.
        sums = evaluate(beta)
        flat = (np.diag(sums.information) < lost).any()
        return LikelihoodSums(-np.inf, sums.gradient, sums.information) if flat else sums

    maximum = maximise(bounded, start, watch)
    at_start = np.sqrt(np.diag(invert_information(null.information)))
    check_standard_errors(np.sqrt(np.diag(maximum.covariance)), at_start)
    return maximum, null.loglik


def _sandwiches(strata: Sequence[FineGrayStratum], maximum: Maximum) -> tuple[FloatArray, FloatArray]:
    p = maximum.parameters.size
    known, full = np.zeros((p, p)), np.zeros((p, p))
    for part in strata:
        eta, psi = part.scores(maximum.parameters)
        known += eta.T @ eta
        full += (eta + psi).T @ (eta + psi)
    bread = maximum.covariance
    return bread @ known @ bread, bread @ full @ bread


def _baseline(code: int, part: FineGrayStratum, beta: FloatArray, moments: Moments) -> SubdistributionBaseline:
    shift = float(np.exp(-(beta / moments.sd) @ moments.mean))
    return SubdistributionBaseline(code, part.time, np.cumsum(part.baseline_hazard(beta)) * shift)
