"""The job: what the host hands in, checked against the deal id before anything is done with it.

The deal id is all that the enclave takes on trust, and the brokers confirm it against the chain. Everything else hashes
to something in the deal: the plan, every manifest, every grant policy, the lab's key; a dictionary hashes to its
manifest.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import msgspec

from heartify.enclave.failure import StudyFailedError
from heartify.errors import HeartifyError, PolicyError
from heartify.protocol.canonical import Address, Digest, HexBytes, parse_canonical, sha256_digest, to_bytes
from heartify.protocol.deal import Deal, DealGrant, verify_deal_id
from heartify.protocol.dictionary import DataDictionary, check_compatible, parse_dictionary
from heartify.protocol.eip712 import Domain, from_json
from heartify.protocol.grant_policy import GrantPolicy, check_plan_permitted
from heartify.protocol.manifest import Manifest, parse_manifest
from heartify.protocol.outcomes import FailureCode
from heartify.protocol.plan import Plan, parse_plan
from heartify.protocol.plan_check import check_plan_fits
from heartify.protocol.sealing import check_sealing_public_key

# A Name has at most 63 characters, and a deal at most 64 grants: room for "-64".
_NUMBERED_NAME_CHARACTERS = 60


class HospitalDocuments(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One grant's documents as canonical bytes in hex."""

    manifest: HexBytes
    dictionary: HexBytes
    policy: HexBytes


class JobDocuments(msgspec.Struct, frozen=True, kw_only=True):
    """The job frame."""

    chain_id: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    market: Address
    deal_id: Digest
    deal: dict[str, Any]
    plan: HexBytes
    result_key: HexBytes
    hospitals: tuple[HospitalDocuments, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Hospital:
    """One grant of the deal with its checked documents."""

    index: int
    name: str
    grant: DealGrant
    manifest: Manifest
    dictionary: DataDictionary


@dataclasses.dataclass(frozen=True, slots=True)
class Job:
    """A job whose every part hashes to what the deal says."""

    domain: Domain
    deal_id: str
    deal: Deal
    plan: Plan
    plan_json: dict[str, Any]
    result_key: bytes
    hospitals: tuple[Hospital, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class JobIdentity:
    """The part of a job that a failure can already be signed for."""

    domain: Domain
    deal_id: str
    deal: Deal


def identify(documents: JobDocuments) -> JobIdentity:
    """Check the deal against its id.

    Raises:
        StudyFailedError: INPUT_DAMAGED.
    """
    domain = Domain(documents.chain_id, documents.market)
    try:
        deal = from_json(Deal, documents.deal)
        verify_deal_id(deal, domain, documents.deal_id)
    except HeartifyError as exc:
        raise StudyFailedError(FailureCode.INPUT_DAMAGED) from exc
    return JobIdentity(domain, documents.deal_id, deal)


def check_job(documents: JobDocuments, identity: JobIdentity) -> Job:
    """Check every document of a job.

    Raises:
        StudyFailedError: INPUT_DAMAGED when a document isn't the deal's; another code when it is, and is wrong.
    """
    deal = identity.deal
    plan_bytes, result_key = to_bytes(documents.plan), to_bytes(documents.result_key)
    _check_digest(plan_bytes, deal.planDigest)
    _check_digest(result_key, deal.resultKeyDigest)
    try:
        check_sealing_public_key(result_key)
    except HeartifyError as exc:
        raise StudyFailedError(FailureCode.RESULT_KEY_INVALID) from exc
    if len(documents.hospitals) != len(deal.grants):
        raise StudyFailedError(FailureCode.INPUT_DAMAGED)
    try:
        plan = parse_plan(plan_bytes)
    except HeartifyError as exc:
        raise StudyFailedError(FailureCode.PLAN_INVALID) from exc
    hospitals = tuple(_check_hospital(i, grant, documents.hospitals[i], plan) for i, grant in enumerate(deal.grants))
    hospitals = _with_distinct_names(hospitals)
    try:
        check_compatible({hospital.name: hospital.dictionary for hospital in hospitals}, plan.columns())
    except HeartifyError as exc:
        raise StudyFailedError(FailureCode.DICTIONARIES_DIFFER) from exc
    plan_json = msgspec.json.decode(plan_bytes)
    return Job(identity.domain, identity.deal_id, deal, plan, plan_json, result_key, hospitals)


def _check_hospital(index: int, grant: DealGrant, documents: HospitalDocuments, plan: Plan) -> Hospital:
    manifest_bytes, dictionary_bytes = to_bytes(documents.manifest), to_bytes(documents.dictionary)
    policy_bytes = to_bytes(documents.policy)
    _check_digest(policy_bytes, grant.policyDigest)
    try:
        manifest = parse_manifest(manifest_bytes, grant.datasetVersion)
        _check_digest(dictionary_bytes, manifest.dictionary_digest)
        dictionary = parse_dictionary(dictionary_bytes)
        policy = parse_canonical(policy_bytes, GrantPolicy)
    except HeartifyError as exc:
        raise StudyFailedError(FailureCode.INPUT_DAMAGED) from exc
    try:
        check_plan_permitted(plan, policy)
        check_plan_fits(plan, dictionary)
    except PolicyError as exc:
        raise StudyFailedError(FailureCode.PLAN_NOT_PERMITTED) from exc
    except HeartifyError as exc:
        raise StudyFailedError(FailureCode.PLAN_COLUMN_UNKNOWN) from exc
    return Hospital(index, policy.hospital, grant, manifest, dictionary)


def _check_digest(data: bytes, expected: str) -> None:
    if sha256_digest(data) != expected:
        raise StudyFailedError(FailureCode.INPUT_DAMAGED)


def _with_distinct_names(hospitals: tuple[Hospital, ...]) -> tuple[Hospital, ...]:
    """Number all hospitals by their place in the deal when two share a name, so that each has its own row.

    All, because a number behind some could make the name of another; cut first, so that it stays a Name.
    """
    if len({hospital.name for hospital in hospitals}) == len(hospitals):
        return hospitals
    return tuple(
        dataclasses.replace(hospital, name=f"{hospital.name[:_NUMBERED_NAME_CHARACTERS]}-{hospital.index + 1}")
        for hospital in hospitals
    )
