"""What a work order needs besides the deal: for each grant the broker's address, the store, and the documents.

All of it is public and checked by digest, so the pool can tell before it starts whether an enclave would refuse it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from heartify.chain.registry import RegistryClient
from heartify.cohort.storage.store import Store, open_registered_store
from heartify.cohort.storage.store_access import StoreAccess
from heartify.cohort.storage.verified_cache import VerifiedCache
from heartify.cohort.storage.version_files import build_fetch
from heartify.errors import ChainError
from heartify.market.catalogue import VersionDocuments, load_documents, load_policy_bytes
from heartify.protocol.canonical import parse_canonical
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.grant_policy import GrantPolicy, check_plan_permitted
from heartify.protocol.plan import Plan
from heartify.protocol.plan_check import check_plan_fits


@dataclasses.dataclass(frozen=True, slots=True)
class GrantAccess:
    """One grant of a deal: where its broker listens, where its files lie, and its documents.

    With a `cache`, files are fetched once for all deals.
    """

    version: str
    broker_url: str
    store: Store
    documents: VersionDocuments
    policy_bytes: bytes
    cache: VerifiedCache | None = None

    def get_file(self, file: str) -> bytes:
        """Return one encrypted file of the version as the store has it; the enclave checks it.

        Raises:
            IntegrityError: the manifest lists no such file, or the store has other bytes.
            ServiceError: the store can't be read.
        """
        return build_fetch(self.store, self.documents.manifest, self.cache)(file)


def locate_grants(
    registry: RegistryClient, deal: Deal, stores: StoreAccess | None = None, cache: VerifiedCache | None = None
) -> tuple[GrantAccess, ...]:
    """Find and read what a deal's grants need.

    Raises:
        ChainError: the registry doesn't know a version.
        ServiceError, IntegrityError, DocumentError: a store can't be read or holds something else.
        PolicyError, UsageError: its address leads where `stores` doesn't let addresses of the chain lead.
    """
    urls = {str(event.version): (str(event.dataset), event.uri) for event in registry.version_events()}
    brokers = {str(endpoint.dataset): endpoint.uri for endpoint in registry.broker_endpoints()}
    located = (_locate(grant, urls, brokers, stores or StoreAccess()) for grant in deal.grants)
    return tuple(dataclasses.replace(access, cache=cache) for access in located)


def check_plan_for(plan: Plan, grants: tuple[GrantAccess, ...]) -> None:
    """Check what the enclave would refuse anyway, before a machine is spent on it.

    Raises:
        PolicyError, InputError: the plan isn't permitted or doesn't fit.
    """
    for access in grants:
        check_plan_permitted(plan, parse_canonical(access.policy_bytes, GrantPolicy))
        check_plan_fits(plan, access.documents.dictionary)


def _locate(
    grant: DealGrant, urls: Mapping[str, tuple[str, str]], brokers: Mapping[str, str], stores: StoreAccess
) -> GrantAccess:
    if grant.datasetVersion not in urls:
        raise ChainError(f"the registry does not know the dataset version {grant.datasetVersion}")
    dataset, url = urls[grant.datasetVersion]
    store = open_registered_store(url, stores)
    documents = load_documents(store, grant.datasetVersion)
    policy_bytes = load_policy_bytes(store, grant.datasetVersion, grant.policyDigest)
    return GrantAccess(grant.datasetVersion, brokers.get(dataset, ""), store, documents, policy_bytes)
