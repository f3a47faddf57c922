"""Read a folder of FHIR R4 Bulk NDJSON files into the event store.

Files are `Patient*.ndjson`, `Observation*.ndjson`, `Condition*.ndjson` and, where there are any, `Encounter*.ndjson`;
several of a type, each plain or gzip. Order of files and lines makes no difference. Lines are read one by one and
bounded, so memory doesn't grow with the export.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from heartify.cohort.events.event_store import DEATH, EVENT, PERIOD, PERSON, RECORD, EventStore
from heartify.cohort.events.fhir_events import FhirEvents, Rows
from heartify.cohort.events.fhir_resources import MAX_LINE_BYTES, RESOURCES, build_decoder, parse_resource
from heartify.cohort.events.needs import Needs
from heartify.errors import InputError

MAX_FILES = 100_000
FLUSH_RESOURCES = 20_000
_FILE = re.compile(r"(Patient|Observation|Condition|Encounter)(?:[._-][A-Za-z0-9._-]{0,100})?\.ndjson(\.gz)?", re.ASCII)
_SCHEMAS = {"person": PERSON, "death": DEATH, "contact": PERIOD, "event": EVENT, "record": RECORD}

ReportBytes = Callable[[int], None]


def find_fhir_files(folder: Path) -> list[Path]:
    """Return the files of a bulk export that a cohort is made of, in order of their names.

    Raises InputError when there is no patient file.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and _FILE.fullmatch(path.name)]
    if not any(path.name.startswith("Patient") for path in files):
        raise InputError(
            f"{folder.name}: no Patient file", hint="expected FHIR bulk files such as Patient.000.ndjson[.gz]"
        )
    if len(files) > MAX_FILES:
        raise InputError(f"{folder.name}: more than {MAX_FILES} files", hint="export into larger files")
    return files


def load_fhir(files: list[Path], needs: Needs, store: EventStore, report: ReportBytes) -> Counter[str]:
    """Read files into the store; `report` gets the bytes read so far. Return what was left out, and how often.

    Raises InputError naming file and line.
    """
    events, rows, done = FhirEvents(needs), Rows(), 0
    counts = rows.counts
    for path in files:
        decoder = build_decoder(RESOURCES[re.split("[._-]", path.name)[0]])
        try:
            with path.open("rb") as raw, _unpacked(raw, path) as file:
                for number, line in _lines(file, path.name):
                    where = f"{path.name}: line {number}"
                    events.add(parse_resource(line, decoder, where=where), rows, where=where)
                    if len(rows.record) >= FLUSH_RESOURCES:
                        _flush(rows, store)
                        report(done + raw.tell())
        except (OSError, EOFError, zlib.error) as exc:
            raise InputError(f"{path.name}: cannot read the file, or it is not whole", hint="export it anew") from exc
        done += path.stat().st_size
        report(done)
    _flush(rows, store)
    return counts


def _flush(rows: Rows, store: EventStore) -> None:
    for table, schema in _SCHEMAS.items():
        collected = getattr(rows, table)
        columns = list(zip(*collected, strict=True)) or [()] * len(schema)
        store.insert_lists(table, dict(zip(schema.names, columns, strict=True)))
        collected.clear()


def _unpacked(raw: BinaryIO, path: Path) -> BinaryIO | gzip.GzipFile:
    return gzip.GzipFile(fileobj=raw, mode="rb") if path.suffix == ".gz" else raw


def _lines(file: BinaryIO | gzip.GzipFile, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield (line number, line) of the lines that aren't blank.

    Raises InputError when a line is too long.
    """
    number = 0
    while line := file.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise InputError(
                f"{name}: line {number}: longer than {MAX_LINE_BYTES} bytes",
                hint="expected NDJSON: one resource on each line",
            )
        line = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if line:
            yield number, line
