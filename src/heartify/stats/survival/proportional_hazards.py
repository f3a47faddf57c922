"""The test that hazards are proportional: does a coefficient change with time?

The score test of adding x g(t) to the model, at the fitted coefficients, for each term and for all: cox.zph of R's
survival from version 3.0 on, which replaced the approximation of Grambsch and Therneau 1994 (Biometrika 81:515). g is
time itself or 1 - Kaplan-Meier of all rows just before t, centred over the events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from heartify.stats.blocks import FloatArray
from heartify.stats.chi_square import ChiSquareTest, quadratic_test
from heartify.stats.errors import InvalidBlockError
from heartify.stats.survival.blocks import SurvivalSource
from heartify.stats.survival.cox import CoxFit
from heartify.stats.survival.cox_sums import weighted_information
from heartify.stats.survival.fitted import fitted_rows, risk_set_means
from heartify.stats.survival.residuals import event_residuals
from heartify.stats.survival.risk_sets import build_risk_sets


class TimeTransform(StrEnum):
    """The function of time along which a coefficient may change."""

    KM = "km"
    IDENTITY = "identity"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ProportionalHazardsTest:
    """Hold the test of each term (name -> test) and of all terms together."""

    transform: TimeTransform
    terms: dict[str, ChiSquareTest]
    overall: ChiSquareTest


def proportional_hazards_test(
    fit: CoxFit,
    sources: Sequence[SurvivalSource],
    transform: TimeTransform = TimeTransform.KM,
    terms: Mapping[str, Sequence[str]] | None = None,
) -> ProportionalHazardsTest:
    """Test proportional hazards; `terms` maps a name to the columns tested together, by default each column alone.

    Raises:
        InvalidBlockError: these are not the blocks of the fit, or terms name a column that it does not have.
        RankDeficientError: time does not vary over the events.
    """
    groups = _columns(fit, terms)
    score, information = _extended_score(fit, sources, transform)
    p = fit.coef.size

    def test(columns: NDArray[np.intp]) -> ChiSquareTest:
        # The score of the fitted part is zero, so the test needs the new part's variance given the fitted part.
        cross = information[np.ix_(p + columns, np.arange(p))]
        solved = np.linalg.solve(information[:p, :p], cross.T)
        return quadratic_test(score[columns], information[np.ix_(p + columns, p + columns)] - cross @ solved)

    return ProportionalHazardsTest(
        transform, {name: test(columns) for name, columns in groups.items()}, test(np.arange(p))
    )


def _columns(fit: CoxFit, terms: Mapping[str, Sequence[str]] | None) -> dict[str, NDArray[np.intp]]:
    if terms is None:
        return {name: np.array([j]) for j, name in enumerate(fit.term_names)}
    place = {name: j for j, name in enumerate(fit.term_names)}
    if any(not names or not set(names) <= place.keys() for names in terms.values()):
        raise InvalidBlockError("a term of the test has columns that the fit does not have")
    return {name: np.array([place[column] for column in names]) for name, names in terms.items()}


def _extended_score(
    fit: CoxFit, sources: Sequence[SurvivalSource], transform: TimeTransform
) -> tuple[FloatArray, FloatArray]:
    """Return the score (p,) of x g(t) and the information (2p, 2p) of (x, x g(t)), in standardised units."""
    passes = fitted_rows(fit, sources).passes
    raw = _transformed_times([part.stratum.sets.times for part in passes], sources, transform)
    deaths = [part.stratum.sets.deaths for part in passes]
    centre = sum(float(g @ d) for g, d in zip(raw, deaths, strict=True)) / sum(int(d.sum()) for d in deaths)
    p = fit.coef.size
    score, information = np.zeros(p), np.zeros((2 * p, 2 * p))
    for part, times in zip(passes, raw, strict=True):
        g = times - centre
        score += event_residuals(part, risk_set_means(part)) @ g[part.stratum.sets.event_index]
        plain, first, second = (weighted_information(part, g**power) for power in range(3))
        information += np.block([[plain, first], [first, second]])
    return score, information


def _transformed_times(
    times: Sequence[FloatArray], sources: Sequence[SurvivalSource], transform: TimeTransform
) -> list[FloatArray]:
    if transform is TimeTransform.IDENTITY:
        return list(times)
    time = np.concatenate([source.time for source in sources])
    order = np.argsort(time, kind="stable")
    is_event = np.concatenate([source.event == 1 for source in sources])[order]
    entry = None
    if any(source.entry is not None for source in sources):
        starts = [source.entry if source.entry is not None else np.full(source.n, -np.inf) for source in sources]
        entry = np.concatenate(starts)[order]
    sets = build_risk_sets(time[order], is_event, entry)
    at_risk = sets.at_risk_sums(np.ones(sets.n))
    survival = np.concatenate(([1.0], np.cumprod(1.0 - sets.deaths / at_risk)))
    return [1.0 - survival[np.searchsorted(sets.times, part, side="left")] for part in times]
