"""Is a cohort large enough for the model that is planned? Riley's criteria, in place of ten events per variable.

Binary outcomes: Riley et al. 2020, BMJ 368:m441, and 2019, Stat Med 38:1276. Survival: the same, with a rate. Published
examples and pmsampsize agree. `r2` is the Cox-Snell R2 that the new model is expected to reach, adjusted for optimism;
where nobody knows it, `cautious_r2` gives 15 % of its maximum, as the authors advise. Pure functions of numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from heartify.stats.errors import InvalidBlockError

SHRINKAGE = 0.9
OPTIMISM = 0.05  # largest difference of apparent and adjusted Nagelkerke R2
RISK_MARGIN = 0.05
Z_95 = 1.96  # as printed in the paper
CAUTIOUS_SHARE = 0.15


@dataclass(frozen=True, slots=True)
class SampleSize:
    """The least n by each criterion, and `n`, the largest of them.

    `events` and `events_per_parameter` are those expected at n. `shrinkage_at_optimism` is the shrinkage that the
    second criterion amounts to.
    """

    n: int
    n_shrinkage: int
    n_optimism: int
    n_overall_risk: int
    events: float
    events_per_parameter: float
    r2: float
    max_r2: float
    shrinkage_at_optimism: float


def binary_sample_size(parameters: int, prevalence: float, r2: float, shrinkage: float = SHRINKAGE) -> SampleSize:
    """Return the least number of persons for a logistic model of some parameters (intercepts not counted).

    (i) expected shrinkage of at least `shrinkage`; (ii) optimism of Nagelkerke's R2 of at most 0.05; (iii) the overall
    risk within 0.05 of the truth.

    Raises:
        InvalidBlockError: parameters below 1, prevalence or shrinkage outside (0, 1), or r2 outside (0, its maximum).
    """
    largest = max_r2_binary(prevalence)
    _check(parameters, r2, largest, shrinkage)
    overall = math.ceil((Z_95 / RISK_MARGIN) ** 2 * prevalence * (1.0 - prevalence))
    return _sample_size(parameters, r2, largest, shrinkage, overall, prevalence)


def survival_sample_size(
    parameters: int, rate: float, mean_follow_up: float, horizon: float, r2: float, shrinkage: float = SHRINKAGE
) -> SampleSize:
    """Return the least number of persons for a Cox model; rate is events per person-year, times are in years.

    Criteria as for binary outcomes; (iii) is about the risk at `horizon` under an exponential model, whose 95 % bounds
    1 - exp(-(rate +- 1.96 sqrt(rate / person-years)) horizon) lie within 0.05 of it (Riley 2019, Stat Med 38:1276).

    Raises:
        InvalidBlockError: parameters below 1, a rate or time not positive, shrinkage outside (0, 1), or r2 outside
            (0, its maximum).
    """
    if not (math.isfinite(horizon) and horizon > 0.0):
        raise InvalidBlockError("the horizon must be positive")
    largest = max_r2_survival(rate, mean_follow_up)
    _check(parameters, r2, largest, shrinkage)
    # The lower bound of the rate gives the wider half of the interval: exp(-rate t) (exp(margin t) - 1) = 0.05.
    margin = math.log1p(RISK_MARGIN * math.exp(min(rate * horizon, 700.0))) / horizon
    person_years = (Z_95 / margin) ** 2 * rate
    overall = math.ceil(person_years / mean_follow_up)
    return _sample_size(parameters, r2, largest, shrinkage, overall, rate * mean_follow_up)


def max_r2_binary(prevalence: float) -> float:
    """Return the largest Cox-Snell R2 at a prevalence: 1 - (prevalence^prevalence (1 - prevalence)^(1 - prevalence))^2.

    Raises:
        InvalidBlockError: a prevalence outside (0, 1).
    """
    if not 0.0 < prevalence < 1.0:
        raise InvalidBlockError("a prevalence lies between 0 and 1")
    null = prevalence * math.log(prevalence) + (1.0 - prevalence) * math.log1p(-prevalence)
    return -math.expm1(2.0 * null)


def max_r2_survival(rate: float, mean_follow_up: float) -> float:
    """Return the largest Cox-Snell R2 for E = rate x follow-up events a person: 1 - exp(2 (E log E - E)).

    From the exponential model's log-likelihood without factors, as the paper and pmsampsize take it. Meant for E < 1.

    Raises:
        InvalidBlockError: a rate or time not positive, or an event or more a person.
    """
    if not (math.isfinite(rate) and math.isfinite(mean_follow_up) and rate > 0.0 and mean_follow_up > 0.0):
        raise InvalidBlockError("a rate and a mean follow-up must be positive")
    events = rate * mean_follow_up
    if events >= 1.0:
        raise InvalidBlockError("a rate of an event or more a person is no first-event rate; check its unit")
    return -math.expm1(2.0 * (events * math.log(events) - events))


def cautious_r2(largest: float) -> float:
    """Return the R2 to plan with when none is known: 15 % of the largest (a Nagelkerke R2 of 0.15)."""
    return CAUTIOUS_SHARE * largest


def expected_shrinkage(n: int, parameters: int, r2: float) -> float:
    """Return the global shrinkage S expected of a model fitted to n persons: n = p / ((S - 1) log(1 - r2 / S)).

    Criterion (i) asks for 0.9; far below it the model mostly fits noise. `r2` is the adjusted Cox-Snell R2.

    Raises:
        InvalidBlockError: n or parameters below 1, or r2 outside (0, 1).
    """
    if n < 1 or parameters < 1 or not 0.0 < r2 < 1.0:
        raise InvalidBlockError("expected n and parameters of at least 1, and r2 between 0 and 1")
    low, high = r2, 1.0  # n grows with S from near zero to infinity over (r2, 1)
    for _ in range(200):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _n_for_shrinkage(parameters, r2, middle) < n else (low, middle)
    return low


def events_per_parameter(n: int, events: int, parameters: int) -> float:
    """Return min(events, non-events) per parameter (intercepts not counted): shown, never a criterion of its own.

    Raises:
        InvalidBlockError: counts that do not fit together.
    """
    if parameters < 1 or not 0 <= events <= n:
        raise InvalidBlockError("expected at least one parameter, and events between 0 and n")
    return min(events, n - events) / parameters


def _sample_size(
    parameters: int, r2: float, largest: float, shrinkage: float, overall: int, events_a_person: float
) -> SampleSize:
    at_optimism = r2 / (r2 + OPTIMISM * largest)
    n_shrinkage = math.ceil(_n_for_shrinkage(parameters, r2, shrinkage))
    n_optimism = math.ceil(_n_for_shrinkage(parameters, r2, at_optimism))
    n = max(n_shrinkage, n_optimism, overall)
    return SampleSize(
        n=n,
        n_shrinkage=n_shrinkage,
        n_optimism=n_optimism,
        n_overall_risk=overall,
        events=n * events_a_person,
        events_per_parameter=n * events_a_person / parameters,
        r2=r2,
        max_r2=largest,
        shrinkage_at_optimism=at_optimism,
    )


def _n_for_shrinkage(parameters: int, r2: float, shrinkage: float) -> float:
    if not r2 < shrinkage < 1.0:
        return 0.0 if shrinkage <= r2 else math.inf
    return parameters / ((shrinkage - 1.0) * math.log1p(-r2 / shrinkage))


def _check(parameters: int, r2: float, largest: float, shrinkage: float) -> None:
    if parameters < 1:
        raise InvalidBlockError("a model has at least one parameter")
    if not 0.0 < shrinkage < 1.0:
        raise InvalidBlockError("a shrinkage lies between 0 and 1")
    if not 0.0 < r2 < min(largest, shrinkage):
        raise InvalidBlockError("the expected R2 must lie between 0 and its maximum at this prevalence or rate")
