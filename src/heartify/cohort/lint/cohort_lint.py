"""All families of findings together, in the order in which a steward reads them: values, persons, identifiers.

A new family is added here and nowhere else. Findings of the same name are one finding.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator

from heartify.cohort.lint.batch_view import BatchView
from heartify.cohort.lint.deidentification import AgeAndDateWatch, lint_identifiers
from heartify.cohort.lint.findings import Finding
from heartify.cohort.lint.missing_codes import lint_missing_codes
from heartify.cohort.lint.paired_quantities import HeightWeightWatch, PressureOrderWatch
from heartify.cohort.lint.persons import EqualRowsWatch, IdWatch
from heartify.cohort.lint.plausibility import build_unit_watches, lint_unit_codes
from heartify.cohort.lint.sex_coding import lint_sex_coding
from heartify.cohort.lint.shapes import ConstantWatch, TimeWatch, lint_limits
from heartify.cohort.lint.singled_out import CombinationWatch, lint_rare_levels
from heartify.cohort.lint.watch import Seen, Watch
from heartify.protocol.dictionary import DataDictionary

Check = Callable[[DataDictionary, Seen], Iterator[Finding]]


class CohortLint:
    """Every watch and check of one cohort. `today` is None when nobody said which day it is."""

    def __init__(self, dictionary: DataDictionary, *, today: dt.date | None) -> None:
        self._dictionary = dictionary
        ids = [column.name for column in dictionary.columns if column.role == "id"]
        self._value_watches: tuple[Watch, ...] = (
            *build_unit_watches(dictionary),
            PressureOrderWatch(dictionary),
            HeightWeightWatch(dictionary),
            ConstantWatch(dictionary),
            TimeWatch(dictionary, today),
        )
        self._person_watches: tuple[Watch, ...] = (
            *(IdWatch(name) for name in ids),
            EqualRowsWatch(dictionary),
            AgeAndDateWatch(dictionary),
            CombinationWatch(dictionary),
        )
        self._value_checks: tuple[Check, ...] = (lint_unit_codes, lint_missing_codes, lint_limits, lint_sex_coding)
        self._person_checks: tuple[Check, ...] = (lint_identifiers, lint_rare_levels)

    def add(self, batch: BatchView) -> None:
        """Show a batch to every watch."""
        for watch in (*self._value_watches, *self._person_watches):
            watch.add(batch)

    def findings(self, seen: Seen) -> tuple[Finding, ...]:
        """Return what is suspicious, when every batch was shown."""
        found: dict[str, Finding] = {}
        for finding in self._all_findings(seen):
            found.setdefault(finding.name, finding)
        return tuple(found.values())

    def _all_findings(self, seen: Seen) -> Iterator[Finding]:
        for watches, checks in (
            (self._value_watches, self._value_checks),
            (self._person_watches, self._person_checks),
        ):
            for watch in watches:
                yield from watch.findings(seen)
            for check in checks:
                yield from check(self._dictionary, seen)
