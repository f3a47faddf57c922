"""One publication from beginning to end: survey, encrypt, store, hand over the key, register.

It may be killed anywhere and called again: under the same source and decisions it goes on where it was, otherwise it
begins anew and destroys what the abandoned one left. A version is registered only when all of it can be read.
"""

from __future__ import annotations

from dataclasses import dataclass

from heartify.cohort.catalogue.coded_details import missing_details
from heartify.cohort.changes.ledger_writer import finish_draft, load_draft
from heartify.cohort.changes.opt_out_rows import OptOutRows
from heartify.cohort.encrypted.version_writer import DEFAULT_PART_ROWS
from heartify.cohort.storage.version_files import load_manifest
from heartify.hospital.publishing.encrypt_step import encrypt_and_store
from heartify.hospital.publishing.finish_step import check_public_copy, hand_over_key, register, store_manifest
from heartify.hospital.publishing.journal import Journal, JournalFolder
from heartify.hospital.publishing.ports import Ports
from heartify.hospital.publishing.survey_step import survey_cohort
from heartify.hospital.publishing.terms import PublishTerms, Report, report_nothing
from heartify.party.home import store_document


@dataclass(frozen=True, slots=True)
class Published:
    """A dataset version, registered unless that was to wait; `rows_rounded` is all that is said of its size.

    `opted_out` counts rows of patients who opted out; `missing_details` names what the catalogue record should say and
    the steward's dictionary doesn't; `resumed` tells whether a killed publication was continued.
    """

    dataset: str
    version: str
    url: str
    columns: tuple[str, ...]
    rows_rounded: int
    documents: tuple[str, ...]
    missing_details: tuple[str, ...]
    opted_out: int
    registered: bool
    resumed: bool


def publish(
    ports: Ports, terms: PublishTerms, *, part_rows: int = DEFAULT_PART_ROWS, report: Report = report_nothing
) -> Published:
    """Publish a cohort as the next version of a dataset.

    Raises:
        InputError: the source or the dictionary is wrong, or a finding isn't accepted; nothing was written.
        PolicyError: too few patients changed since an earlier version; nothing was written.
        UsageError: another process is publishing this dataset.
        ServiceError, ChainError: the store or the chain can't be reached; the next call goes on from there.
    """
    dataset = ports.dataset(terms.dataset_name)
    folder = ports.journal_folder(dataset)
    with folder.locked():
        rows = OptOutRows(terms.rows, ports.opt_outs())
        journal = _resumable(ports, terms, rows, folder)
        resumed = journal is not None
        if journal is None:
            folder.remove()
            journal = survey_cohort(ports, terms, rows, folder, ports.versions_of(dataset), report)
            folder.store(journal)
        return _finish(ports, terms, rows, folder, journal, part_rows, report, resumed=resumed)


def _finish(
    ports: Ports,
    terms: PublishTerms,
    rows: OptOutRows,
    folder: JournalFolder,
    journal: Journal,
    part_rows: int,
    report: Report,
    *,
    resumed: bool,
) -> Published:
    dictionary = rows.dictionary
    if journal.version is None:
        journal = encrypt_and_store(ports, rows, folder, journal, part_rows, report)
        journal, manifest = store_manifest(ports, folder, journal, dictionary)
    else:
        manifest = load_manifest(ports.store, journal.version)
    version = manifest.version_id()
    hand_over_key(ports, journal, manifest, dictionary)
    store_document(ports.home.change_record(version), journal.changes)
    finish_draft(ports.ledger_folder(journal.dataset), ports.ledger_key(journal.dataset), version)
    url = terms.registration.public_store_url or ports.settings.registered_store_url
    if not terms.registration.later:
        check_public_copy(ports, manifest, url)
        register(ports, manifest, ports.salt(terms.dataset_name), url)
        folder.remove()
    return Published(
        dataset=journal.dataset,
        version=version,
        url=url,
        columns=manifest.column_names,
        rows_rounded=manifest.rows_rounded,
        documents=tuple(document.name for document in manifest.documents),
        opted_out=journal.left_out,
        missing_details=tuple(detail.name for detail in missing_details(terms.steward)),
        registered=not terms.registration.later,
        resumed=resumed,
    )


def _resumable(ports: Ports, terms: PublishTerms, rows: OptOutRows, folder: JournalFolder) -> Journal | None:
    """Return the journal of a killed publication that can go on; its ledger must still be there."""
    journal = folder.load(terms.fingerprint(rows))
    if journal is None or ports.newest_version(journal.dataset) not in (journal.previous, journal.version):
        return None
    if journal.version is not None:
        return journal
    ledger = load_draft(ports.ledger_folder(journal.dataset), ports.ledger_key(journal.dataset))
    return None if ledger is None else journal
