"""What `heartify attest` prints for people, and the JSON of verified evidence."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from heartify.attestation.inspection.facts import Inspection
from heartify.attestation.policy import VerifierPolicy
from heartify.cli.output import table
from heartify.party.evidence_check import Verified

_SIMULATED = {True: "it says that it is simulated", False: "it does not say that it is simulated", None: None}


def show_inspection(console: Console, inspection: Inspection) -> None:
    """Print what a file is and says."""
    said = _SIMULATED[inspection.simulated]
    console.print(inspection.what + (f"; {said}" if said else ""), markup=False, soft_wrap=True)
    console.print("nothing here was verified", markup=False)
    for section in inspection.sections:
        console.print()
        console.print(section.title, markup=False, style="bold")
        width = max((len(name) for name, _ in section.facts), default=0)
        for name, value in section.facts:  # no table: a measurement that folds can't be copied
            console.print(f"{name:{width}}  {value}", markup=False, soft_wrap=True)


def show_verified(console: Console, verified: Sequence[Verified], policy: VerifierPolicy, now: int) -> None:
    """Print accepted evidence, what was not checked first of all."""
    for item in verified:
        document = verified_document(item, policy, now)
        rows = [[name.replace("_", " "), _cell(value)] for name, value in document.items()]
        console.print(table([f"{item.name}: accepted", ""], rows))


def verified_document(item: Verified, policy: VerifierPolicy, now: int) -> dict[str, Any]:
    """Return the JSON form of accepted evidence."""
    result = item.result
    return {
        "what": item.name,
        "verified": True,
        "freshness": item.freshness.value,
        "policy": policy.name,
        "judged_at": utc(now),
        "tee_kind": result.tee_kind.wire_name,
        "simulated": result.simulated,
        "root": result.root_name,
        "measurement": result.measurement.hex(),
        "report_data": result.report_data.hex(),
        "status": result.status,
        "advisories": list(result.advisories),
        "platform_ids": [platform_id.hex() for platform_id in result.platform_ids],
        "product_id": result.product_id,
        "security_version": result.security_version,
        "isolation": None if result.isolation is None else list(result.isolation.words),
        "collateral_numbers": {mark.scope: mark.number for mark in result.marks},
        "collateral_valid_until": utc(result.valid_until_utc_seconds),
    }


def utc(seconds: int) -> str:
    """Return a time in ISO 8601; far times, which stand for no end, as `without end`."""
    if seconds > 1 << 40:
        return "without end"
    return dt.datetime.fromtimestamp(seconds, tz=dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: int) -> str:
    """Return a length of time in words."""
    for size, name in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} seconds"


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name} {number}" for name, number in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
