"""Tables about the fitted model itself: tests of terms, profile intervals, curves of splines, sensitivity."""

from __future__ import annotations

from heartify.disclosure.tables.spec import (
    TableSpec,
    chi_square,
    count,
    estimate,
    index,
    label,
    magnitude,
    number,
    p_value,
    statistic,
)

_EFFECT = (label("factor"), *estimate(), p_value(of="estimate"))

MODEL_TABLES = (
    TableSpec(
        "tests",
        (label("term"), label("hypothesis"), label("test"), chi_square(), number("df"), p_value(of="chi2", df="df")),
    ),
    TableSpec("profile_intervals", (label("factor"), *estimate(), chi_square(), p_value(of="chi2"))),
    TableSpec("robust", (label("errors"), *_EFFECT)),
    TableSpec("complete_cases", _EFFECT),
    TableSpec("knots", (label("factor"), number("knot"), magnitude("at"))),
    TableSpec("curves", (label("factor"), magnitude("at"), magnitude("reference"), *estimate())),
    TableSpec("additive_interaction", (label("interaction"), label("measure"), *estimate())),
    TableSpec(
        "imputation",
        (label("factor"), number("imputations"), *estimate(), p_value(), index("missing_information"), statistic("df")),
    ),
    TableSpec("missing_patterns", (label("missing"), count("n"))),
    TableSpec("chains", (label("factor"), statistic("rhat"))),
    TableSpec("elastic_net", (label("factor"), index("beta_per_sd_min"), index("beta_per_sd_1se"))),
    TableSpec("stability", (label("factor"), index("frequency"), label("selected"))),
    TableSpec("selection_summary", (label("measure"), statistic("value"))),
)
