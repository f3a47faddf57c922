"""Maximum-likelihood logistic regression over rows that are too many to hold, with an intercept for each hospital.

Equals `fit_pooled_logistic` of the same rows: same model, same coding, same refusals. A sample in memory gives the
start, a few chunks a better one, and then one pass over all rows in single precision, or two in double, are usually
enough: what Newton's step leaves undone is taken from the sample (`surrogate`), whose halves tell when that is under
the tolerance. Where the sample has no finite maximum, the fit starts from nothing over all rows, in double.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import reduce
from typing import Literal

import numpy as np
from scipy.linalg import LinAlgError

from heartify.stats.blocks import FloatArray, Moments
from heartify.stats.coding import HOSPITAL_PREFIX, INTERCEPT, check_scales, check_term_names, treatment_map
from heartify.stats.errors import (
    DegenerateOutcomeError,
    InvalidBlockError,
    NotConvergedError,
    StatsError,
)
from heartify.stats.likelihood import LikelihoodSums, null_loglik
from heartify.stats.newton import Maximum, invert_information, maximise, solve_information
from heartify.stats.rank import check_rank
from heartify.stats.separation import check_standard_errors
from heartify.stats.streaming.kernel import Centring, RowSums
from heartify.stats.streaming.likelihood import StreamedLikelihood
from heartify.stats.streaming.ordered_map import OrderedMap, ordered_map
from heartify.stats.streaming.rows import ChunkedRows, check_sources
from heartify.stats.streaming.sample import Sample, draw_sample
from heartify.stats.streaming.surrogate import build_surrogate

Precision = Literal["float32", "float64"]
TOLERANCE: dict[Precision, float] = {"float32": 1e-3, "float64": 1e-6}  # standard errors
LOGLIK_ROUNDING: dict[Precision, float] = {"float32": 1e-6, "float64": 1e-12}  # of |loglik|
SAFETY = 3.0  # the halves of a sample may foretell an error that is so many times too small
NEAR: dict[Precision, float] = {"float32": 10.0, "float64": 1.0}
"""Standard errors from the maximum, at most, from which the surrogate's last step may lead: it knows the information's
change on that way to a few per cent, and the change itself is a small part of the information."""

MAX_PASSES = 30
MAX_HALVINGS = 20
STRIDES: dict[Precision, tuple[int, ...]] = {"float32": (256, 16, 4), "float64": (256, 16)}
"""Of so many chunks one is in the steps before the first full pass, when there are enough. A quarter of the rows brings
single precision so near that one full pass is left; double needs two anyway."""
CHUNKS_A_STEP = 8


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StreamedLogisticFit:
    """Hold a fit in R's treatment coding and clinical units; q = 1 + p + (hospitals - 1).

    `names`, `coef` (q,), `covariance` (q, q) are in the order "(Intercept)", the terms, "hospital:<name>". `mean` and
    `sd` (p,) are the terms' over all rows, divisor n - 1. `iterations` counts Newton's steps over all rows, without
    those on samples. There is no AUC: an exact one needs every row's score at once.
    """

    names: tuple[str, ...]
    term_names: tuple[str, ...]
    coef: FloatArray
    covariance: FloatArray
    loglik: float
    null_loglik: float
    iterations: int
    n: int
    events: int
    n_by_block: dict[str, int]
    events_by_block: dict[str, int]
    mean: FloatArray
    sd: FloatArray

    @property
    def se(self) -> FloatArray:
        """Return the standard errors (q,), from the inverse observed (= expected) information."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def term_coef(self) -> FloatArray:
        """Return the coefficients (p,) of the terms alone, per clinical unit."""
        return self.coef[1 : 1 + len(self.term_names)]

    @property
    def term_se(self) -> FloatArray:
        """Return the standard errors (p,) of the terms alone."""
        return self.se[1 : 1 + len(self.term_names)]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class _Found:
    """A maximum, where it was found, and the rows' own sums."""

    problem: StreamedLikelihood
    maximum: Maximum
    rows: tuple[RowSums, ...]
    iterations: int


