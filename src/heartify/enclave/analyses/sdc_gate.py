"""Rules 1 to 4 for a part of the study's hospitals: may figures of these alone be shown?

Stricter than for the pooled cohort in one way: a level of which everybody or nobody has the outcome is refused too,
because a hospital's own estimate, or the reason why there is none, would say so of each of its patients (rule 11).
Answers yes or no, never why: a reason would tell a small cell from an empty one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from heartify.disclosure import CohortFacts, OutcomeCount, build_cohort_facts, check_cohort
from heartify.disclosure.cohort_rules import MAX_PARAMETERS_PER_ROW, MIN_RESIDUAL_DOF
from heartify.disclosure.contribution import MIN_ROWS_PER_HOSPITAL
from heartify.disclosure.suppression import can_show_outcomes
from heartify.enclave.cases import HospitalCases
from heartify.enclave.study_data import StudyData
from heartify.stats.blocks import CohortBlock


def facts_of(data: StudyData, cases: Sequence[HospitalCases], blocks: Sequence[CohortBlock]) -> CohortFacts:
    """Return the exact facts of some of the study's hospitals."""
    categorical: dict[str, list[object]] = {
        factor.name: np.concatenate([case.factors[factor.name][case.complete] for case in cases]).tolist()
        for factor in data.plan.factors
        if factor.reference is not None
    }
    return build_cohort_facts(blocks, data.names, categorical)


def can_show_pooled(data: StudyData, hospitals: Sequence[int]) -> bool:
    """Return whether rules 1 to 4 pass for the hospitals at these positions, pooled."""
    return (
        bool(hospitals)
        and check_cohort(facts_of(data, [data.cases[h] for h in hospitals], [data.blocks[h] for h in hospitals])).passed
    )


def can_show_hospital(data: StudyData, hospital: int) -> bool:
    """Return whether the hospital's own estimates may be shown: enough patients, outcomes and rows a parameter, and
    every level that occurs there with at least ten patients of either outcome.
    """
    facts = facts_of(data, [data.cases[hospital]], [data.blocks[hospital]])
    n, p = facts.pooled.n, facts.n_parameters
    levels = [level for factor in facts.factors for level in factor.levels]
    return (
        has_outcomes(facts.pooled)
        and p <= MAX_PARAMETERS_PER_ROW * n
        and n - p >= MIN_RESIDUAL_DOF
        and all(can_show_outcomes(level) for level in levels)
    )


def can_validate_in(data: StudyData, hospital: int) -> bool:
    """Return whether a model's performance in the hospital may be shown: enough patients with and without outcome."""
    return has_outcomes(OutcomeCount(data.blocks[hospital].n, data.blocks[hospital].events))


def has_outcomes(outcomes: OutcomeCount) -> bool:
    """Return whether there are at least 20 patients, 10 with the outcome and 10 without."""
    return outcomes.n >= MIN_ROWS_PER_HOSPITAL and can_show_outcomes(outcomes)
