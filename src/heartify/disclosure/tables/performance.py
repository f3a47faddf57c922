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

_NET_BENEFIT = (index("threshold"), fine_index("treat_all"))

PERFORMANCE_TABLES = (
    TableSpec(
        "discrimination",
        (label("measure"), label("evaluation"), index("value"), index("ci_low"), index("ci_high")),
    ),
    TableSpec(
        "accuracy",
        (label("measure"), label("evaluation"), fine_index("value"), fine_index("ci_low"), fine_index("ci_high")),
    ),
    TableSpec("calibration", (label("measure"), label("evaluation"), *estimate())),
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
        max_rows=50,
    ),
    TableSpec(
        "roc",
        (index("threshold"), count("above"), count("below"), index("sensitivity"), index("specificity")),
        needs=("above", "below"),
        max_rows=20,
    ),
    TableSpec("net_benefit", (*_NET_BENEFIT, fine_index("model")), max_rows=20),
    TableSpec("increment_tests", (label("test"), statistic("chi2"), number("df"), p_value())),
    TableSpec("increment", (label("measure"), label("group"), *estimate())),
    TableSpec("increment_discrimination", (label("model"), index("auc"), index("ci_low"), index("ci_high"))),
    TableSpec(
        "increment_net_benefit",
        (*_NET_BENEFIT, fine_index("base"), fine_index("new")),
        max_rows=20,
    ),
    TableSpec("score_calibration", (label("measure"), *estimate())),
)