def fit_streamed_logistic(
    sources: Sequence[ChunkedRows],
    term_names: Sequence[str],
    *,
    precision: Precision = "float64",
    threads: int = 2,
) -> StreamedLogisticFit:
    """Fit one slope per term and one intercept per source; equals R's glm(y ~ terms + hospital, binomial).

    Coefficients are within 1e-6 standard errors of the maximum, or 1e-3 with `precision` "float32"; standard errors are
    right to four digits or more. The result does not depend on `threads`, to the last bit.

    Raises:
        InvalidBlockError: sources, chunks, values or names do not fit together.
        DegenerateOutcomeError: the pooled outcome does not vary.
        RankDeficientError: a term is constant, or a combination of terms and hospital intercepts.
        SeparationError: the outcome is separated (one hospital without events, or of events only, does that too).
        NotConvergedError: no maximum was reached for another reason.
    """
    check_sources(sources)
    check_term_names(term_names, len(term_names))
    if precision not in TOLERANCE:
        raise InvalidBlockError(f"expected a precision of {' or '.join(TOLERANCE)}")
    with ordered_map(threads) as apply:
        sample = draw_sample(sources, len(term_names), apply)
        found = _fit_all(sources, sample, term_names, precision, apply)
    return _describe(found, term_names)


def _fit_all(
    sources: Sequence[ChunkedRows], sample: Sample, term_names: Sequence[str], precision: Precision, apply: OrderedMap
) -> _Found:
    if sample.complete:
        held = StreamedLikelihood(sample.sources, sample.centring, np.float64, apply)
        return _fit_from_nothing(held, term_names)
    try:
        return _fit_from_sample(sources, sample, term_names, precision, apply)
    except StatsError:
        # What the sample lacks, or single precision can't hold, all rows may have; if not, they give the reason.
        exact = StreamedLikelihood(sources, sample.centring, np.float64, apply)
        return _fit_from_nothing(exact, term_names)


def _fit_from_sample(
    sources: Sequence[ChunkedRows], sample: Sample, term_names: Sequence[str], precision: Precision, apply: OrderedMap
) -> _Found:
    if len(sample.sources) < len(sources):
        raise DegenerateOutcomeError("the sample has no row of a hospital")
    held = StreamedLikelihood(sample.sources, sample.centring, np.float64, apply)
    found = _fit_from_nothing(held, term_names)
    start = _recentre(found.maximum.parameters, found.problem.centring, sample.centring)
    problem = StreamedLikelihood(sources, sample.centring, np.dtype(precision), apply)
    return _climb(problem, sample, _approach(problem, start, STRIDES[precision]), precision)


def _recentre(parameters: FloatArray, old: Centring, new: Centring) -> FloatArray:
    """Return the parameters (hospitals + p,) of the same model in terms that are centred otherwise."""
    slopes = parameters[-old.shift.size :] / old.scale if old.shift.size else np.zeros(0)
    intercepts = parameters[: parameters.size - slopes.size] + slopes @ (new.shift - old.shift)
    return np.concatenate((intercepts, slopes * new.scale))


def _approach(problem: StreamedLikelihood, start: FloatArray, strides: Sequence[int]) -> FloatArray:
    """Return a better start, by Newton steps on growing parts of the rows."""
    chunks = sum(source.chunks for source in problem.sources)
    point = start
    for stride in strides:
        if chunks < stride * CHUNKS_A_STEP:
            continue
        point = problem.representable(point)
        sums = problem.sums(point, stride)
        with suppress(LinAlgError):
            point = point + solve_information(sums.information, sums.gradient)
    return point


