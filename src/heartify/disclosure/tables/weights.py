"""Tables that put the factors' weights on further scales, each with its bootstrap interval and rank."""

from __future__ import annotations

from heartify.disclosure.tables.spec import (
    TableSpec,
    chi_square,
    estimate,
    fine_index,
    index,
    label,
    magnitude,
    number,
    statistic,
)

_RANK = (number("rank"), number("rank_low"), number("rank_high"), index("first"))

WEIGHT_TABLES = (
    TableSpec("weights_per_sd", (label("term"), *estimate(), *_RANK)),
    TableSpec(
        "partial_chi2",
        (
            label("term"),
            chi_square(),
            number("df"),
            statistic("chi2_minus_df"),
            statistic("ci_low"),
            statistic("ci_high"),
            *_RANK,
        ),
    ),
    TableSpec(
        "dominance",
        (
            label("term"),
            label("measure"),
            fine_index("r2"),
            index("share"),
            index("ci_low"),
            index("ci_high"),
            *_RANK,
        ),
    ),
    TableSpec(
        "attributable_fraction",
        (
            label("term"),
            label("reference"),
            magnitude("at"),
            label("method"),
            index("fraction"),
            index("ci_low"),
            index("ci_high"),
        ),
    ),
    TableSpec("bootstrap", (label("measure"), number("value"))),
)
