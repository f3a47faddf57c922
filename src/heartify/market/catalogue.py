"""The catalogue: every live dataset version with its manifest, dictionary and grants, each checked by its digest.

Versions are found on chain and read from the hospital's own store. A version whose store can't be read, or gives other
bytes than the chain names, is listed with the reason and without content: one broken store must not hide the others.
"""

from __future__ import annotations

import dataclasses

from heartify.chain.events import VersionPublished
from heartify.chain.registry import RegistryClient
from heartify.cohort.storage.store import Store, open_registered_store, version_folder
from heartify.cohort.storage.store_access import StoreAccess
from heartify.cohort.storage.version_files import load_manifest, load_stored_dictionary
from heartify.errors import HeartifyError, IntegrityError
from heartify.market.order_book import LiveOrder, OrderBook
from heartify.protocol.canonical import MAX_DOCUMENT_BYTES, parse_canonical, sha256_digest
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.eip712 import ZERO_ADDRESS
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.manifest import Manifest
from heartify.protocol.orders import DatasetGrant


@dataclasses.dataclass(frozen=True, slots=True)
class VersionDocuments:
    """The public documents of a dataset version; their canonical encoding is what the store holds."""

    manifest: Manifest
    dictionary: DataDictionary


@dataclasses.dataclass(frozen=True, slots=True)
class OfferedGrant:
    """A live grant with its policy."""

    live: LiveOrder[DatasetGrant]
    policy: GrantPolicy


@dataclasses.dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One live dataset version: what it holds and on which terms; `problem` says why content is missing."""

    version: str
    dataset: str
    owner: str
    url: str
    documents: VersionDocuments | None
    grants: tuple[OfferedGrant, ...]
    problem: str | None
    store: Store | None = None

    def open_store(self) -> Store:
        """Return the version's store, which was opened within what this machine's operator allows.

        Raises:
            UsageError, PolicyError: it could not be.
        """
        return self.store or open_registered_store(self.url, StoreAccess())

    @property
    def hospital(self) -> str:
        """Return the name under which results list the hospital, or its account."""
        return self.grants[0].policy.hospital if self.grants else self.owner


def build_catalogue(
    registry: RegistryClient,
    book: OrderBook,
    now: int,
    requester: str | None = None,
    stores: StoreAccess | None = None,
) -> tuple[CatalogueEntry, ...]:
    """Return the live dataset versions with their live grants, oldest first.

    `stores` says where addresses of the chain may lead; by default to public hosts only.
    """
    grants = book.grants(now, requester)
    entries = []
    for event in registry.version_events():
        owner = registry.owners_of([event.version])[0]
        if owner == ZERO_ADDRESS:
            continue
        mine = [grant for grant in grants if grant.order.datasetVersion == event.version]
        entries.append(_entry(event, owner, mine, stores or StoreAccess()))
    return tuple(entries)


def load_documents(store: Store, version: str) -> VersionDocuments:
    """Read a version's manifest and dictionary from its store.

    Raises:
        ServiceError: the store can't be read.
        IntegrityError, DocumentError: it holds something else than the version.
    """
    manifest = load_manifest(store, version)
    return VersionDocuments(manifest, load_stored_dictionary(store, version, manifest))


def load_public_document(store: Store, version: str, manifest: Manifest, name: str) -> bytes | None:
    """Read one of a version's public documents; None when it was published without.

    Raises:
        ServiceError: the store can't be read.
        IntegrityError: it holds something else than the manifest names.
    """
    declared = next((document for document in manifest.documents if document.name == name), None)
    if declared is None:
        return None
    data = store.get(f"{version_folder(version)}/{name}", max_bytes=declared.size)
    if len(data) != declared.size or sha256_digest(data) != declared.digest:
        raise IntegrityError(f"document-digest: the store's {name} is not that of version {version}")
    return data


def load_policy_bytes(store: Store, version: str, policy_digest: str) -> bytes:
    """Read a grant policy from the version's store; raises like load_documents."""
    data = store.get(policy_file(version, policy_digest), max_bytes=MAX_DOCUMENT_BYTES)
    if sha256_digest(data) != policy_digest:
        raise IntegrityError(f"the store's grant policy is not {policy_digest}")
    return data


def policy_file(version: str, policy_digest: str) -> str:
    """Return where in its store a version's grant policy lies."""
    return f"{version_folder(version)}/grants/{policy_digest.removeprefix('0x')}.json"


def _entry(
    event: VersionPublished, owner: str, grants: list[LiveOrder[DatasetGrant]], stores: StoreAccess
) -> CatalogueEntry:
    version, dataset, url = event.version, event.dataset, event.uri
    try:
        store = open_registered_store(url, stores)
        documents = load_documents(store, version)
        offered = tuple(_offered(store, version, grant) for grant in grants)
    except HeartifyError as exc:
        return CatalogueEntry(version, dataset, owner, url, None, (), exc.message)
    except Exception as exc:  # noqa: BLE001 - anybody may register an address that makes some storage driver stumble
        return CatalogueEntry(version, dataset, owner, url, None, (), f"its store fails with {type(exc).__name__}")
    return CatalogueEntry(version, dataset, owner, url, documents, offered, None, store)


def _offered(store: Store, version: str, grant: LiveOrder[DatasetGrant]) -> OfferedGrant:
    data = load_policy_bytes(store, version, grant.order.policyDigest)
    return OfferedGrant(grant, parse_canonical(data, GrantPolicy))
