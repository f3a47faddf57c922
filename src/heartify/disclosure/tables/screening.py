"""Tables of a screen: its summary, the candidates that passed, families of candidates, and the QQ plot."""

from __future__ import annotations

from heartify.disclosure.tables.spec import (
    TableSpec,
    count,
    estimate,
    index,
    label,
    number,
    p_value,
    statistic,
)

SCREENING_TABLES = (
    TableSpec("screen_summary", (label("measure"), statistic("value"))),
    TableSpec(
        "screen_hits",
        (
            label("candidate"),
            count("n"),
            *estimate(),
            p_value(),
            p_value("q"),
            index("i2"),
            p_value("heterogeneity_p"),
            label("refit"),
            *estimate("refit_estimate", prefix="refit_"),
        ),
        needs=("n",),
        max_rows=200,
    ),
    TableSpec(
        "screen_families",
        (label("family"), number("candidates"), statistic("chi2"), number("df"), p_value(), p_value("q")),
    ),
    TableSpec(
        "screen_qq",
        (statistic("expected"), statistic("observed"), statistic("band_low"), statistic("band_high")),
        max_rows=200,
    ),
)
