"""The study itself: hospitals' complete cases in, a disclosure-checked result out. Pure: no channel, no keys.

leave out small hospitals → rules 1–4 → fit → rules 7–10 → result
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from heartify.disclosure import (
    ReleasedLogistic,
    WithheldCode,
    WithheldError,
    build_cohort_facts,
    check_cohort,
    contributing,
    release_logistic,
)
from heartify.enclave.failure import StudyFailedError, StudyWithheldError
from heartify.enclave.job import Job
from heartify.protocol.evidence import TeeKind
from heartify.protocol.grant_policy import DISCLOSURE_PROFILE
from heartify.protocol.outcomes import FailureCode
from heartify.protocol.plan import OutcomeSpec
from heartify.protocol.result import RuleResult, StudyResult
from heartify.stats import (
    CohortBlock,
    InvalidBlockError,
    NotConvergedError,
    PooledLogisticFit,
    StatsError,
    fit_pooled_logistic,
)


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class HospitalCases:
    """One hospital's complete cases; `index` is its grant's place in the deal, `rows_read` counts all rows."""

    index: int
    name: str
    version: str
    X: NDArray[np.float64]
    y: NDArray[np.float64]
    rows_read: int


@dataclasses.dataclass(frozen=True, slots=True)
class Study:
    """A result that may leave, and the grants that are left out of it."""

    result: StudyResult
    left_out: frozenset[int]


def run_study(job: Job, cases: Sequence[HospitalCases]) -> Study:
    """Run the plan's analysis on the hospitals that gave their keys.

    Raises:
        StudyWithheldError: a disclosure rule says no.
        StudyFailedError: the fit has no usable estimate.
    """
    split = contributing({case.name: int(case.y.size) for case in cases})
    kept = [case for case in cases if case.name in split.kept]
    if len(kept) < job.deal.minGrants or not kept:
        raise StudyWithheldError(int(WithheldCode.TOO_FEW_PATIENTS))
    names = tuple(factor.name for factor in job.plan.factors)
    blocks = [CohortBlock(case.name, case.X, case.y) for case in kept]
    facts = build_cohort_facts(blocks, names)
    verdict = check_cohort(facts)
    if verdict.code is not None:
        raise StudyWithheldError(int(verdict.code))
    try:
        released = release_logistic(fit_blocks(blocks, names), facts, split.left_out)
    except WithheldError as exc:
        raise StudyWithheldError(int(exc.code)) from exc
    rules = tuple(RuleResult(rule=item.rule, verdict="pass") for item in verdict.rules)
    return Study(_result(job, cases, released, rules), frozenset(c.index for c in cases if c.name in split.left_out))


def fit_blocks(blocks: Sequence[CohortBlock], names: tuple[str, ...]) -> PooledLogisticFit:
    """Fit the pooled model; what has no estimate becomes a code."""
    try:
        return fit_pooled_logistic(blocks, names)
    except NotConvergedError as exc:
        raise StudyFailedError(FailureCode.FIT_NOT_CONVERGED) from exc
    except InvalidBlockError as exc:
        raise StudyFailedError(FailureCode.INTERNAL) from exc
    except StatsError as exc:
        # Separation, collinearity, an outcome that doesn't vary: each tells of single patients (disclosure rule 5).
        raise StudyWithheldError(int(WithheldCode.NOT_ESTIMABLE)) from exc


def _result(
    job: Job, cases: Sequence[HospitalCases], released: ReleasedLogistic, rules: tuple[RuleResult, ...]
) -> StudyResult:
    document = released.to_dict()
    units = {factor.name: _unit(job, factor.column, factor.equals) for factor in job.plan.factors}
    return msgspec.convert(
        {
            "deal": job.deal_id,
            "plan_digest": job.deal.planDigest,
            "simulated": TeeKind(job.deal.teeKind).is_simulated,
            "outcome": _outcome_text(job.plan.outcome),
            "n": document["n"],
            "events": document["events"],
            "events_n": document["events_n"],
            "auc": document["auc"],
            "weights": [{**weight, "unit": units[weight["factor"]]} for weight in document["weights"]],
            "hospitals": _hospitals(job, cases, document["hospitals"]),
            "disclosure_profile": DISCLOSURE_PROFILE,
            "disclosure": rules,
            "notes": [note.name.lower() for note in released.notes],
        },
        StudyResult,
    )


def _hospitals(job: Job, cases: Sequence[HospitalCases], shown: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    """Return one row for each hospital of the deal, in the deal's order; those without keys are left out too."""
    by_name = {str(row["name"]): row for row in shown}
    gave_keys = {case.name for case in cases}
    rows = []
    for hospital in job.hospitals:
        row = by_name[hospital.name] if hospital.name in gave_keys else _no_keys(hospital.name)
        rows.append({**row, "dataset_version": hospital.grant.datasetVersion})
    return rows


def _no_keys(name: str) -> dict[str, object]:
    return {"name": name, "status": "left_out", "reason": "no_keys"}


def _unit(job: Job, column: str, equals: str | None) -> str:
    return "1" if equals is not None else job.hospitals[0].dictionary.column(column).unit


def _outcome_text(outcome: OutcomeSpec) -> str:
    condition = f"= {outcome.equals}" if outcome.equals is not None else f"> {outcome.above:g}"
    return f"{outcome.column} {condition}"
