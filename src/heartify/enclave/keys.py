"""The enclave's fresh keys, and fetching the hospitals' column keys from their brokers.

Both keys are made here for one run and die with the process. Each broker gets its own evidence, bound to its own nonce.
A broker that doesn't answer, or answers with anything that isn't its own signed release, leaves its hospital out.
"""

from __future__ import annotations

import dataclasses
import secrets

import msgspec

from heartify.enclave.channel import Channel
from heartify.enclave.job import Hospital, Job
from heartify.enclave.quoting.quoter import Quoter
from heartify.errors import HeartifyError, IntegrityError
from heartify.protocol.canonical import to_bytes, to_hex
from heartify.protocol.eip712 import address, bytes32
from heartify.protocol.evidence import Evidence
from heartify.protocol.key_release import (
    Challenge,
    Release,
    ReleaseRequest,
    parse_column_keys,
    release_digest,
    release_info,
    release_report_data,
)
from heartify.protocol.receipts import KeyReceipt
from heartify.protocol.sealing import SEED_BYTES, SealingKey
from heartify.protocol.signing import address_of, generate_private_key, sign_digest, verify_signer

_ATTEMPTS = 3


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class EnclaveKeys:
    """One run's keys: HPKE for what comes in, secp256k1 for what is signed on the way out."""

    sealing: SealingKey
    signing_private_key: bytes
    address: str

    @classmethod
    def generate(cls) -> EnclaveKeys:
        """Make fresh keys from the system's randomness."""
        private_key = generate_private_key()
        return cls(SealingKey.from_seed(secrets.token_bytes(SEED_BYTES)), private_key, address_of(private_key))

    def sign(self, digest: bytes) -> str:
        """Sign a 32-byte digest."""
        return sign_digest(self.signing_private_key, digest)


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class ReleasedKeys:
    """The column keys of one hospital."""

    hospital: Hospital
    keys: dict[str, bytes]


def fetch_all_keys(channel: Channel, quoter: Quoter, job: Job, keys: EnclaveKeys) -> tuple[ReleasedKeys, ...]:
    """Ask every hospital's broker; return the releases of those that gave theirs."""
    released = (_fetch_keys(channel, quoter, job, keys, hospital) for hospital in job.hospitals)
    return tuple(item for item in released if item is not None)


def _fetch_keys(
    channel: Channel, quoter: Quoter, job: Job, keys: EnclaveKeys, hospital: Hospital
) -> ReleasedKeys | None:
    """Ask one broker; again with a new challenge when no release came, since a broker that was restarted knows the old
    one no more. To the broker that is one use: it counts enclaves, not questions.
    """
    for _ in range(_ATTEMPTS):
        try:
            challenge = _challenge(channel, job, hospital)
            evidence = challenge and quoter.evidence(_bound_data(job, keys, challenge))
            if not challenge or not evidence:
                return None
            release = _release(channel, job, keys, hospital, challenge, evidence)
            if release is not None:
                return ReleasedKeys(hospital, _open_release(job, keys, hospital, challenge, release))
        except (HeartifyError, msgspec.ValidationError):
            return None
    return None


def _challenge(channel: Channel, job: Job, hospital: Hospital) -> Challenge | None:
    reply = channel.call("challenge", grant=hospital.index)
    if reply is None:
        return None
    challenge = msgspec.convert(reply[0].get("challenge"), Challenge)
    if challenge.deal != job.deal_id or challenge.broker != hospital.grant.broker:
        raise IntegrityError("the challenge is for another deal or by another broker")
    verify_signer(challenge.signed_digest(job.domain), challenge.signature, hospital.grant.broker, "the challenge")
    return challenge


def _bound_data(job: Job, keys: EnclaveKeys, challenge: Challenge) -> bytes:
    return release_report_data(
        job.domain,
        deal=job.deal_id,
        plan_digest=job.deal.planDigest,
        broker=challenge.broker,
        nonce=challenge.nonce,
        encryption_public_key=to_hex(keys.sealing.public_key),
        enclave=keys.address,
    )


def _release(
    channel: Channel, job: Job, keys: EnclaveKeys, hospital: Hospital, challenge: Challenge, evidence: Evidence
) -> Release | None:
    request = ReleaseRequest(
        session=challenge.session,
        deal=job.deal.to_json(),
        plan=job.plan_json,
        dataset_version=hospital.grant.datasetVersion,
        encryption_public_key=to_hex(keys.sealing.public_key),
        enclave=keys.address,
        evidence=evidence,
    )
    reply = channel.call("release", grant=hospital.index, request=msgspec.to_builtins(request))
    return None if reply is None else msgspec.convert(reply[0].get("release"), Release)


def _open_release(
    job: Job, keys: EnclaveKeys, hospital: Hospital, challenge: Challenge, release: Release
) -> dict[str, bytes]:
    broker, version = hospital.grant.broker, hospital.grant.datasetVersion
    sealed = to_bytes(release.sealed_keys)
    info = release_info(job.domain, job.deal_id, version, broker, challenge.nonce, keys.address)
    verify_signer(release_digest(info, sealed), release.release_signature, broker, "the key release")
    receipt = KeyReceipt(deal=bytes32(job.deal_id), datasetVersion=version, enclave=address(keys.address))
    verify_signer(receipt.digest(job.domain), release.key_receipt_signature, broker, "the key receipt")
    column_keys = parse_column_keys(keys.sealing.open(sealed, info))
    if missing := set(job.plan.columns()) - set(column_keys):
        raise IntegrityError(f"the release lacks {len(missing)} of the plan's columns")
    return column_keys
