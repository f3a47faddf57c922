"""Withdraw a dataset version for good: destroy its key (crypto-shredding), sign the receipt, and tell the market.

The order makes every interruption harmless. Before the broker's transaction the version is usable; after it, its key is
out of use for ever, and each call goes on where the one before stopped:

    1 shred copies of the key elsewhere in the home    4 sign and keep the destruction receipt
    2 the broker revokes, and overwrites the key       5 withdraw the version on chain
    3 erase what the database still holds of it        6 put the receipt beside the version in the store

The version's files may be removed too, which is tidiness: copies can be anywhere, and without the key they are noise.
The change ledger stays: without it, a successor with one patient fewer would go unnoticed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from heartify.broker.store import BrokerStore
from heartify.cohort.storage.names import version_folder
from heartify.cohort.storage.store import Store
from heartify.cohort.storage.unreferenced import remove_version
from heartify.errors import RevertError, UsageError
from heartify.party.home import load_document, store_document
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.destruction import (
    DESTRUCTION_FILE,
    DestructionMethod,
    DestructionReason,
    DestructionReceipt,
    sign_destruction,
    verify_destruction,
)
from heartify.protocol.eip712 import Domain
from heartify.protocol.signing import address_of, sign_digest

ShredCopies = Callable[[str, str], None]
"""Destroy every copy of a key that some part of the home keeps, given dataset and version; again without harm."""

_ALREADY_WITHDRAWN = "registry: version already withdrawn"
_ZERO = "0x" + "00" * 32


class Registry(Protocol):
    """What a withdrawal needs of `heartify.chain.registry.RegistryClient`."""

    def withdraw_version(self, version: str) -> object:
        """Keep a version out of new deals for ever."""
        ...

    def dataset_of(self, version: str, *, block: Literal["latest"]) -> str:
        """Return the dataset of a version; zero for an unknown one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalPorts:
    """What a withdrawal works with. Registry and store are opened only when their turn comes: either may be away."""

    broker_store: BrokerStore
    destructions: Path
    domain: Domain
    broker_private_key: bytes = field(repr=False)
    registry: Callable[[], Registry]
    store: Callable[[], Store]
    clock: Callable[[], int]
    shred_copies: tuple[ShredCopies, ...] = ()


def withdraw_version(
    version: str,
    ports: WithdrawalPorts,
    *,
    reason: DestructionReason = DestructionReason.UNSPECIFIED,
    remove_files: bool = False,
) -> DestructionReceipt:
    """Withdraw a version of this hospital, and return its destruction receipt; a second call completes a first one.

    Raises:
        UsageError: this hospital has no such version.
        ServiceError: the broker's database is in use or the store can't be reached; call again.
        ChainError: the registry could not be told; the key is destroyed all the same; call again.
    """
    dataset = _dataset_of(version, ports.broker_store)
    for shred in ports.shred_copies:
        shred(dataset, version)
    ports.broker_store.revoke_version(version)
    method = ports.broker_store.erase_revoked_keys()
    receipt = _keep_receipt(dataset, version, ports, reason, method)
    withdraw_on_chain(version, ports.registry())
    _tidy_store(version, ports.store(), receipt, remove_files=remove_files)
    return receipt


def withdraw_on_chain(version: str, registry: Registry) -> None:
    """Withdraw a version in the registry, unless it is withdrawn there already or was never registered.

    Raises ChainError.
    """
    try:
        registry.withdraw_version(version)
    except RevertError as exc:
        is_done = exc.reason == _ALREADY_WITHDRAWN or registry.dataset_of(version, block="latest") == _ZERO
        if not is_done:
            raise


def receipt_file(destructions: Path, version: str) -> Path:
    """Return where the hospital keeps a version's destruction receipt."""
    return destructions / f"{version.removeprefix('0x')}.json"


def _dataset_of(version: str, broker_store: BrokerStore) -> str:
    for held, dataset, _ in broker_store.versions():
        if held == version:
            return dataset
    raise UsageError(f"this hospital has no version {version}", hint="`heartify hospital status` lists them")


def _tidy_store(version: str, store: Store, receipt: DestructionReceipt, *, remove_files: bool) -> None:
    """Put the receipt where the version lies or lay; a store that is filled from elsewhere gets it from there."""
    if store.is_read_only:
        return
    if remove_files:
        remove_version(store, version)
    store.put(f"{version_folder(version)}/{DESTRUCTION_FILE}", encode_canonical(receipt))


def _keep_receipt(
    dataset: str, version: str, ports: WithdrawalPorts, reason: DestructionReason, method: DestructionMethod
) -> DestructionReceipt:
    """Return the receipt that is kept already, else sign one and keep it: a version has one receipt."""
    path = receipt_file(ports.destructions, version)
    signer = address_of(ports.broker_private_key)
    if path.exists():
        kept = load_document(path, DestructionReceipt, hint="restore the home from a backup")
        verify_destruction(kept, signer, version=version)
        return kept
    # Zeros stand for a key that an earlier release of this program deleted without noting its commitment.
    unsigned = DestructionReceipt(
        dataset=dataset,
        dataset_version=version,
        key_commitment=ports.broker_store.destroyed_key(version) or _ZERO,
        destroyed_at=ports.clock(),
        reason=reason,
        method=method,
        chain_id=ports.domain.chain_id,
        market=ports.domain.contract,
        signer=signer,
        signature="0x",
    )
    receipt = sign_destruction(unsigned, lambda digest: sign_digest(ports.broker_private_key, digest))
    store_document(path, receipt)
    return receipt
