from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heartify.chain.deploy import deploy, verify_deployment
from heartify.chain.market import MarketClient
from heartify.chain.reasons import chain_errors
from heartify.chain.token import TokenClient
from heartify.errors import ChainError, IntegrityError, UsageError


def test_a_deployment_is_what_the_chain_holds(world: Any) -> None:
    verify_deployment(world.connection, world.deployment)

    market = MarketClient(world.connection, world.deployment)
    assert market.token() == world.deployment.token
    assert market.registry() == world.deployment.registry
    assert market.stake_bps() == world.deployment.stake_bps
    assert market.domain_separator() == world.deployment.domain.separator()
    assert world.deployment.finality == "latest"


def test_a_market_can_be_deployed_for_a_token_that_exists(world: Any) -> None:
    deployment = deploy(world.new_party().sender, token=world.deployment.token, stake_bps=500, embedded=False)

    assert deployment.token == world.deployment.token
    assert deployment.stake_bps == 500
    assert deployment.finality == "finalized"
    assert deployment.token_decimals == TokenClient(world.connection, deployment.token).decimals()


def test_a_real_chain_gets_no_test_token(world: Any) -> None:
    with pytest.raises(UsageError, match="needs the address of its ERC-20 token"):
        deploy(world.new_party().sender, embedded=False)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"chain_id": 1}, ChainError, "serves chain 31337, the deployment is on 1"),
        ({"market": "0x" + "99" * 20}, ChainError, "no contract at the market's address"),
        ({"registry": "0x" + "99" * 20}, ChainError, "no contract at the registry's address"),
        ({"token": "0x" + "99" * 20}, ChainError, "no contract at the token's address"),
        ({"stake_bps": 1}, IntegrityError, "stake"),
    ],
)
def test_a_wrong_deployment_document_is_refused(
    world: Any, changes: dict[str, Any], error: type[Exception], match: str
) -> None:
    wrong = msgspec.structs.replace(world.deployment, **changes)

    with pytest.raises(error, match=match):
        verify_deployment(world.connection, wrong)


def test_a_deployment_that_names_another_registry_is_refused(world: Any) -> None:
    other = deploy(world.new_party().sender, token=world.deployment.token, embedded=True)
    mixed = msgspec.structs.replace(world.deployment, registry=other.registry)

    with pytest.raises(IntegrityError, match="registry"):
        verify_deployment(world.connection, mixed)


def test_a_contract_that_is_no_market_is_refused(world: Any) -> None:
    wrong = msgspec.structs.replace(world.deployment, market=world.deployment.token)

    with pytest.raises(IntegrityError, match="is no market"):
        verify_deployment(world.connection, wrong)


def test_reading_where_there_is_no_contract_is_a_chain_error(world: Any) -> None:
    token = TokenClient(world.connection, "0x" + "99" * 20)

    with pytest.raises(ChainError, match="no such contract"), chain_errors("reading"):
        token.balance_of(world.lab.address)
