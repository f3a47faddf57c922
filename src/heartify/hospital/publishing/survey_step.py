"""The first pass: survey the plaintext, take the steward's decisions, and make the public documents.

Nothing is encrypted or stored before every doubt is decided about and enough patients have changed since each earlier
version. What the pass leaves for the second one is in the journal's folder; none of it is a patient's value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator

import numpy as np
import pyarrow as pa

from heartify.cohort.catalogue.documents import build_documents
from heartify.cohort.changes.change_rule import check_changes
from heartify.cohort.changes.ledger import load_ledgers
from heartify.cohort.changes.ledger_writer import LedgerWriter
from heartify.cohort.changes.opt_out_rows import OptOutRows
from heartify.cohort.encrypted.column_crypto import KEY_BYTES, NONCE_BYTES
from heartify.cohort.lint.publication import check_publishable_survey
from heartify.cohort.rows import PatientRows
from heartify.cohort.survey.survey import Survey, survey_rows
from heartify.hospital.publishing.journal import Journal, JournalFolder, wrap_for_journal
from heartify.hospital.publishing.ports import Ports
from heartify.hospital.publishing.terms import PublishTerms, Report
from heartify.party.home import write_atomically
from heartify.protocol.canonical import to_hex
from heartify.protocol.dictionary import DataDictionary


class LedgeredRows:
    """Rows that are written into the change ledger as they are read."""

    def __init__(self, rows: PatientRows, ledger: LedgerWriter) -> None:
        self._rows, self._ledger = rows, ledger

    @property
    def name(self) -> str:
        """What messages call it: as the source."""
        return self._rows.name

    @property
    def dictionary(self) -> DataDictionary:
        """The dictionary of the source."""
        return self._rows.dictionary

    def fingerprint(self) -> str | None:
        """Return the source's."""
        return self._rows.fingerprint()

    def fraction_read(self) -> float | None:
        """Return the source's."""
        return self._rows.fraction_read()

    def batches(self, start_row: int = 0) -> Iterator[pa.RecordBatch]:
        """Yield the source's batches, each when the ledger has it."""
        for batch in self._rows.batches(start_row):
            self._ledger.add(batch)
            yield batch


def survey_cohort(
    ports: Ports,
    terms: PublishTerms,
    rows: OptOutRows,
    folder: JournalFolder,
    versions: Collection[str],
    report: Report,
) -> Journal:
    """Survey and decide; return the journal that the second pass begins with. `versions` are all that there ever were.

    Raises:
        InputError: the source or the dictionary is wrong, or a finding isn't accepted; nothing is left behind.
        PolicyError: too few patients changed since an earlier version; nothing is left behind.
    """
    dataset = ports.dataset(terms.dataset_name)
    ledger = LedgerWriter(ports.ledger_folder(dataset), ports.ledger_key(dataset), rows.dictionary)
    try:
        survey = survey_rows(
            LedgeredRows(rows, ledger),
            random=sampling(rows),
            today=ports.today,
            report=lambda done, fraction: report("reading", done, fraction),
        )
        decided = check_publishable_survey(
            survey, rows.dictionary, terms.decisions.accepted_findings, salt=ports.random_bytes(NONCE_BYTES)
        )
        # A version that was never registered is nobody's: its ledger is what an abandoned publication left.
        earlier = load_ledgers(ports.ledger_folder(dataset), ports.ledger_key(dataset))
        changes = check_changes(
            [one for one in earlier if one.version in versions],
            ledger.seal(),
            published=versions,
            override=terms.decisions.few_changes_reason,
        )
    except BaseException:
        ledger.discard()
        raise
    folder.begin()
    for name, data in _documents(ports, terms, survey, dataset).items():
        write_atomically(folder.documents / name, data, mode=0o600)
    nonce = to_hex(ports.random_bytes(NONCE_BYTES))
    return Journal(
        dataset=dataset,
        fingerprint=terms.fingerprint(rows),
        previous=ports.newest_version(dataset),
        version_nonce=nonce,
        wrapped_master_key=wrap_for_journal(ports.vault, dataset, nonce, ports.random_bytes(KEY_BYTES)),
        rows=survey.rows,
        left_out=rows.left_out,
        report=decided,
        changes=changes,
    )


def sampling(rows: PatientRows) -> np.random.Generator:
    """Return the generator that chooses a survey's sample: the same source has the same sample, and the same findings.

    So what a steward saw when checking is what publishing finds. The twin is drawn from fresh randomness instead.
    """
    told = rows.fingerprint() or rows.dictionary.digest()
    return np.random.Generator(np.random.Philox(int.from_bytes(hashlib.sha256(told.encode()).digest()[:16], "big")))


def _documents(ports: Ports, terms: PublishTerms, survey: Survey, dataset: str) -> dict[str, bytes]:
    return build_documents(
        survey,
        terms.steward,
        dataset=dataset,
        random=ports.generator(),
        issued=ports.today,
        exclude=terms.decisions.without_statistics,
        with_twin=terms.decisions.synthetic_twin,
    )
