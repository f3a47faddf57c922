"""Make the release: the plan's column keys, sealed to the attested enclave's key and signed by the broker."""

from __future__ import annotations

import dataclasses

from heartify.broker.store import HeldVersion
from heartify.cohort.encrypted.column_crypto import column_key
from heartify.protocol.canonical import encode_canonical, to_bytes, to_hex
from heartify.protocol.eip712 import Domain, address, bytes32
from heartify.protocol.key_release import ColumnKeys, Release, ReleaseRequest, release_digest, release_info
from heartify.protocol.plan import Plan
from heartify.protocol.receipts import KeyReceipt
from heartify.protocol.sealing import seal
from heartify.protocol.signing import address_of, sign_digest


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class ReleaseSigner:
    """The broker's signing key and the market that it signs for; not shown by repr."""

    domain: Domain
    private_key: bytes

    @property
    def address(self) -> str:
        """Return the broker's account."""
        return address_of(self.private_key)

    def sign(self, digest: bytes) -> str:
        """Sign 32 bytes."""
        return sign_digest(self.private_key, digest)


def seal_release(
    signer: ReleaseSigner,
    request: ReleaseRequest,
    *,
    deal_id: str,
    nonce: str,
    held: HeldVersion,
    plan: Plan,
    master_key: bytes,
) -> Release:
    """Seal the keys of the plan's columns, and of no others, to the enclave's key; sign release and key receipt.

    The sealing binds market, deal, version, broker, nonce and enclave, so it opens for this question only.

    Raises:
        IntegrityError: the enclave's key is no key that anything can be sealed to.
    """
    manifest = held.manifest
    dataset, version_nonce = to_bytes(manifest.dataset), to_bytes(manifest.version_nonce)
    keys = {
        column: to_hex(column_key(master_key, dataset=dataset, version_nonce=version_nonce, column=column))
        for column in plan.columns()
    }
    info = release_info(signer.domain, deal_id, held.version, signer.address, nonce, request.enclave)
    content = encode_canonical(ColumnKeys(dataset_version=held.version, keys=keys))
    sealed = seal(content, to_bytes(request.encryption_public_key), info)
    receipt = KeyReceipt(deal=bytes32(deal_id), datasetVersion=bytes32(held.version), enclave=address(request.enclave))
    return Release(
        dataset_version=held.version,
        sealed_keys=to_hex(sealed),
        release_signature=signer.sign(release_digest(info, sealed)),
        key_receipt_signature=signer.sign(receipt.digest(signer.domain)),
    )
