"""Run one work order: start an enclave, hand it the job, carry its messages, put the result bundle together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from heartify.errors import EnclaveError, HeartifyError, IntegrityError
from heartify.pool.courier import BROKER_PATIENCE_SECONDS, Courier, EnclaveChannel, Ending, QuoteCollateral
from heartify.pool.documents import GrantAccess
from heartify.protocol.app_release import AppRelease
from heartify.protocol.bundle import Receipt, ResultBundle
from heartify.protocol.canonical import Address, HexBytes, encode_canonical, sha256_digest, to_hex
from heartify.protocol.deal import Deal
from heartify.protocol.eip712 import Domain, from_json
from heartify.protocol.evidence import TeeKind
from heartify.protocol.outcomes import Outcome
from heartify.protocol.plan import parse_plan
from heartify.protocol.receipts import Settlement
from heartify.protocol.signing import verify_signer


class Done(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The header of an enclave's last frame."""

    op: Literal["done"]
    settlement: dict[str, Any]
    signature: HexBytes
    enclave: Address
    encryption_public_key: HexBytes


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """Everything that one run needs."""

    domain: Domain
    deal: Deal
    plan: bytes
    result_key: bytes
    app_release: AppRelease
    grants: tuple[GrantAccess, ...]


def run_in_enclave(
    enclave: EnclaveChannel,
    task: Task,
    *,
    timeout_seconds: float,
    report: Callable[[str], None],
    collateral: QuoteCollateral | None = None,
    broker_patience_seconds: float = BROKER_PATIENCE_SECONDS,
) -> tuple[ResultBundle, dict[int, str]]:
    """Run a study; return the bundle, and for each grant that gave no keys the reason that the host saw.

    `broker_patience_seconds` is how long a broker that is away is waited for.

    Raises:
        EnclaveError: the enclave died, timed out, or ended with something that isn't its own signed settlement.
    """
    domain, deal = task.domain, task.deal
    deal_id = deal.deal_id(domain)
    enclave.send_frame({"op": "job", **_job(task)})
    courier = Courier(
        enclave, deal_id, task.grants, report, collateral=collateral, broker_patience_seconds=broker_patience_seconds
    )
    ending = courier.serve(timeout_seconds)
    said, settlement = _check_ending(ending, domain, deal)
    receipt = Receipt(
        simulated=TeeKind(deal.teeKind).is_simulated,
        chain_id=domain.chain_id,
        market=domain.contract,
        deal_id=deal_id,
        deal=deal.to_json(),
        plan=parse_plan(task.plan),
        app_release=task.app_release,
        tee_kind=TeeKind(deal.teeKind).wire_name,
        collateral=ending.collateral,
        enclave=said.enclave,
        encryption_public_key=said.encryption_public_key,
        releases=ending.releases,
        settlement=settlement.to_json(),
        enclave_signature=said.signature,
    )
    sealed = to_hex(ending.sealed_result) if settlement.kind is Outcome.DELIVERED else None
    return ResultBundle(receipt=receipt, sealed_result=sealed), ending.refusals


def key_receipt_signatures(receipt: Receipt, grants: int) -> list[str]:
    """Return one key receipt signature for each grant, "0x" where there is none, as the contract takes them."""
    by_grant = {record.grant: record.key_receipt_signature for record in receipt.releases}
    settlement = from_json(Settlement, receipt.settlement)
    return ["0x" if settlement.is_left_out(index) else by_grant.get(index, "0x") for index in range(grants)]


def _job(task: Task) -> dict[str, Any]:
    return {
        "chain_id": task.domain.chain_id,
        "market": task.domain.contract,
        "deal_id": task.deal.deal_id(task.domain),
        "deal": task.deal.to_json(),
        "plan": to_hex(task.plan),
        "result_key": to_hex(task.result_key),
        "hospitals": [
            {
                "manifest": to_hex(encode_canonical(access.documents.manifest)),
                "dictionary": to_hex(encode_canonical(access.documents.dictionary)),
                "policy": to_hex(access.policy_bytes),
            }
            for access in task.grants
        ],
    }


def _check_ending(ending: Ending, domain: Domain, deal: Deal) -> tuple[Done, Settlement]:
    """Check the ending as the contract will, so that a broken one costs no transaction."""
    try:
        said = msgspec.convert(ending.header, Done)
        settlement = from_json(Settlement, said.settlement)
        settlement.check(len(deal.grants))
        verify_signer(settlement.digest(domain), said.signature, said.enclave, "the settlement")
        if settlement.deal != deal.deal_id(domain):
            raise IntegrityError("the settlement is for another deal")
        if settlement.kind is Outcome.DELIVERED and sha256_digest(ending.sealed_result) != settlement.resultDigest:
            raise IntegrityError("the sealed result is not the one that the enclave signed")
    except (HeartifyError, msgspec.ValidationError) as exc:
        raise EnclaveError("host-protocol: the enclave's ending is not a valid signed settlement") from exc
    return said, settlement
