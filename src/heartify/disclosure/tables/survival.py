"""Tables of survival analyses: proportional hazards, survival and cumulative incidence, hazards of each cause.

Curves come at round times on one grid for all groups of a study, chosen so that no step between two shown times, and
no difference between groups, is of fewer than ten events (enclave/analyses/survival_grid.py).
"""

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
)

_TEST = (chi_square(), number("df"), p_value(of="chi2", df="df"))
_CURVE = (label("group"), label("cause"), magnitude("time"), count("at_risk"))
_MAX_CURVE_ROWS = 800

SURVIVAL_TABLES = (
    TableSpec("proportional_hazards", (label("term"), label("transform"), *_TEST)),
    TableSpec(
        "survival",
        (*_CURVE, index("survival"), index("ci_low"), index("ci_high")),
        needs=("at_risk",),
        max_rows=_MAX_CURVE_ROWS,
    ),
    TableSpec(
        "cumulative_incidence",
        (*_CURVE, index("incidence"), index("ci_low"), index("ci_high")),
        needs=("at_risk",),
        max_rows=_MAX_CURVE_ROWS,
    ),
    TableSpec("group_tests", (label("cause"), *_TEST)),
    TableSpec("hazards", (label("model"), label("factor"), *estimate(), p_value(of="estimate"))),
)
