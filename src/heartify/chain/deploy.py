"""Deploy the contracts, and check that a deployment document is what the chain holds.

There is no upgrade key and no owner: after deployment nobody, the deployer included, has any power over the contracts.
"""

from __future__ import annotations

from typing import Any

from heartify.chain.abi import encode_arguments, find_entry, load_artifact
from heartify.chain.deployment import Deployment
from heartify.chain.market import MarketClient
from heartify.chain.reasons import chain_errors
from heartify.chain.rpc import Connection
from heartify.chain.sender import Sender, Sent
from heartify.chain.token import TokenClient
from heartify.errors import ChainError, IntegrityError, RevertError, UsageError

DEFAULT_STAKE_BPS = 1_000


def deploy(
    sender: Sender, *, token: str | None = None, stake_bps: int = DEFAULT_STAKE_BPS, embedded: bool
) -> Deployment:
    """Deploy Registry and Market, and on the embedded chain without `token` an UnsafeTestToken that anyone can mint.

    Raises:
        UsageError: no token for a chain that isn't the embedded one.
        ChainError: the node refuses or can't be reached.
    """
    if token is None and not embedded:
        raise UsageError("a real chain needs the address of its ERC-20 token", hint="give --token")
    connection = sender.connection
    block = connection.head() + 1
    if token is None:
        token, _ = _create(sender, "UnsafeTestToken")
    registry, _ = _create(sender, "Registry")
    market, _ = _create(sender, "Market", token, registry, stake_bps)
    erc20 = TokenClient(connection, token)
    deployment = Deployment(
        chain_id=connection.chain_id,
        rpc_url=connection.rpc_url,
        market=market,
        registry=registry,
        token=token,
        token_symbol=erc20.symbol(),
        token_decimals=erc20.decimals(),
        stake_bps=stake_bps,
        block=block,
        embedded=embedded,
        finality="latest" if embedded else "finalized",
    )
    # On a real chain the contracts aren't final yet; the receipts above say that they exist.
    _verify_contracts(connection, deployment)
    return deployment


def verify_deployment(connection: Connection, deployment: Deployment) -> None:
    """Check that the node's chain holds this deployment.

    Raises:
        ChainError: another chain, or no contract at an address.
        IntegrityError: the market uses another token, registry, stake or signing domain than the document says.
    """
    if connection.chain_id != deployment.chain_id:
        raise ChainError(
            f"the node serves chain {connection.chain_id}, the deployment is on {deployment.chain_id}",
            hint="point --rpc-url at a node of the deployment's chain",
        )
    for name in ("market", "registry", "token"):
        address = connection.web3.to_checksum_address(getattr(deployment, name))
        with chain_errors(f"code of the {name}"):
            code = connection.web3.eth.get_code(address)
        if not code:
            raise ChainError(
                f"there is no contract at the {name}'s address", hint="the embedded chain may have been started anew"
            )
    _verify_contracts(connection, deployment)


def _verify_contracts(connection: Connection, deployment: Deployment) -> None:
    market = MarketClient(connection, deployment)
    try:
        found = (market.token(block="latest"), market.registry(block="latest"), market.stake_bps(block="latest"))
    except RevertError as exc:
        raise IntegrityError("the contract at the market's address is no market") from exc
    if found != (deployment.token, deployment.registry, deployment.stake_bps):
        raise IntegrityError("the market's token, registry or stake is not what the deployment document says")
    if market.domain_separator(block="latest") != deployment.domain.separator():
        raise IntegrityError("the market signs under another domain than the deployment document says")


def _create(sender: Sender, name: str, *values: Any) -> tuple[str, Sent]:
    artifact = load_artifact(name)
    contract = sender.connection.web3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    has_constructor = any(entry.get("type") == "constructor" for entry in artifact.abi)
    inputs = find_entry(artifact.abi, "constructor")["inputs"] if has_constructor else []
    sent = sender.send(contract.constructor(*encode_arguments(inputs, values)))
    address = sent.receipt["contractAddress"]
    if address is None:
        raise ChainError(f"the receipt of {name}'s creation names no contract")
    return str(address).lower(), sent
