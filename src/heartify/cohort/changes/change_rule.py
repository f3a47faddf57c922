"""The rule of k: a version may follow earlier ones only when it differs from each in enough patients.

A new version is compared with every earlier version of its dataset, the withdrawn ones too: a lab may hold results of
any of them. A steward can override the rule in writing; what was compared and why it was overridden is recorded, and
stays in the hospital, because the numbers are exact.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

import msgspec

from heartify.cohort.changes.comparison import Changes, count_changes
from heartify.cohort.changes.ledger import Ledger
from heartify.errors import InputError, PolicyError
from heartify.protocol.canonical import Digest

MIN_CHANGED_PATIENTS = 10
MIN_OVERRIDE_CHARACTERS = 10
MAX_OVERRIDE_CHARACTERS = 1000


class ComparedVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the new version differs from one earlier version; `comparable` is False when nothing can be told."""

    version: Digest
    comparable: bool
    provable: int
    added: int = 0
    removed: int = 0
    altered: int = 0


class ChangeRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was compared before a version was published. `override` is the steward's reason where the rule said no."""

    required: int
    compared: tuple[ComparedVersion, ...]
    override: str | None = None
    format: Literal["heartify.change-record/1"] = "heartify.change-record/1"


def check_changes(
    ledgers: Iterable[Ledger],
    new: Ledger,
    *,
    published: Collection[str] = (),
    k: int = MIN_CHANGED_PATIENTS,
    override: str | None = None,
) -> ChangeRecord:
    """Check that a new version differs from each earlier one in at least k patients, or that a steward overrides it.

    `published` are all versions that the dataset ever had, as the chain and the broker know them: one without a ledger
    can't be compared, and so needs an override. An override that isn't needed is not recorded.

    Raises:
        PolicyError: too few patients changed, and there is no override.
        InputError: the override is too short or too long to be a reason.
    """
    reason = None if override is None else _checked_reason(override)
    earlier = [ledger for ledger in ledgers if ledger.version not in (None, new.version)]
    compared = [_compared(str(ledger.version), count_changes(ledger, new)) for ledger in earlier]
    known = {entry.version for entry in compared} | {new.version}
    compared += [
        ComparedVersion(version=version, comparable=False, provable=0)
        for version in sorted(published)
        if version not in known
    ]
    short = [entry for entry in compared if entry.provable < k]
    if short and reason is None:
        raise _refusal(short, k)
    return ChangeRecord(required=k, compared=tuple(compared), override=reason if short else None)


def _checked_reason(override: str) -> str:
    reason = override.strip()
    if not MIN_OVERRIDE_CHARACTERS <= len(reason) <= MAX_OVERRIDE_CHARACTERS:
        raise InputError(
            "the reason for overriding the rule of changed patients is too short or too long",
            hint=f"write {MIN_OVERRIDE_CHARACTERS} to {MAX_OVERRIDE_CHARACTERS} characters that an auditor can follow",
        )
    return reason


def _compared(version: str, changes: Changes) -> ComparedVersion:
    return ComparedVersion(
        version=version,
        comparable=changes.comparable,
        provable=changes.provable,
        added=changes.added if changes.by_person else changes.rows_added,
        removed=changes.removed if changes.by_person else changes.rows_removed,
        altered=changes.altered,
    )


def _refusal(short: list[ComparedVersion], k: int) -> PolicyError:
    """Return the refusal. It gives the number, which the steward may know: they are his own patients."""
    least = min(short, key=lambda entry: entry.provable)
    how = f"{least.provable} patients provably changed" if least.comparable else "it can't be compared"
    more = f" (and {len(short) - 1} more versions)" if len(short) > 1 else ""
    return PolicyError(
        f"too few patients changed since version {least.version}{more}: {how}, expected at least {k}",
        hint="results of two versions that differ in few patients reveal these: wait for more changes (withdrawing the "
        "earlier version doesn't help, its results are out), or override the rule in writing "
        "(--few-changes-reason)",
    )
