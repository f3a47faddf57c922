"""The stage of a dry run: twins encrypted under throwaway keys, and a deal that no chain knows.

Everything here is made for one run and dies with it. Twins are public, so nothing on this stage protects anything: it
is there so that the enclave's program finds what it finds in earnest. Its simulated TEE kind marks every result.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Sequence

import pyarrow as pa

from heartify.cohort.encrypted.column_crypto import column_keys
from heartify.cohort.encrypted.writer import WrittenVersion, write_version
from heartify.cohort.lint.publication import lint_cohort
from heartify.cohort.storage.store import Store, open_store
from heartify.lab.dry_run.twins import TwinHospital
from heartify.protocol.canonical import encode_canonical, sha256_digest, to_hex
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.eip712 import ZERO_ADDRESS, Domain, address, bytes32, uint256
from heartify.protocol.evidence import TeeKind
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.plan import Plan
from heartify.protocol.sealing import SEED_BYTES, SealingKey
from heartify.protocol.signing import address_of, generate_private_key
from heartify.protocol.size_class import SIZE_CLASSES

REHEARSAL_DOMAIN = Domain(chain_id=1, contract=ZERO_ADDRESS)
"""No market lives at the zero address, so nothing that is signed on this stage is good anywhere."""

_REASON = "synthetic twin of a dry run"
_NO_DIGEST = "0x" + "00" * 32


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class RehearsalHospital:
    """A hospital on the stage: its twin as an encrypted version, and the key of a broker that asks for no evidence."""

    dictionary: DataDictionary
    policy: GrantPolicy
    version: WrittenVersion
    store: Store
    broker_private_key: bytes

    @property
    def keys(self) -> dict[str, bytes]:
        """The column keys of the encrypted twin."""
        return column_keys(self.version.master_key, self.version.manifest)

    def grant(self) -> DealGrant:
        """Return the hospital's part of the deal; nothing is paid."""
        return DealGrant(
            datasetVersion=bytes32(self.version.version_id),
            owner=address(ZERO_ADDRESS),
            broker=address(address_of(self.broker_private_key)),
            price=uint256(0),
            withheldBps=uint256(0),
            policyDigest=bytes32(self.policy.digest()),
        )


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Rehearsal:
    """The whole stage: hospitals, plan, a deal of no money, and the key that the result is sealed for."""

    plan: Plan
    hospitals: tuple[RehearsalHospital, ...]
    deal: Deal
    result_key: SealingKey

    @property
    def deal_id(self) -> str:
        """The id of the deal on the stage; no chain has it."""
        return self.deal.deal_id(REHEARSAL_DOMAIN)

    def job(self) -> dict[str, object]:
        """Return the header of the job frame, as a pool would send it."""
        return {
            "op": "job",
            "chain_id": REHEARSAL_DOMAIN.chain_id,
            "market": REHEARSAL_DOMAIN.contract,
            "deal_id": self.deal_id,
            "deal": self.deal.to_json(),
            "plan": to_hex(encode_canonical(self.plan)),
            "result_key": to_hex(self.result_key.public_key),
            "hospitals": [
                {
                    "manifest": to_hex(encode_canonical(hospital.version.manifest)),
                    "dictionary": to_hex(encode_canonical(hospital.dictionary)),
                    "policy": to_hex(encode_canonical(hospital.policy)),
                }
                for hospital in self.hospitals
            ],
        }


def build_rehearsal(plan: Plan, twins: Sequence[TwinHospital]) -> Rehearsal:
    """Encrypt the twins under throwaway keys and make the deal.

    Raises:
        InputError: a twin has values that its own dictionary doesn't allow.
    """
    hospitals = tuple(_hospital(item) for item in twins)
    result_key = SealingKey.from_seed(secrets.token_bytes(SEED_BYTES))
    deal = Deal(
        requestDigest=bytes32(_NO_DIGEST),
        requester=address(ZERO_ADDRESS),
        planDigest=bytes32(plan.digest()),
        resultKeyDigest=bytes32(sha256_digest(result_key.public_key)),
        appRelease=bytes32(_NO_DIGEST),
        appAuthor=address(ZERO_ADDRESS),
        appPrice=uint256(0),
        appWithheldBps=uint256(0),
        pool=address(ZERO_ADDRESS),
        poolPrice=uint256(0),
        stake=uint256(0),
        teeKind=uint256(int(TeeKind.SIMULATED_SGX)),
        sizeClass=uint256(SIZE_CLASSES[0].number),
        minGrants=uint256(len(hospitals)),
        deadline=uint256(2**40),
        grants=tuple(hospital.grant() for hospital in hospitals),
    )
    return Rehearsal(plan, hospitals, deal, result_key)


def _hospital(twin: TwinHospital) -> RehearsalHospital:
    dictionary, store = twin.documents.dictionary, open_store(f"memory://dry-run-{secrets.token_hex(16)}")
    version = _encrypt(twin.twin, dictionary, store)
    return RehearsalHospital(dictionary, twin.policy, version, store, generate_private_key())


def _encrypt(twin: pa.Table, dictionary: DataDictionary, store: Store) -> WrittenVersion:
    # The linter's doubts were decided at publication, about the patients; nobody stands behind a twin's rows.
    accepted = {finding.name: _REASON for finding in lint_cohort(twin, dictionary)}
    dataset = to_hex(secrets.token_bytes(32))
    return write_version(twin, dictionary, dataset=dataset, previous=None, store=store, accepted_findings=accepted)
