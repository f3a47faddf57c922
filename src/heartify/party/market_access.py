"""A party's way to the market: the deployment document, its node, and its account as a sender."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from heartify.chain.deploy import verify_deployment
from heartify.chain.deployment import Deployment, load_deployment, store_deployment
from heartify.chain.market import MarketClient
from heartify.chain.registry import RegistryClient
from heartify.chain.rpc import Connection, connect
from heartify.chain.sender import Sender
from heartify.chain.token import TokenClient

DEPLOYMENT_FILE = "deployment.json"


@dataclasses.dataclass(frozen=True, slots=True)
class MarketAccess:
    """Clients of one market; they can only read unless made with an account's private key."""

    deployment: Deployment
    connection: Connection
    market: MarketClient
    registry: RegistryClient
    token: TokenClient
    sender: Sender | None


def adopt_deployment(home: Path, source: Path) -> Deployment:
    """Copy a deployment document into a home, after checking that the chain holds it.

    Raises:
        InputError, ChainError, IntegrityError: it can't be read, reached, or isn't what the chain holds.
    """
    deployment = load_deployment(source)
    verify_deployment(connect(deployment.rpc_url), deployment)
    store_deployment(home / DEPLOYMENT_FILE, deployment)
    return deployment


def open_market(home: Path, private_key: bytes | None = None) -> MarketAccess:
    """Open the market of a home's deployment.

    Raises:
        InputError: the home has no deployment.
        ChainError: the node can't be reached or serves another chain.
    """
    deployment = load_deployment(home / DEPLOYMENT_FILE)
    connection = connect(deployment.rpc_url, expected_chain_id=deployment.chain_id)
    sender = None if private_key is None else Sender(connection, private_key)
    return MarketAccess(
        deployment,
        connection,
        MarketClient(connection, deployment, sender),
        RegistryClient(connection, deployment, sender),
        TokenClient(connection, deployment.token, sender=sender),
        sender,
    )
