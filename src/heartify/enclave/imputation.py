"""The main fit by multiple imputation: chained equations over the plan's factors, pooled by Rubin's rules.

A hospital that never measured a factor has no complete case, so rule 1 has left it out before. Hospital and outcome
predict every gap (Cox: event and Nelson-Aalen hazard in the hospital, of each cause, and the strata). Numbers are
imputed by predictive mean matching, but by normal draws where 40 % or more are missing: there matching repeats too few
donors, and its intervals are too narrow. Splines and interactions follow from the imputed factors. With fewer than ten
incomplete patients nothing is imputed: weights with and without them would tell of these few.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from numpy.random import Generator
from scipy.special import expit, logit

from heartify.disclosure import CohortFacts
from heartify.disclosure.cohort_rules import can_show
from heartify.disclosure.suppression import show_counts
from heartify.enclave.cases import HospitalCases
from heartify.enclave.imputation_table import ImputationTable, build_imputation_table
from heartify.enclave.main_fit import MainFit
from heartify.enclave.model import Model
from heartify.protocol.plan import Plan
from heartify.stats.logistic import HospitalIntercept
from heartify.stats.missing import (
    ChainTrace,
    ColumnKind,
    Convergence,
    ImputationSpec,
    JointPattern,
    PooledScalar,
    impute,
    missing_pattern,
    pool_scalar,
    pool_vector,
    summarise_chains,
)

NORMAL_DRAWS_FROM = 0.4
_CERTAIN = 1e-6

Judge = Callable[[Sequence[HospitalCases]], CohortFacts]
Fit = Callable[[Sequence[HospitalCases]], MainFit]


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Imputation:
    """What multiple imputation gave: the pooled main `fit`, the `facts` of the first completed cohort, and how it went.

    `complete` is the fit to the complete cases alone. `parameters` (p) are the pooled weights with their degrees of
    freedom, `patterns` the gaps of the patients that took part, `chains` the convergence of what was imputed.
    """

    fit: MainFit
    facts: CohortFacts
    complete: MainFit
    parameters: tuple[PooledScalar, ...]
    patterns: tuple[JointPattern, ...]
    chains: Convergence


@dataclasses.dataclass(frozen=True, slots=True)
class CompletedStudy:
    """What is done with a completed cohort: `judge` it by rules 1 to 4, and `fit` the plan's model to it.

    `judge` raises WithheldError where a rule says no; `fit` raises StatsError where there are no estimates.
    """

    judge: Judge
    fit: Fit


def impute_main_fit(
    plan: Plan, model: Model, cases: Sequence[HospitalCases], complete: MainFit, study: CompletedStudy, rng: Generator
) -> Imputation | None:
    """Fit the plan's model to each completed cohort and pool; None where fewer than ten patients have a gap.

    The pooled fit keeps `logistic` or `cox` of the complete cases, which all other analyses work on.

    Raises:
        WithheldError: the first completed cohort fails rules 1 to 4.
        StatsError: a factor can't be imputed, or a completed cohort has no estimates.
    """
    table = build_imputation_table(plan, model, cases)
    if not can_show(table.table.n - sum(case.n for case in cases)):
        return None
    facts: list[CohortFacts] = []
    fits: list[MainFit] = []
    traces: list[ChainTrace] = []
    for done in impute(table.table, imputation_spec(plan, table), plan.missing.imputations, rng):
        completed = table.complete(done)
        if not facts:
            facts.append(study.judge(completed))
        fits.append(study.fit(completed))
        traces.append(done.trace)
    fit, parameters = pool_fits(fits, complete, facts[0])
    patterns = missing_pattern(table.table).joint
    return Imputation(fit, facts[0], complete, parameters, patterns, summarise_chains(traces))


def pool_fits(
    fits: Sequence[MainFit], complete: MainFit, facts: CohortFacts
) -> tuple[MainFit, tuple[PooledScalar, ...]]:
    """Pool the fits of completed cohorts by Rubin's rules; AUC and concordance are averaged as log odds.

    Raises:
        StatsError: a coefficient or its error is not finite.
    """
    df = _complete_df(facts, is_survival=complete.cox is not None)
    covariances = np.array([fit.term_covariance for fit in fits])
    pooled = pool_vector(np.array([fit.term_coef for fit in fits]), covariances, df)
    fit = dataclasses.replace(
        complete,
        term_coef=pooled.estimate,
        term_covariance=pooled.total,
        n=fits[0].n,
        events=fits[0].events,
        hospital_intercepts=_intercepts(fits, df),
        auc=_mean_index([fit.auc for fit in fits]),
        concordance=_mean_index([fit.concordance for fit in fits]),
        imputations=len(fits),
    )
    return fit, pooled.parameters


def imputation_spec(plan: Plan, table: ImputationTable) -> ImputationSpec:
    """Return how the table is imputed: which numbers by normal draws, and that the outcome predicts everything."""
    numbers = [column for column in table.table.columns if column.kind is ColumnKind.CONTINUOUS]
    sparse = frozenset(column.name for column in numbers if column.missing.mean() >= NORMAL_DRAWS_FROM)
    return ImputationSpec(outcome=table.outcome, iterations=plan.missing.iterations, gaussian=sparse)


def _complete_df(facts: CohortFacts, *, is_survival: bool) -> float:
    """Return the degrees of freedom without gaps, from shown counts: pooled ones would give the exact count back."""
    counts = show_counts(facts.hospitals)
    if is_survival:
        return float(max((counts.total_events or 0) - len(facts.terms), 1))
    return float(max(counts.total_n - facts.n_parameters, 1))


def _intercepts(fits: Sequence[MainFit], df: float) -> tuple[HospitalIntercept, ...]:
    found = []
    for own in zip(*(fit.hospital_intercepts for fit in fits), strict=True):
        pooled = pool_scalar([item.value for item in own], [item.se**2 for item in own], df)
        found.append(HospitalIntercept(own[0].hospital, pooled.estimate, pooled.se))
    return tuple(found)


def _mean_index(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) != len(values):
        return None
    return float(expit(np.mean(logit(np.clip(known, _CERTAIN, 1.0 - _CERTAIN)))))
