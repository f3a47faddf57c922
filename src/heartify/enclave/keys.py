"""The enclave's fresh keys, and fetching the hospitals' column keys from their brokers.

Both keys are made here for one run and die with the process. Each broker gets its own evidence, bound to its own nonce.
A broker that doesn't answer, or answers with anything that isn't its own signed release, leaves its hospital out.
"""

from __future__ import annotations

import dataclasses

import msgspec

from heartify.enclave.channel import Channel
from heartify.enclave.column_keys import ColumnKeyring, take_column_keys
from heartify.enclave.enclave_keys import EnclaveKeys
from heartify.enclave.job import Hospital, Job
from heartify.enclave.quoting.quoter import Quoter
from heartify.errors import HeartifyError, IntegrityError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.eip712 import address, bytes32
from heartify.protocol.evidence import Evidence
from heartify.protocol.key_release import (
    Challenge,
    Release,
    ReleaseRequest,
    release_digest,
    release_info,
    release_report_data,
)
from heartify.protocol.receipts import KeyReceipt
from heartify.protocol.signing import verify_signer

_ATTEMPTS = 3


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class ReleasedKeys:
    """The column keys of one hospital."""

    hospital: Hospital
    keyring: ColumnKeyring


def fetch_all_keys(channel: Channel, quoter: Quoter, job: Job, keys: EnclaveKeys) -> tuple[ReleasedKeys, ...]:
    """Ask every hospital's broker; return the releases of those that gave theirs. The caller wipes their keys.

    Raises:
        StudyFailedError: the host broke the protocol; keys that had come are wiped.
    """
    released: list[ReleasedKeys] = []
    try:
        for hospital in job.hospitals:
            item = _fetch_keys(channel, quoter, job, keys, hospital)
            released += [] if item is None else [item]
    except BaseException:
        for item in released:
            item.keyring.wipe()
        raise
    return tuple(released)


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
        encryption_public_key=keys.encryption_public_key,
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
        encryption_public_key=keys.encryption_public_key,
        enclave=keys.address,
        evidence=evidence,
    )
    reply = channel.call("release", grant=hospital.index, request=msgspec.to_builtins(request))
    return None if reply is None else msgspec.convert(reply[0].get("release"), Release)


def _open_release(
    job: Job, keys: EnclaveKeys, hospital: Hospital, challenge: Challenge, release: Release
) -> ColumnKeyring:
    broker, version = hospital.grant.broker, hospital.grant.datasetVersion
    sealed = to_bytes(release.sealed_keys)
    info = release_info(job.domain, job.deal_id, version, broker, challenge.nonce, keys.address)
    verify_signer(release_digest(info, sealed), release.release_signature, broker, "the key release")
    receipt = KeyReceipt(deal=bytes32(job.deal_id), datasetVersion=version, enclave=address(keys.address))
    verify_signer(receipt.digest(job.domain), release.key_receipt_signature, broker, "the key receipt")
    keyring = take_column_keys(keys.open(sealed, info), version)
    if missing := set(job.plan.columns()) - set(keyring.views()):
        keyring.wipe()
        raise IntegrityError(f"the release lacks {len(missing)} of the plan's columns")
    return keyring