def _climb(problem: StreamedLikelihood, sample: Sample, start: FloatArray, precision: Precision) -> _Found:
    """Climb from a good start to within the tolerance of the maximum.

    Raises:
        NotConvergedError: the information became singular, no step increased the likelihood, or passes ran out.
    """
    point = problem.representable(start)
    sums, rows = problem.checked_sums(point)
    surrogate = build_surrogate(sample.sources, problem.centring, problem.apply, [part.n for part in rows])
    if surrogate is None:
        raise NotConvergedError("the sample has a single row of a hospital")
    for iteration in range(1, MAX_PASSES + 1):
        try:
            jump = surrogate.step_from(point, sums)
            if jump.settled and jump.length <= NEAR[precision] and SAFETY * jump.error <= TOLERANCE[precision]:
                reached = LikelihoodSums(jump.loglik, np.zeros_like(jump.step), jump.information)
                maximum = Maximum(point + jump.step, reached, invert_information(jump.information), iteration)
                return _Found(problem, maximum, rows, iteration)
        except LinAlgError as exc:
            raise NotConvergedError(f"the information is singular at iteration {iteration}") from exc
        whole = jump.step if jump.settled else jump.newton
        point, sums = _take(problem, point, sums, whole, LOGLIK_ROUNDING[precision])
    raise NotConvergedError(f"no maximum within {MAX_PASSES} passes")


def _take(
    problem: StreamedLikelihood, point: FloatArray, sums: LikelihoodSums, step: FloatArray, rounding: float
) -> tuple[FloatArray, LikelihoodSums]:
    """Return the point a step away, halved until the likelihood does not fall, and its sums.

    Raises:
        NotConvergedError: it always falls.
    """
    floor = sums.loglik - rounding * (1.0 + abs(sums.loglik))
    for halving in range(MAX_HALVINGS):
        candidate = problem.representable(point + step * 0.5**halving)
        reached = problem.sums(candidate)
        if reached.loglik >= floor:
            return candidate, reached
    raise NotConvergedError("no step along Newton's direction increases the likelihood")


def _fit_from_nothing(problem: StreamedLikelihood, term_names: Sequence[str]) -> _Found:
    """Fit as `fit_pooled_logistic` does, with the same refusals, over as many passes as it takes."""
    q = problem.hospitals + problem.p
    _, rows = problem.checked_sums(np.zeros(q))
    if any(part.n == 0 for part in rows):
        raise InvalidBlockError("a source of rows has no rows")
    pooled = reduce(RowSums.__add__, rows)
    share = pooled.events / pooled.n
    if share in (0.0, 1.0):
        raise DegenerateOutcomeError("the outcome does not vary over the pooled rows")
    moments = problem.moments(pooled)
    check_scales(moments, term_names)

    centred = replace(problem, centring=Centring(moments.mean, moments.sd))
    start = np.zeros(q)
    start[: problem.hospitals] = math.log(share / (1.0 - share))
    sums, rows = centred.checked_sums(start)
    check_rank(sums.information)  # all weights are equal at the start, so this is the Gram matrix of the design
    maximum = maximise(centred.sums, start, centred.check_direction)
    start_variance = np.diag(invert_information(sums.information))
    check_standard_errors(np.sqrt(np.diag(maximum.covariance)), np.sqrt(start_variance))
    return _Found(centred, maximum, rows, maximum.iterations)


def _describe(found: _Found, term_names: Sequence[str]) -> StreamedLogisticFit:
    sources, centring, maximum = found.problem.sources, found.problem.centring, found.maximum
    pooled = reduce(RowSums.__add__, found.rows)
    moments = found.problem.moments(pooled)
    T = treatment_map(Moments(2, centring.shift, centring.scale**2), len(sources))
    names = [source.name for source in sources]
    return StreamedLogisticFit(
        names=(INTERCEPT, *term_names, *(HOSPITAL_PREFIX + name for name in names[1:])),
        term_names=tuple(term_names),
        coef=T @ maximum.parameters,
        covariance=T @ maximum.covariance @ T.T,
        loglik=maximum.sums.loglik,
        null_loglik=null_loglik(pooled.n, pooled.events),
        iterations=found.iterations,
        n=pooled.n,
        events=pooled.events,
        n_by_block={name: part.n for name, part in zip(names, found.rows, strict=True)},
        events_by_block={name: part.events for name, part in zip(names, found.rows, strict=True)},
        mean=moments.mean,
        sd=moments.sd,
    )
