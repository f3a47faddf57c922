"""Tables of how hospitals differ: own estimates, their pooling, tests, and validation in a hospital left out."""

from __future__ import annotations

from heartify.disclosure.cells import Kind
from heartify.disclosure.tables.spec import (
    Column,
    TableSpec,
    chi_square,
    count,
    estimate,
    index,
    label,
    number,
    p_value,
    statistic,
)

MAX_HOSPITAL_ESTIMATES = 1_000  # columns times hospitals

HETEROGENEITY_TABLES = (
    TableSpec(
        "hospital_estimates",
        (label("factor"), label("hospital"), label("status"), count("n"), *estimate()),
        needs=("n",),
        max_rows=MAX_HOSPITAL_ESTIMATES,
    ),
    TableSpec(
        "meta_analysis",
        (
            label("factor"),
            label("model"),
            number("hospitals"),
            *estimate(),
            statistic("tau2"),
            statistic("tau2_low"),
            statistic("tau2_high"),
            index("i2"),
            index("i2_low"),
            index("i2_high"),
            chi_square("q"),
            number("df"),
            p_value("q_p", of="q", df="df"),
            Column("prediction_low", Kind.BOUND, "se"),
            Column("prediction_high", Kind.BOUND, "se"),
        ),
    ),
    TableSpec(
        "hospital_interactions",
        (label("term"), label("test"), chi_square(), number("df"), p_value(of="chi2", df="df")),
    ),
    TableSpec(
        "left_out_hospital",
        (
            label("hospital"),
            label("status"),
            count("n"),
            count("events"),
            index("c"),
            index("c_low"),
            index("c_high"),
            *estimate("slope", prefix="slope_"),
            statistic("o_e"),
            statistic("o_e_low"),
            statistic("o_e_high"),
        ),
        needs=("n", "events"),
    ),
    TableSpec(
        "left_out_summary",
        (
            label("measure"),
            number("hospitals"),
            statistic("estimate"),
            statistic("ci_low"),
            statistic("ci_high"),
            statistic("prediction_low"),
            statistic("prediction_high"),
        ),
    ),
)
