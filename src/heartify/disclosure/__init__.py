"""SDC profile 1: pure functions from exact results to what may be shown, or to a code that says it may not."""

from heartify.disclosure.codes import HospitalReason, HospitalStatus, NoteCode, WithheldCode, WithheldError
from heartify.disclosure.cohort_rules import Outcome, RuleVerdict, Verdict, check_cohort, verify_cohort
from heartify.disclosure.contribution import Contribution, contributing
from heartify.disclosure.facts import (
    CohortFacts,
    FactorFacts,
    HospitalFacts,
    OutcomeCount,
    TermFacts,
    TwoValued,
    build_cohort_facts,
    build_factor_facts,
)
from heartify.disclosure.release import FitEstimates, release_fit
from heartify.disclosure.released import ReleasedFit, ReleasedHospital, ReleasedIntercept, ReleasedWeight
from heartify.disclosure.schema import check_released

__all__ = [
    "CohortFacts",
    "Contribution",
    "FactorFacts",
    "FitEstimates",
    "HospitalFacts",
    "HospitalReason",
    "HospitalStatus",
    "NoteCode",
    "Outcome",
    "OutcomeCount",
    "ReleasedFit",
    "ReleasedHospital",
    "ReleasedIntercept",
    "ReleasedWeight",
    "RuleVerdict",
    "TermFacts",
    "TwoValued",
    "Verdict",
    "WithheldCode",
    "WithheldError",
    "build_cohort_facts",
    "build_factor_facts",
    "check_cohort",
    "check_released",
    "contributing",
    "release_fit",
    "verify_cohort",
]
