"""Tables of how well the model predicts, and of what a new factor adds to it."""

from __future__ import annotations

from heartify.disclosure.tables.spec import (
    TableSpec,
    count,
    estimate,
    fine_index,
    index,
    label,
    number,
    p_value,
    statistic,
)

PERFORMANCE_TABLES = (
    TableSpec(
        "discrimination",
        (label("measure"), label("evaluation"), index("value"), index("ci_low"), index("ci_high")),
        max_rows=10,
    ),
    TableSpec(
        "accuracy",
        (label("measure"), label("evaluation"), fine_index("value"), fine_index("ci_low"), fine_index("ci_high")),
        max_rows=20,
    ),
    TableSpec("calibration", (label("measure"), label("evaluation"), *estimate()), max_rows=10),
    TableSpec(
        "calibration_groups",
        (
            number("group"),
            count("n"),
            count("events"),
            count("non_events"),
            index("predicted"),
            index("observed"),
        ),
        needs=("n", "events", "non_events"),
        max_rows=10,
    ),
    TableSpec(
        "calibration_curve",
        (index("predicted"), index("observed"), index("ci_low"), index("ci_high")),
        max_rows=25,
    ),
    TableSpec(
        "roc",
        (index("threshold"), count("above"), count("below"), index("sensitivity"), index("specificity")),
        needs=("above", "below"),
        max_rows=20,
    ),
    # Thresholds are the plan's: three decimals, so that 0.075 stays what it is.
    TableSpec(
        "net_benefit",
        (fine_index("threshold"), count("above"), count("below"), fine_index("treat_all"), fine_index("model")),
        needs=("above", "below"),
        max_rows=20,
    ),
    TableSpec("increment_cohort", (label("patients"), count("n")), max_rows=2),
    TableSpec(
        "increment_tests",
        (label("baseline"), label("test"), statistic("chi2"), number("df"), p_value()),
        max_rows=6,
    ),
    TableSpec("increment", (label("baseline"), label("measure"), label("group"), *estimate()), max_rows=30),
    TableSpec(
        "increment_discrimination",
        (label("baseline"), label("model"), label("measure"), index("value"), index("ci_low"), index("ci_high")),
        max_rows=10,
    ),
    TableSpec(
        "increment_net_benefit",
        (
            label("baseline"),
            fine_index("threshold"),
            count("above_base"),
            count("below_base"),
            count("above_new"),
            count("below_new"),
            fine_index("treat_all"),
            fine_index("base"),
            fine_index("new"),
        ),
        needs=("above_base", "below_base", "above_new", "below_new"),
        max_rows=60,
    ),
    TableSpec("score_calibration", (label("measure"), *estimate()), max_rows=5),
)
