"""The rows and columns that an increment is about: which are added, to what, and on which patients.

Without a score they are the main model's own rows. With one, patients who have no score are left out, and rules 1 to 4
are judged on the others again. If 1 to 9 patients are left out, the increment is refused: results on two cohorts that
differ by so few tell of those few (rule 5: a filter and its complement have ten patients each).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from heartify.disclosure import build_cohort_facts, check_cohort
from heartify.disclosure.codes import WithheldCode
from heartify.disclosure.cohort_rules import MIN_CELL
from heartify.disclosure.contribution import MIN_ROWS_PER_HOSPITAL
from heartify.enclave.analyses.analysis import AnalysisSkippedError, SkipReason
from heartify.enclave.analyses.published_score import ScoredRows, score_rows
from heartify.enclave.analyses.risk_bands import Flags, Floats
from heartify.enclave.study_data import StudyData
from heartify.protocol.plan_analyses import IncrementSpec
from heartify.stats.blocks import CohortBlock

SCORE_COLUMN = "published score"  # a space: no factor can be called so

_REASONS: dict[WithheldCode, SkipReason] = {
    WithheldCode.TOO_FEW_PATIENTS: "too_few_patients",
    WithheldCode.TOO_FEW_OUTCOMES: "too_few_patients",
    WithheldCode.TOO_MANY_PARAMETERS: "too_many_terms",
    WithheldCode.SMALL_CELL: "small_cell",
}


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class ScoredCohort:
    """The patients with a score: blocks of the score's log odds and the added columns, by hospital, and their risks.

    `rows` says of each hospital (by place in the study) which complete cases they are; hospitals without are None.
    """

    blocks: tuple[CohortBlock, ...]
    names: tuple[str, ...]
    risks: tuple[Floats, ...]
    rows: tuple[Flags | None, ...]
    left_out: int


def added_terms(data: StudyData, spec: IncrementSpec) -> tuple[str, ...]:
    """Return the terms that are added: the plan's new factors, and interactions that no base model can have.

    To the plan's other factors these are all interactions with a new factor; to a score, those of new factors only.
    """
    new = set(spec.factors)
    pairs = [(item.first, item.second) for item in data.plan.interactions]
    kept = [pair for pair in pairs if (set(pair) <= new if spec.score is not None else set(pair) & new)]
    return (*spec.factors, *(f"{first}:{second}" for first, second in kept))


def added_columns(data: StudyData, spec: IncrementSpec) -> tuple[int, ...]:
    """Return the indices, increasing, of the columns that are added."""
    return tuple(sorted(index for term in added_terms(data, spec) for index in data.model.columns_of(term)))


def scored_cohort(data: StudyData, spec: IncrementSpec) -> ScoredCohort:
    """Return the patients with a score, if the rules allow it.

    Raises:
        AnalysisSkippedError: too few patients, or too few left out; another of rules 1 to 4.
        StatsError: the score can't be computed.
    """
    if spec.score is None:
        raise TypeError("an increment without a score has no scored cohort")
    found = [score_rows(case, spec.score) for case in data.cases]
    kept = [scored if int(scored.scored.sum()) >= MIN_ROWS_PER_HOSPITAL else None for scored in found]
    columns = list(added_columns(data, spec))
    blocks, risks = [], []
    for block, scored in zip(data.blocks, kept, strict=True):
        if scored is not None:
            terms = np.column_stack([scored.log_odds, block.X[scored.scored][:, columns]])
            blocks.append(CohortBlock(block.name, terms, block.y[scored.scored]))
            risks.append(scored.risk)
    left_out = sum(block.n for block in data.blocks) - sum(block.n for block in blocks)
    _check_left_out(left_out, blocks)
    names = (SCORE_COLUMN, *(data.names[index] for index in columns))
    _check_rules(data, spec, blocks, names, kept)
    rows = tuple(None if scored is None else scored.scored for scored in kept)
    return ScoredCohort(tuple(blocks), names, tuple(risks), rows, left_out)


def _check_left_out(left_out: int, blocks: list[CohortBlock]) -> None:
    if not blocks:
        raise AnalysisSkippedError("too_few_patients")
    if 0 < left_out < MIN_CELL:
        raise AnalysisSkippedError("small_cell")


def _check_rules(
    data: StudyData,
    spec: IncrementSpec,
    blocks: list[CohortBlock],
    names: tuple[str, ...],
    kept: list[ScoredRows | None],
) -> None:
    categorical: dict[str, list[object]] = {
        factor.name: np.concatenate(
            [
                case.factors[factor.name][case.complete][scored.scored]
                for case, scored in zip(data.cases, kept, strict=True)
                if scored is not None
            ]
        ).tolist()
        for factor in data.plan.factors
        if factor.reference is not None and factor.name in spec.factors
    }
    code = check_cohort(build_cohort_facts(blocks, names, categorical)).code
    if code is not None:
        raise AnalysisSkippedError(_REASONS.get(code, "not_estimable"))
