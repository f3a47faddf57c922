"""Hits of a screen, each fitted in full: the base and the candidate together, on the rows where it is known.

A score test's one-step estimate is right near the null only; what is reported of a hit comes from here. Maximum
likelihood first; where the outcome is separated, or a hit rests on few patients, the caller's own fit (Firth).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from heartify.stats.blocks import CohortBlock, FloatArray, check_blocks, pooled_sd
from heartify.stats.errors import InvalidBlockError, NotConvergedError, SeparationError, StatsError
from heartify.stats.factor_weights import Effect, build_effect
from heartify.stats.intervals import log_two_sided_p
from heartify.stats.logistic import fit_pooled_logistic
from heartify.stats.screening.candidates import CandidateBlock, as_doubles, check_rows
from heartify.stats.screening.missing import check_finite_or_missing


class TermFit(Protocol):
    """What a refit needs of a fitted model: coefficients and standard errors (p + 1,) of the terms, candidate last."""

    @property
    def term_coef(self) -> FloatArray:
        """Return the coefficients of the terms, per clinical unit."""

    @property
    def term_se(self) -> FloatArray:
        """Return their standard errors."""


Fit = Callable[[Sequence[CohortBlock], Sequence[str]], TermFit]
Method = Literal["ml", "fallback", "none"]


@dataclass(frozen=True, slots=True)
class RefitHit:
    """One hit's full model: effect per unit and per SD (over its own rows), Wald z, p and log10 p.

    `method` is "ml", "fallback" (the caller's fit), or "none": no estimate, for `reason` (the error's class).
    `hospitals_left_out` had a constant outcome over the candidate's own rows.
    """

    name: str
    method: Method
    reason: str
    n: int
    events: int
    hospitals_left_out: tuple[str, ...]
    sd: float
    per_unit: Effect | None
    per_sd: Effect | None
    z: float
    p: float
    log10_p: float


def refit_hits(
    blocks: Sequence[CohortBlock],
    base_names: Sequence[str],
    hits: CandidateBlock,
    *,
    fallback: Fit | None = None,
    prefer_fallback: Sequence[str] = (),
) -> tuple[RefitHit, ...]:
    """Fit each candidate of `hits` with the base; `prefer_fallback` names those that go to `fallback` at once.

    Raises:
        InvalidBlockError: hits and blocks do not fit together, a value is infinite, a preference without a fallback.
    """
    check_blocks(blocks)
    check_rows(hits, tuple(block.n for block in blocks))
    check_finite_or_missing(hits)
    if prefer_fallback and fallback is None:
        raise InvalidBlockError("a fallback fit is preferred but none is given")
    preferred = frozenset(prefer_fallback)
    found = []
    for j, name in enumerate(hits.names):
        columns = [as_doubles(part[:, j]) for part in hits.parts]
        own, left_out = _own_blocks(blocks, columns)
        found.append(_refit(own, (*base_names, name), left_out, fallback, preferred=name in preferred))
    return tuple(found)


def _own_blocks(
    blocks: Sequence[CohortBlock], columns: Sequence[FloatArray]
) -> tuple[list[CohortBlock], tuple[str, ...]]:
    own, left_out = [], []
    for block, column in zip(blocks, columns, strict=True):
        known = ~np.isnan(column)
        y = block.y[known]
        if not 0 < y.sum() < y.size:
            left_out.append(block.name)
            continue
        own.append(CohortBlock(block.name, np.column_stack([block.X[known], column[known]]), y))
    return own, tuple(left_out)


def _refit(
    own: list[CohortBlock], names: Sequence[str], left_out: tuple[str, ...], fallback: Fit | None, *, preferred: bool
) -> RefitHit:
    if not own:
        return _without_estimate(names[-1], own, left_out, "DegenerateOutcomeError")
    method: Method = "fallback" if preferred else "ml"
    try:
        fit = _fit(own, names, fallback if preferred else None)
    except (SeparationError, NotConvergedError) as error:
        if fallback is None or preferred:
            return _without_estimate(names[-1], own, left_out, type(error).__name__)
        try:
            fit, method = fallback(own, names), "fallback"
        except StatsError as second:
            return _without_estimate(names[-1], own, left_out, type(second).__name__)
    except StatsError as error:
        return _without_estimate(names[-1], own, left_out, type(error).__name__)
    beta, se = float(fit.term_coef[-1]), float(fit.term_se[-1])
    sd = float(pooled_sd(own)[-1])
    z = beta / se
    log_p = log_two_sided_p(z)
    return RefitHit(
        name=names[-1],
        method=method,
        reason="",
        n=sum(block.n for block in own),
        events=sum(block.events for block in own),
        hospitals_left_out=left_out,
        sd=sd,
        per_unit=build_effect(beta, se),
        per_sd=build_effect(beta * sd, se * sd),
        z=z,
        p=min(1.0, math.exp(log_p)),
        log10_p=log_p / math.log(10.0),
    )


def _fit(own: list[CohortBlock], names: Sequence[str], fallback: Fit | None) -> TermFit:
    return fit_pooled_logistic(own, names) if fallback is None else fallback(own, names)


def _without_estimate(name: str, own: list[CohortBlock], left_out: tuple[str, ...], reason: str) -> RefitHit:
    n, events = sum(block.n for block in own), sum(block.events for block in own)
    nan = math.nan
    return RefitHit(name, "none", reason, n, events, left_out, nan, None, None, nan, nan, nan)
