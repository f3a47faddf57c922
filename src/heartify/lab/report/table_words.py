"""Each table of the closed list in words: its title, one sentence on what it shows, and its columns' headings.

A test holds this list to that of the disclosure rules. The words speak of association and never of causation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True, slots=True)
class TableWords:
    """A table in words; `ratio` says that its estimates are logarithms of odds or hazard ratios."""

    title: str
    explanation: str
    headings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    ratio: bool = False
    hazard: bool = False


HEADINGS: Mapping[str, str] = {
    "se": "SE",
    "p": "p",
    "q": "q",
    "df": "df",
    "n": "patients",
    "chi2": "χ²",
    "ci": "95 % CI",
    "chi2_minus_df": "χ² − df",
    "r2": "R²",
    "i2": "I²",
    "tau2": "τ²",
    "q_p": "p of Q",
    "auc": "AUC",
    "c": "C",
    "o_e": "O/E",
    "p05": "5th percentile",
    "p95": "95th percentile",
    "sd": "SD",
    "at": "at the value",
    "at_risk": "at risk",
    "non_events": "non-events",
    "rhat": "R̂",
    "missing_information": "missing information",
    "first": "share ranked first",
    "band": "95 % band",
    "prediction": "prediction interval",
    "heterogeneity_p": "p of heterogeneity",
    "slope": "calibration slope",
    "slope_se": "SE of the slope",
    "treat_all": "treat all",
    "errors": "standard errors",
    "cause": "event",
}
"""Headings of columns, and of the columns of intervals, that mean the same in every table."""

LABELS: Mapping[str, str] = {
    "wald": "Wald",
    "auc": "AUC",
    "c": "C",
    "o/e": "O/E",
    "harrell-c": "Harrell’s C",
    "uno-c": "Uno’s C",
    "brier": "Brier score",
    "scaled-brier": "scaled Brier score",
    "cox-snell-r2": "R² (Cox–Snell)",
    "nagelkerke-r2": "R² (Nagelkerke)",
    "mcfadden-r2": "R² (McFadden)",
    "mcfadden": "R² (McFadden)",
    "tjur-r2": "R² (Tjur)",
    "idi": "IDI",
    "o'quigley-xu-stare": "R² (O’Quigley–Xu–Stare)",
    "in-the-large": "in the large",
    "lambda gc": "λGC",
    "pi0": "π₀",
}
"""Labels of the closed list that are names of tests and measures, as they are written."""

_P_OF_REFIT = {
    "refit_estimate": "refit β",
    "refit_se": "SE of the refit",
    "refit": "refitted by",
    "estimate": "one-step β",
}
_LOG_RATIO = {"estimate": "β"}

TABLE_WORDS: Mapping[str, TableWords] = {
    # Cohort
    "flow": TableWords(
        "Flow of patients",
        "From the patients read to the complete cases; each patient is counted once, at the first reason that applies.",
    ),
    "table1_numbers": TableWords(
        "Table 1, numbers",
        "Measured values by hospital and outcome; percentiles only where at least 10 patients lie beyond.",
    ),
    "table1_levels": TableWords("Table 1, levels", "Patients at each level of a factor, by hospital and outcome."),
    "missingness": TableWords(
        "Missing values",
        "Missing values of each factor by hospital, among all patients read.",
        {"rows": "patients read"},
    ),
    "plausibility": TableWords(
        "Plausibility and units",
        "Values outside plausible limits, and hospitals whose values look as if they were in another unit.",
    ),
    "adequacy": TableWords(
        "Adequacy of the sample size",
        "What Riley's criteria and events per parameter demand for a model of this size, in round numbers.",
    ),
    # Model
    "tests": TableWords(
        "Tests of terms",
        "Tests of all columns of a term together, of the non-linear part of splines, and of interactions.",
    ),
    "profile_intervals": TableWords(
        "Profile-likelihood intervals",
        "Intervals from the likelihood itself; trust these where they differ from those of the table of weights.",
        _LOG_RATIO,
        ratio=True,
    ),
    "robust": TableWords(
        "Robust standard errors",
        "The same weights with standard errors that don't rely on the model's variance: a sensitivity analysis.",
        _LOG_RATIO,
        ratio=True,
    ),
    "knots": TableWords("Knots of the splines", "Where the cubic pieces of each spline meet.", {"at": "value"}),
    "curves": TableWords(
        "Curves of the splines",
        "The association along the factor's values, against the reference value; the interval is for each point alone.",
        {"at": "value", "reference": "reference value", "estimate": "β against the reference"},
        ratio=True,
    ),
    "additive_interaction": TableWords(
        "Interaction on the additive scale",
        "Whether two factors together are associated with more or less than the sum of their separate excesses.",
    ),
    # Survival
    "proportional_hazards": TableWords(
        "Test of proportional hazards",
        "Whether a hazard ratio changes over time, by scaled Schoenfeld residuals; a small p speaks against one ratio.",
    ),
    "survival": TableWords(
        "Survival over time",
        "Kaplan–Meier estimates at round times: the dots; lines between them only guide the eye.",
    ),
    "cumulative_incidence": TableWords(
        "Cumulative incidence",
        "Aalen–Johansen estimates at round times, the dots, of the share with each event; lines only guide the eye.",
    ),
    "group_tests": TableWords(
        "Tests between hospitals", "Gray's test of equal cumulative incidence in all hospitals, for each event."
    ),
    "hazards": TableWords(
        "Hazards of each event",
        "Cause-specific hazards are for aetiology, subdistribution hazards (Fine and Gray) for absolute risk.",
        _LOG_RATIO,
        ratio=True,
        hazard=True,
    ),
    # Weights
    "weights_per_sd": TableWords(
        "Weights per standard deviation",
        "The model's weights per standard deviation, with bootstrap intervals of value and rank.",
        _LOG_RATIO,
        ratio=True,
    ),
    "partial_chi2": TableWords(
        "Partial χ²",
        "How much the fit loses without the term, beyond what its degrees of freedom would give by chance.",
    ),
    "dominance": TableWords(
        "General dominance (Shapley shares)",
        "The term's mean gain in R² over all sets of the other terms, as a share of the whole.",
        {"r2": "gain in R²"},
    ),
    "attributable_fraction": TableWords(
        "Attributable fraction",
        "The share of events that the model would not expect if all had the reference value; "
        "it presumes what no model can show, that the association is one of cause.",
    ),
    "bootstrap": TableWords("Bootstrap", "How many resamples of patients within hospitals the intervals rest on."),
    # Heterogeneity
    "hospital_estimates": TableWords(
        "Each hospital's own estimates",
        "The same model in each hospital alone; one that the disclosure rules don't let stand alone shows nothing.",
        _LOG_RATIO,
        ratio=True,
    ),
    "meta_analysis": TableWords(
        "Pooled estimates",
        "Hospitals' own estimates pooled with fixed and random effects; only hospitals that are shown enter.",
        {**_LOG_RATIO, "model": "pooled by", "q": "Q", "prediction": "prediction interval of β"},
        ratio=True,
    ),
    "hospital_interactions": TableWords(
        "Tests of equal weights in all hospitals",
        "Whether a term's weight differs between the hospitals shown by more than chance, in one model of all.",
    ),
    "left_out_hospital": TableWords(
        "Leaving out one hospital at a time",
        "How a model fitted on the other hospitals predicts in the one left out.",
    ),
    "left_out_summary": TableWords(
        "Summary over the hospitals left out", "The same measures pooled, with what to expect in a new hospital."
    ),
    # Performance
    "discrimination": TableWords(
        "Discrimination",
        "How well the model ranks patients; apparent on its own patients, and corrected for optimism by the bootstrap.",
    ),
    "accuracy": TableWords("Accuracy", "Distance of predictions from outcomes, and explained variation."),
    "calibration": TableWords(
        "Calibration", "Whether predicted risks are right on average (in the large: 0) and in their spread (slope: 1)."
    ),
    "calibration_groups": TableWords(
        "Calibration in groups", "Mean predicted and observed risk in groups of patients of rising predicted risk."
    ),
    "calibration_curve": TableWords("Calibration curve", "Smoothed observed risk along the predicted risk."),
    "roc": TableWords(
        "ROC curve",
        "Sensitivity and specificity at released thresholds, each with at least 10 patients on either side.",
        {"above": "patients above", "below": "patients below"},
    ),
    "net_benefit": TableWords(
        "Net benefit",
        "True positives less false positives weighed by the threshold, per patient; treating none gives 0.",
    ),
    # Increment
    "increment_cohort": TableWords(
        "Patients of the increment", "Who enters the comparison: those for whom the base model can be worked out."
    ),
    "increment_tests": TableWords(
        "Tests of the new factors",
        "Tests of the new factors' coefficients given the base model; no test compares two AUCs.",
    ),
    "increment": TableWords(
        "What the new factors add",
        "The model with the new factors against the base model; reclassification apart for events and non-events.",
        {"estimate": "difference"},
    ),
    "increment_discrimination": TableWords("Discrimination of both models", "AUC without and with the new factors."),
    "increment_net_benefit": TableWords("Net benefit of both models", "Net benefit per patient at each threshold."),
    "score_calibration": TableWords(
        "The published score in these patients", "Calibration of the score as published, before any recalibration."
    ),
    # Selection
    "elastic_net": TableWords(
        "Elastic net",
        "Penalised coefficients per standard deviation, shrunken on purpose: they have no interval and no p-value.",
        {"beta_per_sd_min": "β per SD at the best penalty", "beta_per_sd_1se": "β per SD at the one-SE penalty"},
    ),
    "stability": TableWords("Stability selection", "How often the penalised fit takes a factor up in random halves."),
    "selection_summary": TableWords("Summary of the selection", "Settings and bounds of the selection."),
    # Screening
    "screen_summary": TableWords(
        "Summary of the screen", "Candidates tested and refused, and the state of the p-values."
    ),
    "screen_hits": TableWords(
        "Candidates that passed",
        "Score tests adjusted for the plan's factors, smallest p first, then a full refit of each.",
        _P_OF_REFIT,
        ratio=True,
    ),
    "screen_families": TableWords("Families of candidates", "Joint score tests of families of candidates."),
    "screen_qq": TableWords("Quantiles of the screen", "Expected and observed −log10 p."),
    # Missing data
    "imputation": TableWords(
        "Multiple imputation",
        "Weights pooled over imputed datasets by Rubin's rules, with t intervals on their degrees of freedom.",
        _LOG_RATIO,
        ratio=True,
    ),
    "complete_cases": TableWords(
        "Complete cases only",
        "The same model on patients without a gap: where it differs, the reasons for the gaps matter.",
        _LOG_RATIO,
        ratio=True,
    ),
    "missing_patterns": TableWords("Patterns of missing values", "Which values are missing together."),
    "chains": TableWords("Convergence of the imputation", "Between-chain against within-chain spread; near 1 is good."),
}


def table_words(name: str) -> TableWords:
    """Return a table's words; for one that this version has none for, its own name."""
    return TABLE_WORDS.get(name) or TableWords(name.replace("_", " ").capitalize(), "A table of the closed list.")


def label_words(label: str) -> str:
    """Return how a name of a test or measure is written."""
    return LABELS.get(label, label)


def heading_words(words: TableWords, column: str) -> str:
    """Return the heading of a column, by the table's own list, then by the common one, then by its name."""
    return words.headings.get(column) or HEADINGS.get(column) or column.replace("_", " ")
