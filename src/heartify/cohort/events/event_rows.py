"""A PatientRows of OMOP or FHIR events: read once, derived out of core, kept until closed, then gone.

`open_events` makes one. The first iteration reads the source and derives; later ones read the same rows again, so the
survey and the encryption see one cohort. When the source changes in between, that is noticed and refused. Plaintext
that doesn't fit into memory lies in a private folder inside the work folder, which is removed in any case.
"""

from __future__ import annotations

import hashlib
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import pyarrow as pa

from heartify.cohort.events.derivation import EXCLUSIONS, Derivation
from heartify.cohort.events.event_source import EventSource, Loaded, ReportFraction, open_source
from heartify.cohort.events.event_store import EventStore
from heartify.cohort.events.index_dates import find_index_dates, number_patients
from heartify.cohort.events.mapping import Mapping
from heartify.cohort.events.mapping_checks import check_mapping
from heartify.cohort.events.needs import find_needs
from heartify.cohort.events.outcomes import find_outcomes, follow_up
from heartify.cohort.events.rows_of_patients import add_column, batches_of, build_rows, count_columns
from heartify.cohort.events.work_folder import PrivateFolder
from heartify.cohort.steward_dictionary import StewardDictionary
from heartify.errors import InputError
from heartify.protocol.dictionary import DataDictionary

MEMORY_BYTES = 1024**3
THREADS = 2
LOADING_SHARE = 0.8
"""Of the first iteration, about this much is reading the source."""

_WORK_TABLES = ("person", "death", "period", "contact", "event", "record", "patient", "dead", "observed", "happening")


class EventRows:
    """Rows derived from events. Close it, or use it in a `with` statement: it holds memory and disk until then."""

    def __init__(
        self,
        source: EventSource,
        mapping: Mapping,
        dictionary: DataDictionary,
        *,
        work_folder: Path,
        memory_bytes: int = MEMORY_BYTES,
        report: ReportFraction | None = None,
    ) -> None:
        self._source, self._mapping, self._dictionary = source, mapping, dictionary
        self._work_folder, self._memory_bytes, self._tell = work_folder, memory_bytes, report
        self._store: EventStore | None = None
        self._close: weakref.finalize[..., EventRows] | None = None
        self._derived_from: str | None = None
        self._derivation: Derivation | None = None
        self._fraction: float | None = 0.0

    @property
    def name(self) -> str:
        """What messages call it."""
        return self._source.name

    @property
    def dictionary(self) -> DataDictionary:
        """The dictionary that every batch follows."""
        return self._dictionary

    @property
    def derivation(self) -> Derivation | None:
        """The report for the steward; None before the first iteration."""
        return self._derivation

    def fingerprint(self) -> str | None:
        """Return a digest over the source's files, the mapping and the dictionary; None for a database."""
        source = self._source.fingerprint()
        if source is None:
            return None
        text = f"{source}\0{self._dictionary.digest()}\0".encode() + msgspec.json.encode(self._mapping)
        return hashlib.sha256(text).hexdigest()

    def fraction_read(self) -> float | None:
        """Return how much of the running iteration is done; None for a database that is still being read."""
        return self._fraction

    def batches(self, start_row: int = 0) -> Iterator[pa.RecordBatch]:
        """Yield rows in table form, in the order of patients' keys.

        Raises InputError when the source is wrong, empty, or changed since the first iteration; ServiceError when a
        database, memory or disk fail.
        """
        fingerprint = self.fingerprint()
        if self._store is None:
            self._derive()
            self._derived_from = fingerprint
        if self._store is None or self._derivation is None or fingerprint != self._derived_from:
            raise InputError(f"{self.name}: the source changed since it was read first", hint="start again")
        share = LOADING_SHARE if self._fraction is None else min(self._fraction, LOADING_SHARE)
        rows, done = self._derivation.rows, start_row
        for batch in batches_of(self._store, self._dictionary, start_row, rows):
            done += batch.num_rows
            self._fraction = share + (1 - share) * done / rows
            yield batch
        self._fraction = 0.0  # the next iteration has nothing to load

    def close(self) -> None:
        """Forget the derived rows and remove what lies in the work folder."""
        if self._close is not None:
            self._close()
        self._store, self._close, self._derivation = None, None, None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _derive(self) -> None:
        folder = PrivateFolder(self._work_folder)
        try:
            store = EventStore(folder.path, memory_limit_bytes=self._memory_bytes, threads=THREADS)
        except BaseException:
            folder.close()
            raise
        self._store, self._close = store, weakref.finalize(self, _close, store, folder)
        try:
            self._derivation = self._fill(store)
        except BaseException:
            self.close()
            raise

    def _fill(self, store: EventStore) -> Derivation:
        needs = find_needs(self._mapping, self._dictionary)
        loaded = self._source.load(self._mapping, needs, store, self._report)
        number_patients(store, self._mapping)
        find_outcomes(store, self._mapping, needs)
        find_index_dates(store, self._mapping, needs)
        incomplete = follow_up(store, self._mapping)
        counts: dict[str, Counter[str]] = {}
        store.run("CREATE TABLE value (patient INTEGER, number INTEGER, value DOUBLE)")
        for rule in self._mapping.columns:
            counts[rule.name] = add_column(store, self._mapping, rule, needs, self._dictionary)
        rows = build_rows(store, self._dictionary)
        derivation = _report(store, self._mapping, self._dictionary, loaded, incomplete, rows, counts)
        if not rows:
            raise InputError(f"{self.name}: no patient is left", hint="who was left out and why:\n" + derivation.text())
        for table in _WORK_TABLES:
            store.run(f"DROP TABLE {table}")
        return derivation

    def _report(self, fraction: float | None) -> None:
        self._fraction = None if fraction is None else LOADING_SHARE * min(fraction, 1.0)
        if self._tell is not None:
            self._tell(self._fraction)


