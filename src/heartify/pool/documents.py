"""What a work order needs besides the deal: for each grant the broker's address, the store, and the documents.

All of it is public and checked by digest, so the pool can tell before it starts whether an enclave would refuse it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from heartify.chain.registry import RegistryClient
from heartify.cohort.storage.store import Store, open_store
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
    """One grant of a deal: where its broker listens, where its files lie, and its documents."""

    version: str
    broker_url: str
    store: Store
    documents: VersionDocuments
    policy_bytes: bytes

    def get_file(self, file: str) -> bytes:
        """Return one encrypted file of the version as the store has it; the enclave checks it.

        Raises:
            IntegrityError: the manifest lists no such file.
            ServiceError: the store can't be read.
        """
        return build_fetch(self.store, self.documents.manifest)(file)


def locate_grants(registry: RegistryClient, deal: Deal) -> tuple[GrantAccess, ...]:
    """Find and read what a deal's grants need.

    Raises:
        ChainError: the registry doesn't know a version.
        ServiceError, IntegrityError, DocumentError: a store can't be read or holds something else.
    """
    urls = {str(event.version): (str(event.dataset), event.uri) for event in registry.version_events()}
    brokers = {str(endpoint.dataset): endpoint.uri for endpoint in registry.broker_endpoints()}
    return tuple(_locate(grant, urls, brokers) for grant in deal.grants)


def check_plan_for(plan: Plan, grants: tuple[GrantAccess, ...]) -> None:
    """Check what the enclave would refuse anyway, before a machine is spent on it.

    Raises:
        PolicyError, InputError: the plan isn't permitted or doesn't fit.
    """
    for access in grants:
        check_plan_permitted(plan, parse_canonical(access.policy_bytes, GrantPolicy))
        check_plan_fits(plan, access.documents.dictionary)


def _locate(grant: DealGrant, urls: Mapping[str, tuple[str, str]], brokers: Mapping[str, str]) -> GrantAccess:
    if grant.datasetVersion not in urls:
        raise ChainError(f"the registry does not know the dataset version {grant.datasetVersion}")
    dataset, url = urls[grant.datasetVersion]
    store = open_store(url)
    documents = load_documents(store, grant.datasetVersion)
    policy_bytes = load_policy_bytes(store, grant.datasetVersion, grant.policyDigest)
    return GrantAccess(grant.datasetVersion, brokers.get(dataset, ""), store, documents, policy_bytes)
