"""Words for people: titles of factors (for an indicator with the level's label), names of a deal's parties."""

from __future__ import annotations

import contextlib

from heartify.errors import HeartifyError
from heartify.lab.stores import open_dataset_store
from heartify.market.catalogue import load_documents, load_policy_bytes
from heartify.party.market_access import MarketAccess
from heartify.protocol.bundle import Receipt
from heartify.protocol.canonical import parse_canonical
from heartify.protocol.deal import Deal
from heartify.protocol.dictionary import DataDictionary, normalise_code
from heartify.protocol.eip712 import from_json
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.plan import Plan


def factor_titles(plan: Plan, dictionary: DataDictionary) -> dict[str, str]:
    """Return factor name (for a category also `name=code`) → title, where the dictionary has the column."""
    columns = {column.name: column for column in dictionary.columns}
    titles = {}
    for factor in plan.factors:
        column = columns.get(factor.column)
        if column is None:
            continue
        labels = {normalise_code(level.code): level.label for level in column.levels}
        level = None if factor.equals is None else labels.get(normalise_code(factor.equals), factor.equals)
        titles[factor.name] = column.title if level is None else f"{column.title}: {level}"
        if factor.reference is not None:
            # The columns of a category are named by their levels' codes: `grade=3`.
            titles |= {f"{factor.name}={code}": f"{column.title}: {label}" for code, label in labels.items()}
    return titles


def read_titles(access: MarketAccess, receipt: Receipt) -> dict[str, str]:
    """Return the titles from any dictionary of the deal that can still be read; none when no store answers."""
    urls = _store_urls(access)
    for grant in from_json(Deal, receipt.deal).grants:
        with contextlib.suppress(HeartifyError, KeyError):
            documents = load_documents(open_dataset_store(access, urls[grant.datasetVersion]), grant.datasetVersion)
            return factor_titles(receipt.plan, documents.dictionary)
    return {}


def read_party_names(access: MarketAccess, deal: Deal) -> dict[str, str]:
    """Return account → name of a deal's parties; a hospital's is that of its grant's policy, where it can be read."""
    names: dict[str, str] = {deal.requester: "lab", deal.pool: "pool", deal.appAuthor: "app author"}
    urls = _store_urls(access)
    for grant in deal.grants:
        with contextlib.suppress(HeartifyError, KeyError):
            store = open_dataset_store(access, urls[grant.datasetVersion])
            policy = parse_canonical(load_policy_bytes(store, grant.datasetVersion, grant.policyDigest), GrantPolicy)
            names[grant.owner] = policy.hospital
    return names


def _store_urls(access: MarketAccess) -> dict[str, str]:
    return {str(event.version): event.uri for event in access.registry.version_events()}
