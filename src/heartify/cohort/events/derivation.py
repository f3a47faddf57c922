"""The report of a derivation: who was left out and why, and what became of each column's events. Counts only.

It is made for the steward and stays in the hospital: small counts stand in it as they are.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

EXCLUSIONS: dict[str, str] = {
    "death-before-birth": "died before birth: the dates contradict each other",
    "no-index-event": "nothing that the index rule looks for",
    "index-date-partial": "only month or year of the index event is known",
    "birth-unknown": "age limits, but no date of birth",
    "index-before-birth": "the index date is before birth",
    "not-under-observation": "the index date is outside every observation period",
    "history-too-short": "watched for too short a time before the index date",
    "too-young": "younger than the least age at the index date",
    "too-old": "older than the greatest age at the index date",
    "death-date-unknown": "dead, but nobody says since when",
    "died-before-index": "died before the index date",
    "outcome-before-index": "had an outcome at or before the index date",
    "follow-up-incomplete": "watched for less than the horizon, without the outcome",
}
COLUMN_COUNTS: dict[str, str] = {
    "events": "events with one of its codes",
    "without-value": "of these, without a value, or with an answer that the mapping doesn't list",
    "with-comparator": "known only as less or more than a value",
    "without-unit": "without a unit",
    "other-unit": "in a unit that doesn't convert",
    "converted": "converted to the column's unit",
    "outside-limits": "outside the dictionary's limits, and left out",
    "held-back": "inside the window, but not before the outcome: left out",
    "after-observation": "outcomes after the end of observation, and not counted",
    "uncertain": "outcomes of which it isn't known whether they came in time",
}


class ColumnDerivation(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one column: patients with and without a value, and counts of events by COLUMN_COUNTS."""

    known: int
    missing: int
    counts: Mapping[str, int]


class Derivation(msgspec.Struct, frozen=True, kw_only=True):
    """The report. `ignored`: resources or rows of the source that were left out, by reason."""

    patients: int
    rows: int
    excluded: Mapping[str, int]
    ignored: Mapping[str, int]
    codes_not_found: tuple[str, ...]
    columns: Mapping[str, ColumnDerivation]

    def text(self) -> str:
        """Return the report for people."""
        lines = [f"{self.patients} patients read, {self.rows} rows made"]
        lines += [f"  {count} left out: {EXCLUSIONS[reason]}" for reason, count in self.excluded.items() if count]
        lines += [f"  {count} records ignored: {reason.replace('-', ' ')}" for reason, count in self.ignored.items()]
        lines += [f"  no concept is known for {code}" for code in self.codes_not_found]
        for name, column in self.columns.items():
            lines.append(f"{name}: {column.known} known, {column.missing} missing")
            lines += [f"  {count} {COLUMN_COUNTS[key]}" for key, count in column.counts.items() if count]
        return "\n".join(lines)
