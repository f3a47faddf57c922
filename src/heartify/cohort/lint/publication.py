"""The decision to publish: plausibility and de-identification findings, each accepted in writing or the end of it.

The report with the steward's reasons stays in the hospital (it is evidence for an auditor). The manifest holds only its
salted digest, so the public cannot even test a guess such as 'somebody in it is over 89'.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa

import heartify
from heartify.cohort.lint.findings import Finding, check_accepted
from heartify.cohort.rows import TableRows
from heartify.cohort.survey.survey import Survey, survey_rows
from heartify.errors import InputError
from heartify.protocol.canonical import Digest, digest_of, to_hex
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.manifest import round_rows

MIN_REASON_CHARACTERS = 10


class AcceptedFinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One finding that the steward accepted, and why."""

    name: str
    message: str
    reason: str


class PublicationReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was accepted at publication, by which release of the linter, of how many rows, and when (ISO 8601).

    `salt` is 32 random bytes that hide it behind its digest.
    """

    dictionary_digest: Digest
    salt: Digest
    tool_version: str
    rows_rounded: int
    date: str | None
    accepted: tuple[AcceptedFinding, ...]
    format: Literal["heartify.publication-report/2"] = "heartify.publication-report/2"

    def digest(self) -> str:
        """Return the digest that the manifest commits to."""
        return digest_of(self)


def lint_cohort(table: pa.Table, dictionary: DataDictionary, *, today: dt.date | None = None) -> tuple[Finding, ...]:
    """Return all findings about a cohort in memory: values first, then persons and identifiers.

    Raises InputError when the table has no row or is not in the dictionary's table form.
    """
    return _survey_table(table, dictionary, today).findings


def check_publishable(
    table: pa.Table,
    dictionary: DataDictionary,
    accepted_findings: Mapping[str, str],
    *,
    salt: bytes,
    today: dt.date | None = None,
) -> PublicationReport:
    """Check a cohort in memory as `check_publishable_survey` does.

    Raises InputError.
    """
    survey = _survey_table(table, dictionary, today)
    return check_publishable_survey(survey, dictionary, accepted_findings, salt=salt)


def check_publishable_survey(
    survey: Survey, dictionary: DataDictionary, accepted_findings: Mapping[str, str], *, salt: bytes
) -> PublicationReport:
    """Check that each finding was accepted by name with a written reason, and report what was.

    Raises InputError when one was not, when a reason is too short, or when an acceptance meets no finding.
    """
    check_accepted(survey.findings, accepted_findings.keys())
    for name, reason in accepted_findings.items():
        if len(reason.strip()) < MIN_REASON_CHARACTERS:
            raise InputError(
                f"the reason for accepting '{name}' is missing or too short",
                hint=f"write at least {MIN_REASON_CHARACTERS} characters that an auditor can follow",
            )
    messages = {finding.name: finding.message for finding in survey.findings}
    return PublicationReport(
        dictionary_digest=dictionary.digest(),
        salt=to_hex(salt),
        tool_version=heartify.__version__,
        rows_rounded=round_rows(survey.rows),
        date=None if survey.surveyed_on is None else survey.surveyed_on.isoformat(),
        accepted=tuple(
            AcceptedFinding(name=name, message=messages[name], reason=reason.strip())
            for name, reason in sorted(accepted_findings.items())
        ),
    )


def _survey_table(table: pa.Table, dictionary: DataDictionary, today: dt.date | None) -> Survey:
    # The sample of a table in memory need not be unforeseeable: it is dropped again.
    return survey_rows(TableRows(table, dictionary), random=np.random.default_rng(0), today=today)
