"""Tables that describe the cohort: flow of exclusions, Table 1, missingness, plausibility, adequacy."""

from __future__ import annotations

from heartify.disclosure.tables.spec import TableSpec, count, fine_index, index, label, magnitude, number, statistic

MAX_ROWS = 600

COHORT_TABLES = (
    TableSpec("flow", (label("hospital"), label("step"), count("n")), max_rows=MAX_ROWS),
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
        max_rows=MAX_ROWS,
    ),
    TableSpec(
        "table1_levels",
        (label("hospital"), label("group"), label("factor"), label("level"), count("n")),
        max_rows=MAX_ROWS,
    ),
    TableSpec(
        "missingness",
        (label("hospital"), label("factor"), count("rows"), count("missing"), index("share")),
        # Beside a hidden count of missing values stands no share of them.
        needs=("missing",),
        max_rows=MAX_ROWS,
    ),
    TableSpec(
        "plausibility",
        (label("hospital"), label("column"), label("unit"), label("finding"), count("n")),
        max_rows=MAX_ROWS,
    ),
    TableSpec(
        "adequacy",
        (
            label("criterion"),
            label("basis"),
            fine_index("r2"),
            number("required"),
            statistic("available"),
            label("unit"),
            label("verdict"),
        ),
    ),
)
