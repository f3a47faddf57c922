"""Tables that describe the cohort: flow of exclusions, Table 1, missingness, plausibility, adequacy."""

from __future__ import annotations

from heartify.disclosure.tables.spec import (
    TableSpec,
    count,
    label,
    magnitude,
    number,
)

COHORT_TABLES = (
    TableSpec("flow", (label("hospital"), label("step"), count("n"))),
    TableSpec(
        "table1_numbers",
        (
            label("hospital"),
            label("group"),
            label("factor"),
            count("n"),
            magnitude("mean"),
            magnitude("sd"),
            magnitude("median"),
            magnitude("p05"),
            magnitude("p95"),
        ),
        needs=("n",),
    ),
    TableSpec("table1_levels", (label("hospital"), label("group"), label("factor"), label("level"), count("n"))),
    TableSpec("missingness", (label("hospital"), label("factor"), count("rows"), count("missing"))),
    TableSpec("plausibility", (label("hospital"), label("column"), label("finding"), count("n"))),
    TableSpec("adequacy", (label("criterion"), number("required"), label("unit"))),
)
