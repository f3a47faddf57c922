"""The study itself: hospitals' cases in, a disclosure-checked result out. Pure: no channel, no keys.

leave out small hospitals → design → rules 1–4 → main fit → rules 7–10 → the analyses that the plan asks for → result
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import msgspec
import numpy as np

from heartify.disclosure import (
    CohortFacts,
    ReleasedFit,
    WithheldCode,
    WithheldError,
    build_cohort_facts,
    check_cohort,
    contributing,
    release_fit,
    verify_cohort,
)
from heartify.disclosure.tables import TABLES, release_table
from heartify.enclave.analyses import ANALYSES, AnalysisSkippedError
from heartify.enclave.cases import HospitalCases, Levels
from heartify.enclave.failure import StudyFailedError, StudyWithheldError
from heartify.enclave.imputation import CompletedStudy, Imputation, impute_main_fit
from heartify.enclave.job import Job
from heartify.enclave.main_fit import MIN_CLUSTERS, MainFit, fit_cox_model, fit_logistic_model
from heartify.enclave.model import Model, build_model, cohort_blocks, survival_blocks
from heartify.enclave.study_data import StudyData, study_random
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.evidence import TeeKind
from heartify.protocol.grant_policy import DISCLOSURE_PROFILE
from heartify.protocol.outcomes import FailureCode
from heartify.protocol.plan import OutcomeSpec, Plan
from heartify.protocol.result import MAX_RESULT_BYTES, RuleResult, Skipped, StudyResult, Table
from heartify.stats import CohortBlock, InvalidBlockError, NotConvergedError, StatsError
from heartify.stats.survival import SurvivalBlock


@dataclasses.dataclass(frozen=True, slots=True)
class Study:
    """A result that may leave, and the grants that are left out of it."""

    result: StudyResult
    left_out: frozenset[int]


def run_study(job: Job, cases: Sequence[HospitalCases], levels: Levels) -> Study:
    """Run the plan's analyses on the hospitals that gave their keys.

    Raises:
        StudyWithheldError: a disclosure rule says no.
        StudyFailedError: the fit has no usable estimate.
    """
    split = contributing({case.name: case.n for case in cases})
    kept = tuple(case for case in cases if case.name in split.kept)
    if len(kept) < job.deal.minGrants or not kept:
        raise StudyWithheldError(int(WithheldCode.TOO_FEW_PATIENTS))
    if job.plan.analysis.standard_errors == "hospital" and len(kept) < MIN_CLUSTERS:
        # The plan is at fault: other errors than the registered ones would be another plan.
        raise StudyFailedError(FailureCode.PLAN_INVALID)
    try:
        data, facts = prepare(job.plan, kept, levels)
        released = release_fit(data.fit, facts, split.left_out, concordance=data.fit.concordance)
        tables, skipped = run_analyses(data)
    except WithheldError as exc:
        raise StudyWithheldError(int(exc.code)) from exc
    except NotConvergedError as exc:
        raise StudyFailedError(FailureCode.FIT_NOT_CONVERGED) from exc
    except InvalidBlockError as exc:
        raise StudyFailedError(FailureCode.INTERNAL) from exc
    except StatsError as exc:
        # Separation, collinearity, an outcome that doesn't vary: each tells of single patients (disclosure rule 5).
        raise StudyWithheldError(int(WithheldCode.NOT_ESTIMABLE)) from exc
    result = _result(job, cases, data, released, tables, skipped)
    if len(encode_canonical(result)) > MAX_RESULT_BYTES:
        # The plan asked for more than one result may hold (disclosure rule 13): paid work, and nothing of it leaves.
        raise StudyWithheldError(int(WithheldCode.OUTPUT_TOO_LARGE))
    return Study(result, frozenset(case.index for case in cases if case.name in split.left_out))


def prepare(plan: Plan, cases: tuple[HospitalCases, ...], levels: Levels) -> tuple[StudyData, CohortFacts]:
    """Design the model, judge the cohort by rules 1 to 4, and only then fit.

    With multiple imputation the rules must let both cohorts pass: the complete cases, and the completed ones that the
    returned facts are of.

    Raises:
        WithheldError: a rule says no.
        StatsError: there are no estimates.
    """
    model = build_model(plan, cases, levels)
    blocks = cohort_blocks(model, cases)
    survival = survival_blocks(model, cases) if plan.follow_up is not None else ()
    facts = cohort_facts(plan, model, cases, blocks)
    verdict = check_cohort(facts)
    if verdict.code is not None:
        raise WithheldError(verdict.code)
    fit = fit_main(plan, model, blocks, survival)
    imputed = _impute(plan, model, cases, fit)
    if imputed is not None:
        fit, facts = imputed.fit, imputed.facts
    return StudyData(plan, cases[0].dictionary, levels, cases, model, blocks, survival, fit, imputed), facts


def _impute(plan: Plan, model: Model, cases: Sequence[HospitalCases], complete: MainFit) -> Imputation | None:
    if plan.missing.method != "multiple-imputation":
        return None
    # Every completed cohort is fitted as the complete cases were: estimates of two kinds can't be pooled.
    estimation = "firth" if complete.firth is not None else "maximum-likelihood"
    alike = msgspec.structs.replace(plan, analysis=msgspec.structs.replace(plan.analysis, estimation=estimation))

    def judge(completed: Sequence[HospitalCases]) -> CohortFacts:
        facts = cohort_facts(plan, model, completed, cohort_blocks(model, completed))
        verify_cohort(facts)
        return facts

    def fit(completed: Sequence[HospitalCases]) -> MainFit:
        survival = survival_blocks(model, completed) if plan.follow_up is not None else ()
        return fit_main(alike, model, cohort_blocks(model, completed), survival)

    study = CompletedStudy(judge, fit)
    return impute_main_fit(plan, model, cases, complete, study, study_random(plan, cases, "imputation"))


def cohort_facts(
    plan: Plan, model: Model, cases: Sequence[HospitalCases], blocks: Sequence[CohortBlock]
) -> CohortFacts:
    """Count what the rules need; categories are counted by level, the reference among them."""
    categorical: dict[str, list[object]] = {
        factor.name: np.concatenate([case.factors[factor.name][case.complete] for case in cases]).tolist()
        for factor in plan.factors
        if factor.reference is not None
    }
    return build_cohort_facts(blocks, model.names, categorical)


def fit_main(plan: Plan, model: Model, blocks: Sequence[CohortBlock], survival: Sequence[SurvivalBlock]) -> MainFit:
    """Fit the plan's model.

    Raises:
        StatsError: there are no estimates.
    """
    if plan.analysis.model == "cox":
        return fit_cox_model(survival, model.names, plan.analysis)
    return fit_logistic_model(blocks, model.names, plan.analysis)


def run_analyses(data: StudyData) -> tuple[tuple[Table, ...], tuple[Skipped, ...]]:
    """Run what the plan asks for and release its tables; what the data don't bear is named with its reason.

    Raises:
        WithheldError: a table is not of the closed list, or too large: a defect of the app, so nothing leaves.
    """
    tables: list[Table] = []
    skipped: list[Skipped] = []
    for analysis in ANALYSES:
        if not analysis.is_requested(data.plan):
            continue
        try:
            exact = analysis.run(data)
        except AnalysisSkippedError as exc:
            skipped.append(Skipped(analysis=analysis.name, reason=exc.reason))
            continue
        except (StatsError, np.linalg.LinAlgError, ArithmeticError):
            skipped.append(Skipped(analysis=analysis.name, reason="not_estimable"))
            continue
        released = [release_table(table, TABLES) for table in exact if table.rows]
        tables += [Table(name=table.name, columns=table.columns, rows=table.rows) for table in released]
    return tuple(tables), tuple(skipped)


def _result(
    job: Job,
    cases: Sequence[HospitalCases],
    data: StudyData,
    released: ReleasedFit,
    tables: tuple[Table, ...],
    skipped: tuple[Skipped, ...],
) -> StudyResult:
    document, plan = released.to_dict(), job.plan
    term_of = dict(zip(data.model.names, data.model.term_of, strict=True))
    units = {factor.name: _unit(job, factor.column, plain=factor.equals is None and factor.reference is None)
             for factor in plan.factors}  # fmt: skip
    return msgspec.convert(
        {
            "deal": job.deal_id,
            "plan_digest": job.deal.planDigest,
            "simulated": TeeKind(job.deal.teeKind).is_simulated,
            "model": plan.analysis.model,
            "estimation": "firth" if data.fit.firth is not None else "maximum-likelihood",
            "standard_errors": data.fit.standard_errors,
            "imputations": data.fit.imputations,
            "outcome": _outcome_text(plan.outcome),
            "n": document["n"],
            "events": document["events"],
            "events_n": document["events_n"],
            "auc": document["auc"],
            "concordance": document["concordance"],
            "weights": [
                {**weight, "term": term_of[weight["factor"]], "unit": units.get(term_of[weight["factor"]], "1")}
                for weight in document["weights"]
            ],
            "hospitals": _hospitals(job, cases, document["hospitals"]),
            "tables": tables,
            "skipped": skipped,
            "disclosure_profile": DISCLOSURE_PROFILE,
            # Rules 1 to 4 judged the cohort; a rule that failed has withheld the result.
            "disclosure": [RuleResult(rule=rule, verdict="pass") for rule in (1, 2, 3, 4)],
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


def _unit(job: Job, column: str, *, plain: bool) -> str:
    return job.hospitals[0].dictionary.column(column).unit if plain else "1"


def _outcome_text(outcome: OutcomeSpec) -> str:
    condition = f"= {outcome.equals}" if outcome.equals is not None else f"> {outcome.above:g}"
    return f"{outcome.column} {condition}"
