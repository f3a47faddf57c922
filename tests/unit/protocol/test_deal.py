"""The deal commits to everything in it, and to one market."""

from __future__ import annotations

import dataclasses

import pytest

from heartify.errors import IntegrityError
from heartify.protocol.deal import Deal, DealGrant, verify_deal_id
from heartify.protocol.eip712 import Domain, address, bytes32, uint256

DIGEST, ACCOUNT = bytes32("0x" + "ab" * 32), address("0x" + "cd" * 20)
OTHER_DIGEST, OTHER_ACCOUNT = bytes32("0x" + "ac" * 32), address("0x" + "ce" * 20)
DOMAIN = Domain(1, ACCOUNT)
GRANT = DealGrant(
    datasetVersion=DIGEST,
    owner=ACCOUNT,
    broker=ACCOUNT,
    price=uint256(10),
    withheldBps=uint256(0),
    policyDigest=DIGEST,
)
DEAL = Deal(
    requestDigest=DIGEST,
    requester=ACCOUNT,
    planDigest=DIGEST,
    resultKeyDigest=DIGEST,
    appRelease=DIGEST,
    appAuthor=ACCOUNT,
    appPrice=uint256(200),
    appWithheldBps=uint256(0),
    pool=ACCOUNT,
    poolPrice=uint256(3000),
    stake=uint256(40000),
    teeKind=uint256(1),
    sizeClass=uint256(1),
    minGrants=uint256(1),
    deadline=uint256(100),
    grants=(GRANT, dataclasses.replace(GRANT, price=uint256(20))),
)


def changed(value: object) -> object:
    if isinstance(value, int):
        return value + 1
    return {DIGEST: OTHER_DIGEST, ACCOUNT: OTHER_ACCOUNT}[value]


def variants() -> list[Deal]:
    plain = [field.name for field in dataclasses.fields(Deal) if field.name != "grants"]
    deals = [dataclasses.replace(DEAL, **{name: changed(getattr(DEAL, name))}) for name in plain]
    for field in dataclasses.fields(DealGrant):
        grant = dataclasses.replace(GRANT, **{field.name: changed(getattr(GRANT, field.name))})
        deals.append(dataclasses.replace(DEAL, grants=(grant, DEAL.grants[1])))
    return [
        *deals,
        dataclasses.replace(DEAL, grants=DEAL.grants[::-1]),
        dataclasses.replace(DEAL, grants=DEAL.grants[:1]),
        dataclasses.replace(DEAL, grants=()),
    ]


def test_the_deal_of_the_id_passes():
    verify_deal_id(DEAL, DOMAIN, DEAL.deal_id(DOMAIN))


@pytest.mark.parametrize("other", variants())
def test_every_field_is_in_the_id(other):
    with pytest.raises(IntegrityError, match="does not match its id"):
        verify_deal_id(other, DOMAIN, DEAL.deal_id(DOMAIN))


@pytest.mark.parametrize("domain", [Domain(2, ACCOUNT), Domain(1, OTHER_ACCOUNT)])
def test_the_same_deal_on_another_market_has_another_id(domain):
    with pytest.raises(IntegrityError, match="does not match its id"):
        verify_deal_id(DEAL, domain, DEAL.deal_id(DOMAIN))


def test_total_price_is_what_the_lab_locks_and_not_the_pools_stake():
    assert DEAL.total_price() == 200 + 3000 + 10 + 20
