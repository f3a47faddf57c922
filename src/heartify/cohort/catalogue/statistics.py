"""`statistics.json`: what a catalogue shows about a dataset version's columns, rounded and with small counts left out.

Public, canonical JSON, parsed strictly. Whoever reads one trusts nothing: a document that breaks a disclosure rule is
refused, whoever made it. It must never hold an exact count, a minimum, a maximum or a single patient's value.

Sources: rules 9 and 11 of SDC profile 1 (docs/explanation/disclosure-rules.md); docs/reference/catalogue.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heartify.protocol.canonical import Digest, encode_canonical, parse_canonical
from heartify.protocol.dictionary import MAX_COLUMNS, MAX_LEVELS

STATISTICS_FILE = "statistics.json"
STATISTICS_FORMAT: Literal["heartify.statistics/1"] = "heartify.statistics/1"

ShownCount = Annotated[int, msgspec.Meta(ge=10, lt=2**53, multiple_of=5)]
"""Patients, to the nearest 5 and at least 10. A count that may not be shown is left out: 0 to 9, or protecting one."""

Year = Annotated[int, msgspec.Meta(ge=1, le=9999)]
Percent = Annotated[int, msgspec.Meta(ge=0, le=100)]


class LevelCount(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Patients in one level of a category, or in `false` and `true` of a boolean; no `n` where it may not be shown."""

    code: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    n: ShownCount | None = None


class ColumnStatistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One column; a field is left out where its rule doesn't let it be shown.

    `missing` is a count and `missing_percent` is derived from it and the rounded number of patients. `p05`, `median`
    and `p95` are whole multiples of `step`; `mean` and `sd` have 3 significant digits. All are in the dictionary's
    unit. At least 10 patients have a date in or before `first_year`, and as many in or after `last_year`.
    """

    name: str
    missing: ShownCount | None = None
    missing_percent: Percent | None = None
    step: float | None = None
    p05: float | None = None
    median: float | None = None
    p95: float | None = None
    mean: float | None = None
    sd: float | None = None
    first_year: Year | None = None
    last_year: Year | None = None
    levels: Annotated[tuple[LevelCount, ...], msgspec.Meta(max_length=MAX_LEVELS)] = ()


class DatasetStatistics(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All published columns of a dataset version; `n` is the number of patients, to the nearest 5, 0 below 10."""

    dataset: Digest
    n: Annotated[int, msgspec.Meta(ge=0, lt=2**53, multiple_of=5)]
    columns: Annotated[tuple[ColumnStatistics, ...], msgspec.Meta(max_length=MAX_COLUMNS)]
    format: Literal["heartify.statistics/1"] = STATISTICS_FORMAT

    def column(self, name: str) -> ColumnStatistics | None:
        """Return the column of that name; None when the steward left it out."""
        return next((column for column in self.columns if column.name == name), None)


def encode_statistics(statistics: DatasetStatistics) -> bytes:
    """Return the canonical bytes."""
    return encode_canonical(statistics)


def load_statistics(data: bytes) -> DatasetStatistics:
    """Parse a statistics document and verify that it keeps the disclosure rules.

    Raises:
        DocumentError: it is malformed, unknown or not canonical.
        DisclosureError: it shows what the rules forbid.
    """
    from heartify.cohort.catalogue.statistics_rules import verify_statistics

    statistics = parse_canonical(data, DatasetStatistics)
    verify_statistics(statistics)
    return statistics
