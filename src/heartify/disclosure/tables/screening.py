"""Tables of a screen: its summary, the candidates that passed, families of candidates, and the QQ plot."""

from __future__ import annotations

from heartify.disclosure.tables.spec import (
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

SCREENING_TABLES = (
    TableSpec("screen_summary", (label("measure"), number("number"), statistic("value"))),
    TableSpec(
        "screen_hits",
        (
            label("candidate"),
            count("n"),
            *estimate(),
            p_value(of="estimate"),
            p_value("q"),
            number("hospitals"),
            chi_square("heterogeneity"),
            number("heterogeneity_df"),
            p_value("heterogeneity_p", of="heterogeneity", df="heterogeneity_df"),
            index("i2"),
            label("refit"),
            *estimate("refit_estimate", prefix="refit_"),
        ),
        needs=("n",),
        max_rows=200,
    ),
    TableSpec(
        "screen_families",
        (
            label("family"),
            number("candidates"),
            chi_square(),
            number("df"),
            p_value(of="chi2", df="df"),
            p_value("q"),
        ),
    ),
    TableSpec(
        "screen_qq",
        (statistic("expected"), statistic("observed"), statistic("band_low"), statistic("band_high")),
        max_rows=100,
    ),
)
