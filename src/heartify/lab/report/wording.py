"""Closed lists in words: units, disclosure rules, codes, reasons, roles. What a list doesn't know is shown as it is.

A report speaks to an epidemiologist, not to a developer, so every code gets a sentence and, where one helps, an advice.
The words follow SDC profile 1 (disclosure rules 1 to 13) and the closed lists of the protocol; tests hold them to it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from heartify.protocol.outcomes import FailureCode


@dataclasses.dataclass(frozen=True, slots=True)
class Explanation:
    """What a code means, and what may be done about it."""

    meaning: str
    advice: str


@dataclasses.dataclass(frozen=True, slots=True)
class ModelWords:
    """What the numbers of a model are called."""

    ratio: str
    ratios: str
    short: str
    quantity: str
    log: str
    discrimination: str
    hospitals: str


MODEL_WORDS: Mapping[str, ModelWords] = {
    "logistic": ModelWords("odds ratio", "odds ratios", "OR", "odds", "log odds", "AUC", "hospital intercepts"),
    "cox": ModelWords("hazard ratio", "hazard ratios", "HR", "hazard", "log hazard", "C", "hospital strata"),
}
ESTIMATIONS: Mapping[str, str] = {
    "maximum-likelihood": "maximum likelihood",
    "firth": "Firth's penalised likelihood, which stays finite under separation",
}
STANDARD_ERRORS: Mapping[str, str] = {
    "model": "from the model",
    "robust": "robust (sandwich)",
    "hospital": "robust, clustered by hospital",
}

RULES: Mapping[int, str] = {
    1: "at least 50 patients in all, and at least 20 from each hospital that takes part",
    2: "at least 10 events and at least 10 non-events",
    3: "at most one parameter for three patients (0.33 n), and at least 10 residual degrees of freedom",
    4: "each level of a factor, and each level by outcome, has no patient or at least 10",
    5: "no separation, no collinearity, no single patient who determines an estimate",
    6: "only columns that the hospitals granted",
    7: "coefficients on a grid of a tenth of their standard error; standard errors to 2 digits",
    8: "no covariances, residuals, fitted values or anything else for each patient",
    9: "counts under 10 suppressed, others rounded to the nearest 5",
    10: "AUC and concordance to 2 decimals",
    11: "no minimum or maximum; percentiles only with 10 patients beyond",
    12: "lists of patients only to the hospital whose patients they are",
    13: "a closed schema of limited size",
}

WITHHELD: Mapping[int, Explanation] = {
    1: Explanation(
        "Too few patients: fewer than 50 complete cases in all, or too few hospitals with at least 20.",
        "Add hospitals, or leave out a factor that is often missing.",
    ),
    2: Explanation(
        "Too few outcomes: fewer than 10 events, or fewer than 10 patients without the event.",
        "Add hospitals, or study a more frequent outcome.",
    ),
    3: Explanation(
        "Too many parameters for the number of patients: more than one for three patients, "
        "or fewer than 10 residual degrees of freedom.",
        "Study fewer factors, or add hospitals.",
    ),
    4: Explanation(
        "A small cell: some level of a factor, or some level by outcome, has 1 to 9 patients.",
        "Merge rare levels or leave the factor out.",
    ),
    5: Explanation(
        "Not estimable: factors separate those with the event from those without it, or determine each other, "
        "or don't vary.",
        "Leave out a factor that nearly decides the outcome, or one that follows from the others.",
    ),
    8: Explanation(
        "The output was not of the closed schema, or off its rounding grid.",
        "This is a defect of the app: tell its author the deal id.",
    ),
    13: Explanation("The output was larger than the rules allow.", "Study fewer factors or fewer hospitals at once."),
}

FAILED: Mapping[str, Explanation] = {
    FailureCode.PLAN_INVALID.label: Explanation("The plan is not valid.", "Check it with `heartify lab plan`."),
    FailureCode.PLAN_COLUMN_UNKNOWN.label: Explanation(
        "The plan names a column or level that a hospital's dictionary has not.",
        "Compare the plan with the catalogue's dictionaries.",
    ),
    FailureCode.PLAN_NOT_PERMITTED.label: Explanation(
        "A hospital's grant does not permit this plan's columns or purpose.",
        "Choose other datasets, or ask the hospital for a wider grant.",
    ),
    FailureCode.DICTIONARIES_DIFFER.label: Explanation(
        "The hospitals don't mean the same by one of the columns: datatype, unit or levels differ.",
        "Leave out the column, or one of the hospitals; values are never converted silently.",
    ),
    FailureCode.FIT_NOT_CONVERGED.label: Explanation(
        "The model's fit did not converge.", "Study fewer or less extreme factors."
    ),
    FailureCode.SIZE_LIMIT_EXCEEDED.label: Explanation(
        "The data are larger than the size class that was paid for.", "Choose a larger size class."
    ),
    FailureCode.RESULT_KEY_INVALID.label: Explanation(
        "The request names a result key that nothing can be sealed to.", "Make a new lab home, and with it a new key."
    ),
    FailureCode.INPUT_DAMAGED.label: Explanation(
        "A file or document reached the enclave damaged, and it refused to go on.",
        "Run the study again, perhaps with another pool.",
    ),
    FailureCode.KEYS_UNAVAILABLE.label: Explanation(
        "Too few hospitals' brokers released their keys.",
        "Ask the hospitals whether their brokers run and approve this app release, then run the study again.",
    ),
    FailureCode.HOST_PROTOCOL.label: Explanation(
        "The pool's machine did not keep to the enclave's protocol.", "Run the study again with another pool."
    ),
    FailureCode.INTERNAL.label: Explanation(
        "The app met a condition that it doesn't know.", "This is a defect of the app: tell its author the deal id."
    ),
}

REASONS: Mapping[str, str] = {
    "too_few_patients": "fewer than 20 complete cases: not in the analysis, and their number is not shown",
    "outcomes_suppressed": "its events or its non-events are fewer than 10: events and intercept are suppressed",
    "no_keys": "its key broker released no keys: its data were not read",
}
STATUSES: Mapping[str, str] = {"contributed": "contributed", "left_out": "left out"}
NOTES: Mapping[str, str] = {
    "few_events_per_parameter": (
        "There are fewer than 10 events, or fewer than 10 non-events, for each parameter among the counts that are "
        "shown: estimates may be biased away from 1 and intervals too narrow."
    ),
    "outcomes_suppressed": (
        "At least one hospital's events are suppressed; the total of events leaves that hospital out, and its patients."
    ),
}
ROLES: Mapping[str, str] = {
    "dataset": "hospital, for the use of its dataset",
    "app": "app author",
    "pool": "pool, for the computation",
    "refund": "refund to the lab",
}
PURPOSES: Mapping[str, str] = {
    "public-health": "public health",
    "policy": "policy making",
    "statistics": "official statistics",
    "education": "education",
    "health-research": "health research",
    "care-improvement": "improvement of care",
}
MODELS: Mapping[str, str] = {"logistic": "logistic regression", "cox": "Cox regression (proportional hazards)"}
HOSPITAL_EFFECTS: Mapping[str, str] = {
    "logistic": "an intercept of its own for each hospital (fixed effects), common weights",
    "cox": "a baseline hazard of its own for each hospital (stratified), common weights",
}

_UNITS: Mapping[str, str] = {
    "1": "1",
    "a": "year",
    "mo": "month",
    "wk": "week",
    "d": "day",
    "h": "hour",
    "mm[Hg]": "mmHg",
    "%": "percentage point",
    "/min": "1/min",
    "kg/m2": "kg/m²",
    "mL/min/{1.73_m2}": "mL/min/1.73 m²",
    "umol/L": "µmol/L",
    "ug/mL": "µg/mL",
    "10*9/L": "10⁹/L",
    "10*12/L": "10¹²/L",
}


def unit_words(ucum: str, *, indicator: bool) -> str:
    """Return the step that a weight is for, such as `1 mmHg` or `yes v. no`; an unknown UCUM unit stays as it is."""
    if indicator:
        return "yes v. no"
    return "1" if ucum == "1" else f"1 {_UNITS.get(ucum, ucum)}".replace("1 1/", "1/")


def rule_words(rule: int) -> str:
    """Return what a disclosure rule demands."""
    return RULES.get(rule, "a rule that this version of the report has no words for")