def open_events(
    source: str,
    mapping: Mapping,
    steward: StewardDictionary,
    *,
    work_folder: Path,
    password_file: Path | None = None,
    memory_bytes: int = MEMORY_BYTES,
    report: ReportFraction | None = None,
) -> EventRows:
    """Open a folder of OMOP tables or FHIR files, or an OMOP database, as rows of patients.

    `source` is a folder, or a SQLAlchemy address without a password. Nothing but names and columns is read yet.
    `report` is told the fraction done while the source is read, before the first batch comes.

    Raises InputError when mapping, dictionary and source do not fit together.
    """
    check_mapping(mapping, steward.dictionary)
    return EventRows(
        open_source(source, mapping, password_file),
        mapping,
        steward.dictionary,
        work_folder=work_folder,
        memory_bytes=memory_bytes,
        report=report,
    )


def _close(store: EventStore, folder: PrivateFolder) -> None:
    store.close()
    folder.close()


def _report(
    store: EventStore,
    mapping: Mapping,
    dictionary: DataDictionary,
    loaded: Loaded,
    incomplete: int,
    rows: int,
    counts: dict[str, Counter[str]],
) -> Derivation:
    excluded = dict.fromkeys(EXCLUSIONS, 0)
    for status, patients in store.rows("SELECT status, count(*) FROM entry WHERE status <> 'eligible' GROUP BY status"):
        if isinstance(status, str) and isinstance(patients, int):
            excluded[status] = patients
    excluded["follow-up-incomplete"] = incomplete
    ignored = Counter(loaded.ignored)
    for table in ("event", "death", "period"):
        unknown = f"SELECT count(*) FROM {table} ANTI JOIN patient USING (key)"  # noqa: S608 - a name of ours
        ignored["of-unknown-patients"] += store.count(unknown)
    return Derivation(
        patients=store.count("SELECT count(*) FROM patient"),
        rows=rows,
        excluded=excluded,
        ignored={reason: count for reason, count in sorted(ignored.items()) if count},
        codes_not_found=loaded.codes_not_found,
        columns=count_columns(store, mapping, dictionary, counts),
    )
