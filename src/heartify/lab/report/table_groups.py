"""The analyses of a plan as a report groups their tables, what every reader of each must hear, and why one is missing.

The order is that of the ten analyses; the cautions are not decoration: without them the numbers would be misread.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """The tables of one analysis under one heading; `caution` is what every reader of them must hear."""

    anchor: str
    title: str
    tables: tuple[str, ...]
    caution: str = ""


GROUPS: tuple[Group, ...] = (
    Group("cohort", "Cohort", ("flow", "table1_numbers", "table1_levels", "missingness", "plausibility", "adequacy")),
    Group(
        "model",
        "Model",
        ("tests", "profile_intervals", "robust", "knots", "curves", "additive_interaction"),
    ),
    Group(
        "survival",
        "Survival",
        ("proportional_hazards", "survival", "cumulative_incidence", "group_tests", "hazards"),
        "Curves are not adjusted for any factor: differences between hospitals say nothing of the quality of care.",
    ),
    Group(
        "scales",
        "Weights on further scales",
        ("weights_per_sd", "partial_chi2", "dominance", "attributable_fraction", "bootstrap"),
        "No scale is the right one: ranks that differ between scales, or whose intervals overlap, are not settled. "
        "A rank is about association with the outcome in this model, not about what an intervention would change.",
    ),
    Group(
        "heterogeneity",
        "Heterogeneity between hospitals",
        ("hospital_estimates", "meta_analysis", "hospital_interactions", "left_out_hospital", "left_out_summary"),
        "Differences between hospitals are not causal: case mix, measurement and chance differ too. A comparison of "
        "subgroups is weaker evidence than the pooled estimate.",
    ),
    Group(
        "performance",
        "Performance",
        (
            "discrimination", "accuracy", "calibration", "calibration_groups", "calibration_curve", "roc",
            "net_benefit",
        ),
        "Apparent figures are of the patients that the model was fitted to; look at the corrected ones, and at the "
        "hospitals left out, before any use for prediction.",
    ),
    Group(
        "increment",
        "Increment of the new factors",
        (
            "increment_cohort", "increment_tests", "increment",
            "increment_discrimination", "increment_net_benefit", "score_calibration",
        ),
        "Whether the new factors belong in the model is answered by the tests of their coefficients; the differences "
        "say how much they add. Reclassification must not be summed over events and others.",
    ),
    Group(
        "selection",
        "Selection",
        ("elastic_net", "stability", "selection_summary"),
        "A factor that is not selected may still be associated with the outcome: a correlated one can stand in for it.",
    ),
    Group(
        "screening",
        "Screening",
        ("screen_summary", "screen_hits", "screen_families", "screen_qq"),
        "Exploratory: candidates that passed are hypotheses. Their estimates are too large on average, since they were "
        "chosen for it, and want replication in other patients.",
    ),
    Group(
        "missing",
        "Missing data",
        ("imputation", "complete_cases", "missing_patterns", "chains"),
        "Imputation presumes that values are missing at random given what the model holds; the data can't show it.",
    ),
)  # fmt: skip

ANALYSES: Mapping[str, str] = {
    "describe": "the description of the cohort",
    "weights": "the weights on further scales",
    "heterogeneity": "the heterogeneity between hospitals",
    "performance": "the performance",
    "increment": "the increment of the new factors",
    "selection": "the selection",
    "competing_risks": "the competing risks",
    "screen": "the screen",
    "missing": "the multiple imputation",
    "missing_data": "the missing data",
    "survival": "the survival curves",
    "tests": "the tests of terms",
    "proportional_hazards": "the tests of proportional hazards",
    "additive_interaction": "the interaction on the additive scale",
    "curves": "the curves of the splines",
    "profile_intervals": "the profile-likelihood intervals",
    "robust": "the robust standard errors",
}

SKIPPED: Mapping[str, str] = {
    "not_estimable": "the data give no usable estimate: separation, collinearity, or no variation",
    "too_few_patients": "too few patients, events or non-events for the disclosure rules",
    "too_few_hospitals": "too few hospitals may be shown alone",
    "too_many_terms": "too many terms for the time that an enclave has",
    "small_cell": "some cell has 1 to 9 patients",
}


def analysis_words(analysis: str) -> str:
    """Return what an analysis is called in a sentence."""
    return ANALYSES.get(analysis) or analysis.replace("_", " ")
