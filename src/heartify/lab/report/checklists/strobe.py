"""The 22 items of STROBE for observational studies, their topics in our own words, and where a report answers them."""

from __future__ import annotations

from heartify.lab.report.checklists.checklist import GuidelineItem as Item

STROBE: tuple[Item, ...] = (
    Item("1", "title and abstract", (), "name the design; a balanced summary"),
    Item("2", "background and rationale", (), "all of it"),
    Item("3", "objectives and hypotheses", ("plan",), "the hypotheses behind the plan"),
    Item("4", "design", ("plan",), "cohort, case-control or cross-sectional: the hospitals' data decide it"),
    Item("5", "setting, places, dates", ("hospitals",), "places and dates of recruitment, exposure and follow-up"),
    Item("6", "participants: eligibility, follow-up", ("table-flow", "plan"), "criteria applied before publishing"),
    Item("7", "variables: outcomes, exposures, confounders", ("plan", "adjustment"), "which factors confound which"),
    Item("8", "sources and measurement of each variable", ("plan", "table-plausibility"), "methods of measurement"),
    Item("9", "efforts against bias", ("limits", "adjustment"), "bias of selection and measurement"),
    Item("10", "study size", ("table-adequacy", "answer"), "how it was arrived at"),
    Item("11", "quantitative variables", ("plan", "table-knots"), "reasons for the forms chosen"),
    Item("12a", "statistical methods, confounding", ("plan", "adjustment")),
    Item("12b", "subgroups and interactions", ("plan", "products", "group-heterogeneity")),
    Item("12c", "missing data", ("plan", "group-missing")),
    Item("12d", "losses to follow-up, matching or sampling", ("limits",), "losses to follow-up; sampling, if any"),
    Item("12e", "sensitivity analyses", ("table-robust", "table-profile-intervals", "table-complete-cases")),
    Item("13", "numbers at each stage, reasons, flow", ("table-flow", "hospitals")),
    Item("14a", "characteristics of participants", ("table-table1-numbers", "table-table1-levels")),
    Item("14b", "missing values of each variable", ("table-missingness",)),
    Item("14c", "time of follow-up", ("table-survival",), "its median and total"),
    Item("15", "numbers of outcome events", ("answer", "hospitals")),
    Item(
        "16a", "estimates with intervals, adjusted", ("weights", "adjustment"), "unadjusted estimates aren't computed"
    ),
    Item("16b", "boundaries of categories", ("plan", "table-table1-levels")),
    Item(
        "16c", "absolute rather than relative risk", ("table-cumulative-incidence", "table-survival"), "where relevant"
    ),
    Item("17", "other analyses", ("group-model", "group-scales", "group-heterogeneity", "group-screening")),
    Item("18", "key results", ("answer",), "in the light of the objectives"),
    Item("19", "limitations", ("limits",), "direction and size of possible bias"),
    Item("20", "interpretation", ("limits",), "the discussion"),
    Item("21", "generalisability", ("table-meta-analysis", "table-left-out-summary"), "the discussion"),
    Item("22", "funding", (), "all of it"),
)
