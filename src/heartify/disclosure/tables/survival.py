"""Tables of survival analyses: proportional hazards, survival and cumulative incidence, hazards of each cause."""

from __future__ import annotations

from heartify.disclosure.tables.spec import (
    TableSpec,
    count,
    estimate,
    index,
    label,
    magnitude,
    number,
    p_value,
    statistic,
)

_CURVE = (magnitude("time"), count("at_risk"))

SURVIVAL_TABLES = (
    TableSpec(
        "proportional_hazards",
        (label("term"), label("transform"), statistic("chi2"), number("df"), p_value()),
    ),
    TableSpec(
        "survival",
        (label("group"), *_CURVE, index("survival"), index("ci_low"), index("ci_high")),
        needs=("at_risk",),
    ),
    TableSpec(
        "cumulative_incidence",
        (label("group"), label("cause"), *_CURVE, index("incidence"), index("ci_low"), index("ci_high")),
        needs=("at_risk",),
    ),
    TableSpec("group_tests", (label("cause"), statistic("chi2"), number("df"), p_value())),
    TableSpec("hazards", (label("model"), label("factor"), *estimate(), p_value())),
)
