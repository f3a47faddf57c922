"""What the enclave signs at the end: how the deal ended, and for a delivered deal the digest of the sealed result."""

from __future__ import annotations

import dataclasses

from heartify.enclave.enclave_keys import EnclaveKeys
from heartify.enclave.job import JobIdentity
from heartify.protocol.bundle import NO_RESULT
from heartify.protocol.canonical import sha256_digest
from heartify.protocol.eip712 import bytes32, uint256
from heartify.protocol.outcomes import FailureCode, Outcome
from heartify.protocol.receipts import Settlement


@dataclasses.dataclass(frozen=True, slots=True)
class Ending:
    """A signed settlement and the sealed result that it names, if any."""

    settlement: Settlement
    signature: str
    sealed_result: bytes


def deliver(identity: JobIdentity, keys: EnclaveKeys, sealed_result: bytes, left_out: frozenset[int]) -> Ending:
    """Sign a delivered deal."""
    digest = bytes32(sha256_digest(sealed_result))
    return _sign(identity, keys, Outcome.DELIVERED, 0, left_out, digest, sealed_result)


def withhold(identity: JobIdentity, keys: EnclaveKeys, code: int, left_out: frozenset[int]) -> Ending:
    """Sign a deal whose result the disclosure rules withheld."""
    return _sign(identity, keys, Outcome.WITHHELD, code, left_out, NO_RESULT, b"")


def fail(identity: JobIdentity, keys: EnclaveKeys, code: FailureCode, left_out: frozenset[int]) -> Ending:
    """Sign a failed deal."""
    return _sign(identity, keys, Outcome.FAILED, int(code), left_out, NO_RESULT, b"")


def _sign(
    identity: JobIdentity,
    keys: EnclaveKeys,
    outcome: Outcome,
    code: int,
    left_out: frozenset[int],
    digest: bytes32,
    sealed_result: bytes,
) -> Ending:
    settlement = Settlement(
        deal=bytes32(identity.deal_id),
        outcome=uint256(int(outcome)),
        code=uint256(code),
        leftOut=uint256(sum(1 << index for index in left_out)),
        resultDigest=digest,
    )
    return Ending(settlement, keys.sign(settlement.digest(identity.domain)), sealed_result)
