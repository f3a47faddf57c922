"""The request: a quote as the lab's order, with the quoted prices as its limits. Pure."""

from __future__ import annotations

from heartify.errors import UsageError
from heartify.lab.home import LabSettings
from heartify.lab.quote import Quote
from heartify.protocol.canonical import sha256_digest, to_bytes
from heartify.protocol.eip712 import address, bytes32, uint256
from heartify.protocol.orders import GrantWanted, Request

REQUEST_SECONDS = 600


def check_terms(quote: Quote, min_grants: int, deadline_seconds: int, max_total: int | None) -> None:
    """Check what the lab asks for, before anything is signed.

    Raises:
        UsageError: the price is over the limit, or `min_grants` or `deadline_seconds` make no sense.
    """
    if max_total is not None and quote.total > max_total:
        raise UsageError(f"the price is {quote.total} base units, over the limit of {max_total}")
    if not 1 <= min_grants <= len(quote.grants) or deadline_seconds < 1:
        raise UsageError(
            f"{len(quote.grants)} hospitals fit, {min_grants} are demanded, within {deadline_seconds} seconds",
            hint="demand from 1 hospital to all that fit, and give a deadline in the future",
        )


def build_request(
    quote: Quote, settings: LabSettings, *, min_grants: int, deadline_seconds: int, now: int, nonce: int
) -> Request:
    """Return the request for a quote; `now` is the chain's clock."""
    wanted = tuple(
        GrantWanted(datasetVersion=bytes32(grant.entry.version), maxPrice=uint256(grant.price))
        for grant in quote.grants
    )
    return Request(
        requester=address(settings.account),
        planDigest=bytes32(quote.plan.digest()),
        grants=wanted,
        appRelease=quote.app.order.appRelease,
        maxAppPrice=quote.app.order.price,
        pool=quote.pool.order.pool,
        sizeClass=quote.pool.order.sizeClass,
        maxPoolPrice=quote.pool.order.price,
        teeKinds=quote.pool.order.teeKind,
        resultKeyDigest=bytes32(sha256_digest(to_bytes(settings.result_key))),
        minGrants=uint256(min_grants),
        deadlineSeconds=uint256(deadline_seconds),
        expiry=uint256(now + REQUEST_SECONDS),
        nonce=uint256(nonce),
    )
