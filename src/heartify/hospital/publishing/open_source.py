"""Open what the hospital has as rows, one a patient: directly, or by a mapping file for records of events."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heartify.cohort.dictionary_toml import load_steward_dictionary
from heartify.cohort.rows import PatientRows
from heartify.cohort.sources.open_rows import open_rows
from heartify.cohort.sources.source_options import SourceOptions
from heartify.cohort.steward_dictionary import StewardDictionary

NO_OPTIONS = SourceOptions()


@dataclass(frozen=True, slots=True)
class CohortSource:
    """What a steward names: the source, its dictionary, how it is written, and the mapping of events if there is one.

    `source` is a file, a folder or a database's URL without a password.
    """

    source: str
    dictionary: Path
    options: SourceOptions = NO_OPTIONS
    mapping: Path | None = None


@contextlib.contextmanager
def open_source(cohort: CohortSource, work_folder: Path) -> Iterator[tuple[PatientRows, StewardDictionary]]:
    """Yield the rows and the steward's dictionary; connections and plaintext on disk are gone afterwards.

    `work_folder` is where records of events are joined when they don't fit in memory.

    Raises:
        InputError: the dictionary, the mapping or the source can't be read or is wrong.
        UsageError: an option doesn't belong to the source.
    """
    steward = load_steward_dictionary(cohort.dictionary)
    with contextlib.ExitStack() as stack:
        if cohort.mapping is None:
            rows = open_rows(cohort.source, steward, cohort.options)
        else:
            # Late, because it brings a database engine with it.
            from heartify.cohort.events.event_rows import open_events
            from heartify.cohort.events.mapping import load_mapping

            mapping = load_mapping(cohort.mapping)
            work_folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=work_folder)))
            rows = open_events(
                cohort.source, mapping, steward, work_folder=folder, password_file=cohort.options.password_file
            )
        close = getattr(rows, "close", None)
        if close is not None:
            stack.callback(close)
        yield rows, steward
