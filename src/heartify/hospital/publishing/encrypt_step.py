"""The second pass: encrypt the rows part by part, and store each part before the next is begun.

Memory and local disk hold one part at a time. The journal names a part only when its files are in the store, so after a
kill the next call goes on with the first row that isn't there.
"""

from __future__ import annotations

import msgspec

from heartify.cohort.encrypted.version_writer import VersionWriter, WrittenPart
from heartify.cohort.rows import PatientRows
from heartify.cohort.storage.objects import put_object
from heartify.errors import InputError
from heartify.hospital.publishing.journal import Journal, JournalFolder, StoredPart
from heartify.hospital.publishing.ports import Ports
from heartify.hospital.publishing.terms import Report
from heartify.protocol.canonical import to_bytes


def encrypt_and_store(
    ports: Ports, rows: PatientRows, folder: JournalFolder, journal: Journal, part_rows: int, report: Report
) -> Journal:
    """Bring all rows into the store, and return the journal that names every part.

    Raises:
        InputError: the source has other rows than when it was surveyed, or one doesn't fit the dictionary.
        ServiceError: the store can't be written; what is there already is kept for the next call.
    """
    if journal.parts and journal.rows_stored == journal.rows:
        return journal
    writer = _writer(ports, rows, folder, journal, part_rows)
    for batch in rows.batches(writer.rows):
        writer.append(batch)
        journal = _store_parts(ports, folder, journal, writer)
        report("encrypting", writer.rows, rows.fraction_read())
    if writer.rows != journal.rows:
        raise InputError(
            f"{rows.name}: the source had {journal.rows} rows when it was checked, and {writer.rows} now",
            hint="publish from a source that does not change meanwhile: a copy, a snapshot or an export",
        )
    writer.finish()
    return _store_parts(ports, folder, journal, writer)


def _writer(ports: Ports, rows: PatientRows, folder: JournalFolder, journal: Journal, part_rows: int) -> VersionWriter:
    parts, first_row = [], 0
    for number, part in enumerate(journal.parts):
        parts.append(WrittenPart(number, first_row, part.rows, part.files, folder.parts))
        first_row += part.rows
    return VersionWriter.resume(
        rows.dictionary,
        dataset=to_bytes(journal.dataset),
        version_nonce=to_bytes(journal.version_nonce),
        master_key=journal.master_key(ports.vault),
        folder=folder.parts,
        parts=parts,
        part_rows=part_rows,
        random_bytes=ports.random_bytes,
    )


def _store_parts(ports: Ports, folder: JournalFolder, journal: Journal, writer: VersionWriter) -> Journal:
    """Store the parts that were completed since, and write each into the journal."""
    for part in writer.completed_parts()[len(journal.parts) :]:
        for entry in part.files:
            put_object(ports.store, part.path(entry), entry.digest, entry.size)
        stored = StoredPart(rows=part.rows, files=part.files)
        journal = msgspec.structs.replace(journal, parts=(*journal.parts, stored))
        folder.store(journal)
        for entry in part.files:
            part.path(entry).unlink(missing_ok=True)
    return journal
