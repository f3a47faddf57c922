"""Open what the hospital has as rows, one a patient: directly, or by a mapping file for records of events."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heartify.cohort.dictionary_toml import load_steward_dictionary
from heartify.cohort.events.derivation import Derivation
from heartify.cohort.rows import PatientRows
from heartify.cohort.sources.open_rows import open_rows
from heartify.cohort.sources.source_options import SourceOptions
from heartify.cohort.steward_dictionary import StewardDictionary
from heartify.errors import UsageError
from heartify.hospital.publishing.terms import Report, report_nothing

NO_OPTIONS = SourceOptions()
_OPTIONS_OF_EVENTS = ("password_file",)
_SPELLED = {"table": "sql-table"}


@dataclass(frozen=True, slots=True)
class CohortSource:
    """What a steward names: the source, its dictionary, how it is written, and the mapping of events if there is one.

    `source` is a file, a folder or a database's URL without a password.
    """

    source: str
    dictionary: Path
    options: SourceOptions = NO_OPTIONS
    mapping: Path | None = None


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """Rows that can be read, the steward's dictionary, and how events were joined into rows, once they were read."""

    rows: PatientRows
    steward: StewardDictionary

    def derivation(self) -> Derivation | None:
        """Return the counts of a mapping: who was left out and why; None for rows that are one a patient already."""
        found: Derivation | None = getattr(self.rows, "derivation", None)
        return found


@contextlib.contextmanager
def open_source(cohort: CohortSource, work_folder: Path, report: Report = report_nothing) -> Iterator[OpenedSource]:
    """Yield the rows and the steward's dictionary; connections and plaintext on disk are gone afterwards.

    `work_folder` is where records of events are joined when they don't fit in memory; `report` is told how far that is.

    Raises:
        InputError: the dictionary, the mapping or the source can't be read or is wrong.
        UsageError: an option doesn't belong to the source.
    """
    steward = load_steward_dictionary(cohort.dictionary)
    with contextlib.ExitStack() as stack:
        if cohort.mapping is None:
            rows = open_rows(cohort.source, steward, cohort.options)
        else:
            rows = _open_events(cohort, cohort.mapping, steward, work_folder, report)
        close = getattr(rows, "close", None)
        if close is not None:
            stack.callback(close)
        yield OpenedSource(rows, steward)


def _open_events(
    cohort: CohortSource, mapping_file: Path, steward: StewardDictionary, work_folder: Path, report: Report
) -> PatientRows:
    # Late, because it brings a database engine with it.
    from heartify.cohort.events.event_rows import open_events
    from heartify.cohort.events.mapping import load_mapping

    _refuse_options_of_tables(cohort.options)
    work_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return open_events(
        cohort.source,
        load_mapping(mapping_file),
        steward,
        work_folder=work_folder,
        password_file=cohort.options.password_file,
        report=lambda fraction: report("joining", 0, fraction),
    )


def _refuse_options_of_tables(options: SourceOptions) -> None:
    """Refuse what says how a table is read: of events, the mapping says it, and an option without effect misleads."""
    for field in dataclasses.fields(options):
        if field.name not in _OPTIONS_OF_EVENTS and getattr(options, field.name) != field.default:
            raise UsageError(
                f"the option {_SPELLED.get(field.name, field.name)} has no meaning for a source with a mapping",
                hint="leave it out: the mapping file says what is read",
            )
