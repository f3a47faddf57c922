"""The 27 items of TRIPOD+AI (BMJ 2024;385:e078378), their topics in our own words, and where a report answers them."""

from __future__ import annotations

from heartify.lab.report.checklists.checklist import GuidelineItem as Item

_MODEL = "the reasons for these choices"
_SCORE = ("table-increment-tests", "table-score-calibration")

TRIPOD_AI: tuple[Item, ...] = (
    Item("1", "title: prediction model, population, outcome", (), "name the design in the paper's title"),
    Item("2", "abstract", (), "see TRIPOD+AI for abstracts"),
    Item("3a", "context and rationale", (), "all of it"),
    Item("3b", "target population, intended use and users", (), "all of it"),
    Item("3c", "known inequalities between groups", (), "all of it"),
    Item("4", "objectives: development, evaluation or both", ("plan",), "whether the model is meant for use"),
    Item("5a", "sources of data", ("hospitals", "identifiers"), "how representative they are"),
    Item("5b", "dates of data and of follow-up", (), "dates of accrual: the enclave releases none"),
    Item("6a", "setting: number and place of centres", ("hospitals",), "where they are"),
    Item("6b", "eligibility", ("table-flow",), "criteria applied by hospitals before publishing"),
    Item("6c", "treatments received", (), "all of it"),
    Item(
        "7",
        "preparation and quality of data",
        ("table-plausibility", "table-missingness"),
        "work done before publishing",
    ),
    Item("8a", "outcome, horizon, how assessed", ("plan",), "how it was ascertained"),
    Item("8b", "qualification of those who assessed it", (), "all of it"),
    Item("8c", "blinding of the assessment", (), "all of it"),
    Item("9a", "choice of initial predictors", ("plan",), "the reasons for the choice"),
    Item("9b", "definition of predictors", ("plan",), "how and when they were measured"),
    Item("9c", "qualification of those who assessed predictors", (), "all of it"),
    Item("10", "sample size", ("table-adequacy", "answer"), "why this size"),
    Item("11", "missing data", ("group-missing", "table-missingness", "plan"), "why values are missing"),
    Item("12a", "use of data for development and evaluation", ("group-performance", "table-left-out-hospital")),
    Item("12b", "handling of predictors: form, transformation", ("plan", "table-knots"), _MODEL),
    Item("12c", "type of model, how it was built", ("plan", "table-selection-summary"), _MODEL),
    Item("12d", "heterogeneity between clusters", ("group-heterogeneity", "plan")),
    Item("12e", "measures of performance", ("group-performance", "group-increment")),
    Item("12f", "updating of a model", _SCORE, "whether any was meant"),
    Item("12g", "how predictions were calculated", ("table-score-calibration", "weights")),
    Item("13", "class imbalance", ("answer",), "none is corrected for: no resampling, no reweighting"),
    Item("14", "fairness", ("table-left-out-hospital",), "performance in subgroups of patients"),
    Item("15", "output of the model", ("weights",), "how a risk would be used; no threshold is fitted"),
    Item("16", "differences between training and evaluation", ("table-left-out-hospital",)),
    Item("17", "ethical approval", (), "approvals; the plan may name a permit"),
    Item("18a", "funding", (), "all of it"),
    Item("18b", "conflicts of interest", (), "all of it"),
    Item("18c", "protocol", ("plan", "identifiers"), "a longer protocol, if there is one"),
    Item("18d", "registration", ("identifiers",), "the plan's digest was fixed before payment"),
    Item(
        "18e", "sharing of data", ("identifiers",), "data stay with the hospitals; other labs may order the same study"
    ),
    Item("18f", "sharing of code", ("verification",), "the app release is public and its measurement is verified"),
    Item("19", "involvement of patients and public", (), "all of it"),
    Item("20a", "flow of participants, follow-up", ("table-flow", "hospitals", "table-survival")),
    Item(
        "20b", "characteristics of participants", ("table-table1-numbers", "table-table1-levels", "table-missingness")
    ),
    Item("20c", "comparison of development with evaluation data", ("table-table1-numbers", "table-left-out-hospital")),
    Item(
        "21", "numbers of participants and events in each analysis", ("answer", "hospitals", "table-left-out-hospital")
    ),
    Item("22", "the full model", ("weights", "hospitals", "table-curves"), "a Cox model's baseline isn't released"),
    Item("23a", "performance with intervals", ("group-performance", "group-increment")),
    Item("23b", "heterogeneity of performance", ("table-left-out-summary", "table-left-out-hospital")),
    Item("24", "results of updating", ("table-score-calibration",)),
    Item("25", "interpretation", ("limits",), "the discussion"),
    Item("26", "limitations", ("limits",), "those of design and data collection"),
    Item("27a", "poor or missing inputs at use", (), "all of it"),
    Item("27b", "interaction and expertise of users", (), "all of it"),
    Item("27c", "next steps, applicability", ("table-left-out-summary",), "the discussion"),
)
