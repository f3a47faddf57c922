"""Cox's proportional hazards model over one hospital or several, by maximum partial likelihood.

Each hospital has a baseline hazard of its own, and the log partial likelihood is a sum over hospitals, unless a shared
one is asked for. Competing events are censored (cause-specific hazard). Trusts the blocks for clean arrays. Never
returns an estimate that is not a finite maximum, and keeps no row-level array in its result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.chi_square import ChiSquareTest, quadratic_test, ratio_test
from heartify.stats.errors import RankDeficientError, StatsError
from heartify.stats.likelihood import LikelihoodSums
from heartify.stats.newton import DECREMENT_TOLERANCE, Maximum, invert_information, maximise
from heartify.stats.rank import RANK_TOLERANCE, least_scaled_eigenvalue
from heartify.stats.separation import check_standard_errors
from heartify.stats.survival.blocks import BaselineHazard, SurvivalSource, Ties
from heartify.stats.survival.cox_sums import cox_sums
from heartify.stats.survival.design import Design, Precision, Stratum, build_design, build_stratum
from heartify.stats.survival.monotone import check_not_monotone
from heartify.stats.survival.risk_sets import build_risk_sets

WARM_START_ROWS = 200_000  # from here on a fit to every 16th row saves whole passes
WARM_START_STEP = 16
NEAR_ENOUGH = 1e-11  # squared standard errors an event: nearer, the information changes by a few millionths at most
THREADED_TERMS = 24  # with fewer terms the sums of a chunk are so short that two threads wait for each other
INFORMATION_TOLERANCE = 1e-12  # per event, of a standardised column: less is rounding


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class CoxFit:
    """Hold a fit in clinical units: coef (p,) are log hazard ratios, covariance (p, p) their inverse information.

    `null_loglik` is that of no effect; `score_test`, `wald_test` and `likelihood_ratio_test` test all terms at once.
    `strata` counts the strata with events. The log-likelihoods and covariance are for use inside the enclave only.
    """

    term_names: tuple[str, ...]
    coef: FloatArray
    covariance: FloatArray
    loglik: float
    null_loglik: float
    score_test: ChiSquareTest
    iterations: int
    ties: Ties
    baseline: BaselineHazard
    strata: int
    n: int
    events: int
    n_by_block: dict[str, int]
    events_by_block: dict[str, int]

    @property
    def se(self) -> FloatArray:
        """Return the model-based standard errors (p,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def likelihood_ratio_test(self) -> ChiSquareTest:
        """Return the likelihood-ratio test of all terms."""
        return ratio_test(self.loglik, self.null_loglik, self.coef.size)

    @property
    def wald_test(self) -> ChiSquareTest:
        """Return the Wald test of all terms."""
        return quadratic_test(self.coef, self.covariance)


def fit_cox(
    sources: Sequence[SurvivalSource],
    term_names: Sequence[str],
    *,
    ties: Ties = Ties.EFRON,
    baseline: BaselineHazard = BaselineHazard.PER_HOSPITAL,
    precision: Precision = "float64",
    threads: int = 1,
) -> CoxFit:
    """Fit one log hazard ratio per term; equals R's coxph(Surv(entry, time, event == 1) ~ terms + strata(hospital)).

    `precision` is that of the sorted copy of the covariates; arithmetic is in float64. The result is the same, bit for
    bit, for any number of threads. Source: Cox 1972, JRSS B 34:187; Therneau and Grambsch 2000, chapter 3.

    Raises:
        InvalidBlockError: blocks or names do not fit together.
        DegenerateOutcomeError: there is no event of interest.
        RankDeficientError: a term is constant within all strata or risk sets, or a combination of other terms.
        SeparationError: the partial likelihood is monotone: a combination of terms ranks every event first.
        NotConvergedError: no maximum was reached for another reason.
    """
    with ThreadPoolExecutor(threads) if threads > 1 else nullcontext() as executor:
        design = build_design(sources, term_names, baseline, precision, executor)
        null, maximum = _fit_design(design, term_names, ties, executor if len(term_names) >= THREADED_TERMS else None)
    return CoxFit(
        term_names=tuple(term_names),
        coef=maximum.parameters / design.scale,
        covariance=maximum.covariance / np.outer(design.scale, design.scale),
        loglik=maximum.sums.loglik,
        null_loglik=null.loglik,
        score_test=quadratic_test(null.gradient, null.information),
        iterations=maximum.iterations,
        ties=ties,
        baseline=baseline,
        strata=len(design.strata),
        n=design.n,
        events=sum(source.events for source in sources),
        n_by_block={source.name: source.n for source in sources},
        events_by_block={source.name: source.events for source in sources},
    )


def _fit_design(
    design: Design, term_names: Sequence[str], ties: Ties, executor: Executor | None
) -> tuple[LikelihoodSums, Maximum]:
    zero = np.zeros(len(term_names))
    null = cox_sums(design.strata, zero, ties, executor)
    _check_information(null.information, design.strata, term_names)

    last = (zero, null)
    events = sum(stratum.sets.event_rows.size for stratum in design.strata)
    near = NEAR_ENOUGH * events if design.n >= WARM_START_ROWS else DECREMENT_TOLERANCE

    def evaluate(slopes: FloatArray) -> LikelihoodSums:
        """Return the sums; very near the last point those of its quadratic, which spares Newton's last pass."""
        nonlocal last
        step = slopes - last[0]
        distance = float(step @ last[1].information @ step)
        if distance > near or not np.isfinite(last[1].loglik):
            last = (slopes, cox_sums(design.strata, slopes, ties, executor))
            return last[1]
        sums = last[1]
        bend = sums.information @ step
        return LikelihoodSums(
            sums.loglik + float(sums.gradient @ step - bend @ step / 2.0), sums.gradient - bend, sums.information
        )

    maximum = maximise(evaluate, _warm_start(design, ties), _watch(design.strata))
    start_variance = np.diag(invert_information(null.information))
    check_standard_errors(np.sqrt(np.diag(maximum.covariance)), np.sqrt(start_variance))
    return null, maximum


def _watch(strata: Sequence[Stratum]) -> Callable[[FloatArray], None]:
    return lambda direction: check_not_monotone(strata, direction)


def _warm_start(design: Design, ties: Ties) -> FloatArray:
    """Return the slopes (p,) that maximise the likelihood of every 16th sorted row, or zeros: a start, no more."""
    zero = np.zeros(design.scale.size)
    if design.n < WARM_START_ROWS:
        return zero
    thinned = [thin for thin in map(_thin, design.strata) if thin.sets.times.size]
    if not thinned:
        return zero
    try:
        slopes = maximise(lambda at: cox_sums(thinned, at, ties), zero, _watch(thinned)).parameters
    except StatsError:
        return zero
    return slopes if np.isfinite(cox_sums(thinned, slopes, ties).loglik) else zero


def _thin(stratum: Stratum) -> Stratum:
    # The numbers of event times stand for times: they order rows and entries in the same way.
    """Return every 16th row of a stratum; its hazard sums are of the same kind, its event times fewer."""
    sets, every = stratum.sets, slice(None, None, WARM_START_STEP)
    is_event = np.zeros(sets.n, dtype=np.bool_)
    is_event[sets.event_rows] = True
    entry = None if sets.first is None else sets.first[every].astype(np.float64)
    thin = build_risk_sets(sets.last[every].astype(np.float64), is_event[every], entry)
    return build_stratum(stratum.label, stratum.Z[:, every].astype(np.float64), stratum.mean, thin)


def _check_information(information: FloatArray, strata: Sequence[Stratum], term_names: Sequence[str]) -> None:
    events = sum(stratum.sets.event_rows.size for stratum in strata)
    diagonal = np.diag(information)
    if (diagonal <= INFORMATION_TOLERANCE * events).any():
        flags = zip(term_names, diagonal <= INFORMATION_TOLERANCE * events, strict=True)
        names = ", ".join(name for name, flag in flags if flag)
        raise RankDeficientError(f"constant within every risk set: {names}")
    if least_scaled_eigenvalue(information) < RANK_TOLERANCE:
        raise RankDeficientError("a term is a linear combination of other terms within the strata")
