"""The decision to publish: plausibility and de-identification findings, each accepted in writing or the end of it.

The report with the steward's reasons stays in the hospital (it is evidence for an auditor). The manifest holds only its
salted digest, so the public cannot even test a guess such as 'somebody in it is over 89'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
import pyarrow as pa

from heartify.cohort.lint.deidentification import lint_identifiers
from heartify.cohort.lint.findings import Finding, check_accepted
from heartify.cohort.lint.plausibility import lint_units
from heartify.errors import InputError
from heartify.protocol.canonical import Digest, digest_of, to_hex
from heartify.protocol.dictionary import DataDictionary

MIN_REASON_CHARACTERS = 10


class AcceptedFinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One finding that the steward accepted, and why."""

    name: str
    message: str
    reason: str


class PublicationReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was accepted at publication. `salt` is 32 random bytes that hide it behind its digest."""

    dictionary_digest: Digest
    salt: Digest
    accepted: tuple[AcceptedFinding, ...]
    format: Literal["heartify.publication-report/1"] = "heartify.publication-report/1"

    def digest(self) -> str:
        """Return the digest that the manifest commits to."""
        return digest_of(self)


def lint_cohort(table: pa.Table, dictionary: DataDictionary) -> tuple[Finding, ...]:
    """Return all findings about a cohort: wrong units first, then identifiers."""
    return (*lint_units(table, dictionary), *lint_identifiers(table, dictionary))


def check_publishable(
    table: pa.Table, dictionary: DataDictionary, accepted_findings: Mapping[str, str], *, salt: bytes
) -> PublicationReport:
    """Check that each finding was accepted by name with a written reason, and report what was.

    Raises InputError when one was not, when a reason is too short, or when an acceptance meets no finding.
    """
    findings = lint_cohort(table, dictionary)
    check_accepted(findings, accepted_findings.keys())
    for name, reason in accepted_findings.items():
        if len(reason.strip()) < MIN_REASON_CHARACTERS:
            raise InputError(
                f"the reason for accepting '{name}' is missing or too short",
                hint=f"write at least {MIN_REASON_CHARACTERS} characters that an auditor can follow",
            )
    messages = {finding.name: finding.message for finding in findings}
    accepted = tuple(
        AcceptedFinding(name=name, message=messages[name], reason=reason.strip())
        for name, reason in sorted(accepted_findings.items())
    )
    return PublicationReport(dictionary_digest=dictionary.digest(), salt=to_hex(salt), accepted=accepted)
