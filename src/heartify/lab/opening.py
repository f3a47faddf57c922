"""Opening a verified bundle with the lab's result key."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from heartify.disclosure import WithheldError
from heartify.disclosure.tables import TABLES, check_table
from heartify.errors import IntegrityError
from heartify.lab.settlement import SettlementDocument
from heartify.lab.verification import Verification
from heartify.protocol.bundle import ResultBundle
from heartify.protocol.canonical import sha256_digest, to_bytes
from heartify.protocol.deal import Deal
from heartify.protocol.eip712 import from_json
from heartify.protocol.result import StudyResult, parse_result, result_info
from heartify.protocol.sealing import SealingKey


@dataclasses.dataclass(frozen=True, slots=True)
class Opened:
    """An opened deal. `result` is None unless it was delivered; `titles` are empty when no dictionary could be read."""

    deal_id: str
    bundle: ResultBundle
    verification: Verification
    result: StudyResult | None
    settlement: SettlementDocument
    titles: Mapping[str, str]


def check_verified(verification: Verification) -> None:
    """Raise IntegrityError, naming the checks that failed, unless every check holds."""
    if not verification.verified:
        failed = "; ".join(f"{check.name}: {check.reason}" for check in verification.checks if not check.passed)
        raise IntegrityError(f"the deal's bundle is not verified: {failed}")


def check_tables(result: StudyResult) -> None:
    """Check every table against the disclosure rules' closed list: the lab doesn't want what may not leave.

    Raises:
        IntegrityError: a table is of another name or shape, comes twice, or has a cell off its grid.
    """
    names = [table.name for table in result.tables]
    if len(set(names)) != len(names):
        raise IntegrityError("the result has a table twice")
    for table in result.tables:
        try:
            check_table(table.name, table.columns, table.rows, TABLES)
        except (WithheldError, ValueError, OverflowError) as exc:
            raise IntegrityError(
                f"the result's table {table.name!r} is not what the disclosure rules let out",
                hint="the app release of the deal and this program must be of one version",
            ) from exc


def open_result(bundle: ResultBundle, key: SealingKey) -> StudyResult | None:
    """Decrypt the result of a bundle; None when nothing was delivered. The caller has verified the bundle.

    Raises:
        IntegrityError: it is sealed to another key, is of another deal or plan, or holds a table that isn't on the
            disclosure rules' closed list or off its grids.
        DocumentError: what is sealed is no result.
    """
    if bundle.sealed_result is None:
        return None
    deal, deal_id = from_json(Deal, bundle.receipt.deal), bundle.receipt.deal_id
    if sha256_digest(key.public_key) != deal.resultKeyDigest:
        raise IntegrityError("the result is sealed to another lab's key")
    result = parse_result(key.open(to_bytes(bundle.sealed_result), result_info(deal_id)))
    check_tables(result)
    if result.deal != deal_id or result.plan_digest != deal.planDigest:
        raise IntegrityError("the opened result is of another deal or plan")
    return result
