"""The three places that events come from, with one face: a folder of FHIR files, a folder of OMOP tables, a database.

A source is only read. Its address and its path stand in no message.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from heartify.cohort.events.event_store import EventStore
from heartify.cohort.events.fhir_source import find_fhir_files, load_fhir
from heartify.cohort.events.mapping import Mapping
from heartify.cohort.events.needs import Needs
from heartify.cohort.events.omop_database import OmopDatabase
from heartify.cohort.events.omop_files import OmopFiles
from heartify.cohort.events.omop_source import load_omop
from heartify.errors import InputError

ReportFraction = Callable[[float | None], None]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What reading left out: records by reason, and codes that no concept is known for."""

    ignored: Counter[str]
    codes_not_found: tuple[str, ...]


class EventSource(Protocol):
    """Where events come from."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def fingerprint(self) -> str | None:
        """Return what changes when the source does; None when it can't tell."""
        ...

    def load(self, mapping: Mapping, needs: Needs, store: EventStore, report: ReportFraction) -> Loaded:
        """Read it into a store, reporting the fraction that is read."""
        ...


class FhirFolder:
    """A folder of a FHIR bulk export."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        find_fhir_files(folder)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self._folder.name

    def fingerprint(self) -> str:
        """Return a digest over names, sizes and times of the files."""
        return _digest_of_files(find_fhir_files(self._folder))

    def load(self, mapping: Mapping, needs: Needs, store: EventStore, report: ReportFraction) -> Loaded:
        """Read every file into the store."""
        del mapping
        files = find_fhir_files(self._folder)
        total = sum(path.stat().st_size for path in files) or 1
        return Loaded(load_fhir(files, needs, store, lambda done: report(done / total)), ())


class OmopFolder:
    """A folder of OMOP tables."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not OmopFiles(folder).files:
            raise InputError(
                f"{folder.name}: no table of OMOP", hint="expected files such as PERSON.csv or person.parquet"
            )

    @property
    def name(self) -> str:
        """The folder's name."""
        return self._folder.name

    def fingerprint(self) -> str:
        """Return a digest over names, sizes and times of the files."""
        return _digest_of_files(OmopFiles(self._folder).files)

    def load(self, mapping: Mapping, needs: Needs, store: EventStore, report: ReportFraction) -> Loaded:
        """Read the tables that the mapping needs into the store."""
        tables = OmopFiles(self._folder)
        total = sum(path.stat().st_size for path in tables.files) or 1
        not_found = load_omop(
            tables,
            needs,
            store,
            needs_death=_needs_death(mapping),
            report=lambda: report(tables.bytes_read / total),
        )
        return Loaded(Counter(), not_found)


class OmopServer:
    """OMOP tables in a database."""

    def __init__(self, url: str, *, schema: str | None, password_file: Path | None) -> None:
        self._url, self._schema, self._password_file = url, schema, password_file
        OmopDatabase(url, schema=schema, password_file=password_file).close()

    @property
    def name(self) -> str:
        """What it is; its address is nobody's business."""
        return "OMOP database"

    def fingerprint(self) -> None:
        """Return None: a database doesn't say what changed."""

    def load(self, mapping: Mapping, needs: Needs, store: EventStore, report: ReportFraction) -> Loaded:
        """Read the rows that the mapping needs into the store."""
        tables = OmopDatabase(self._url, schema=self._schema, password_file=self._password_file)
        try:
            not_found = load_omop(tables, needs, store, needs_death=_needs_death(mapping), report=lambda: report(None))
        finally:
            tables.close()
        return Loaded(Counter(), not_found)


def open_source(source: str, mapping: Mapping, password_file: Path | None) -> EventSource:
    """Return the source that an argument names: a folder, or the address of a database.

    Raises InputError when it is neither, or not what the mapping says; ServiceError when the database can't be reached.
    """
    folder = Path(source)
    if "://" in source and not folder.exists():
        if mapping.source.kind != "omop":
            raise InputError("a FHIR source is a folder of NDJSON files", hint="export it: FHIR Bulk Data Access")
        return OmopServer(source, schema=mapping.source.schema, password_file=password_file)
    if not folder.is_dir():
        raise InputError(f"{folder.name}: no such folder", hint="give the folder of the OMOP tables or FHIR files")
    if password_file is not None or mapping.source.schema is not None:
        raise InputError("a folder has neither password nor schema", hint="leave them out")
    try:
        return FhirFolder(folder) if mapping.source.kind == "fhir" else OmopFolder(folder)
    except OSError as exc:
        raise InputError(f"{folder.name}: cannot read the folder: {exc.strerror}") from exc


def _needs_death(mapping: Mapping) -> bool:
    return any(outcome.death for outcome in mapping.outcomes)


def _digest_of_files(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    try:
        for path in sorted(files):
            status = path.stat()
            digest.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    except OSError as exc:
        raise InputError(f"the source changed while it was read: {exc.strerror}", hint="start again") from exc
    return digest.hexdigest()
