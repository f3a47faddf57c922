"""Open a market: deploy the contracts, register the first app release, post its author's offer."""

from __future__ import annotations

import time

import msgspec

from heartify.chain.deploy import DEFAULT_STAKE_BPS, deploy
from heartify.chain.deployment import Deployment
from heartify.chain.market import MarketClient
from heartify.chain.registry import RegistryClient
from heartify.chain.sender import Sender
from heartify.protocol.app_release import AppRelease
from heartify.protocol.eip712 import ZERO_ADDRESS, bytes32, uint256
from heartify.protocol.orders import AppOffer, fresh_nonce, sign_order

OFFER_DAYS = 365
OFFER_USES = 1_000_000


def launch_market(
    sender: Sender,
    private_key: bytes,
    app_release: AppRelease,
    *,
    app_price: int,
    embedded: bool,
    token: str | None = None,
    stake_bps: int = DEFAULT_STAKE_BPS,
) -> Deployment:
    """Deploy a market and make its sender the author of the app release; return the deployment for everybody.

    Raises:
        UsageError: no token for a chain that isn't the embedded one.
        ChainError: the node refuses or can't be reached.
    """
    deployment = deploy(sender, token=token, stake_bps=stake_bps, embedded=embedded)
    RegistryClient(sender.connection, deployment, sender).register_release(app_release.release_id(), "")
    offer = AppOffer(
        appRelease=bytes32(app_release.release_id()),
        price=uint256(app_price),
        withheldBps=uint256(0),
        uses=uint256(OFFER_USES),
        requester=ZERO_ADDRESS,
        expiry=uint256(int(time.time()) + OFFER_DAYS * 86400),
        nonce=fresh_nonce(),
    )
    market = MarketClient(sender.connection, deployment, sender)
    market.post_app_offer(sign_order(offer, deployment.domain, private_key))
    return msgspec.structs.replace(deployment, app_release=msgspec.to_builtins(app_release))
