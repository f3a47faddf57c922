from __future__ import annotations

import concurrent.futures
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from heartify.chain import sender as sender_module
from heartify.chain.deploy import deploy
from heartify.chain.market import MarketClient
from heartify.chain.node import EmbeddedChain, unsafe_fund
from heartify.chain.rpc import connect
from heartify.chain.sender import Sender
from heartify.chain.token import UnsafeTestTokenClient
from heartify.errors import ChainError, RevertError
from heartify.protocol.signing import address_of, generate_private_key


def test_eight_threads_share_an_account_without_losing_a_transaction(world: Any) -> None:
    party = world.new_party()

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        sent = list(threads.map(lambda _: party.token.mint(party.address, 1), range(40)))

    assert len({item.tx_hash for item in sent}) == 40
    assert party.token.balance_of(party.address) == 40


def test_a_nonce_used_by_another_program_is_noticed(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    party = world.new_party()
    party.token.mint(party.address, 1)
    web3 = world.connection.web3
    stale = web3.eth.get_transaction_count(web3.to_checksum_address(party.address))
    nonces = party.sender._nonces
    stale_answers, ask_the_node = [stale - 1], nonces.next
    monkeypatch.setattr(nonces, "next", lambda *args: stale_answers.pop() if stale_answers else ask_the_node(*args))

    sent = party.token.mint(party.address, 1)

    assert stale_answers == []
    assert party.token.balance_of(party.address) == 2
    assert sent.receipt["status"] == 1


def test_two_senders_with_one_key_share_their_nonces(world: Any) -> None:
    party = world.new_party()
    twin = UnsafeTestTokenClient(world.connection, world.deployment.token, Sender(world.connection, party.key))

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(client.mint, party.address, 1) for client in (party.token, twin) * 6]
        for job in jobs:
            job.result()

    assert party.token.balance_of(party.address) == 12


def test_the_private_key_is_in_no_repr_log_message_or_pickle(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    party = world.new_party()
    secret = party.key.hex()

    with caplog.at_level(logging.DEBUG):
        party.token.mint(party.address, 1)
        with pytest.raises(RevertError) as caught:
            party.market.withdraw(1)

    assert secret not in repr(party.sender) + str(caught.value) + caplog.text
    with pytest.raises(TypeError, match="not serialised"):
        pickle.dumps(party.sender)


def test_an_account_without_ether_is_told_so(world: Any) -> None:
    key = generate_private_key()
    token = UnsafeTestTokenClient(world.connection, world.deployment.token, Sender(world.connection, key))

    with pytest.raises(ChainError, match="not enough ether"):
        token.mint(address_of(key), 1)


def test_a_transaction_that_fails_in_its_block_is_a_revert_error_with_the_reason(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    party = world.new_party()
    call = party.market._function("withdraw", 1)
    # Skip the simulation only, as if the state had changed between it and the block.
    monkeypatch.setattr(type(call), "estimate_gas", lambda *_args, **_kwargs: 200_000)

    with pytest.raises(RevertError, match="market: insufficient escrow") as caught:
        party.sender.send(call)

    assert "between simulation and block" in str(caught.value.hint)


def test_too_little_gas_is_named(world: Any) -> None:
    party = world.new_party()

    with pytest.raises(RevertError, match="out of gas"):
        party.sender.send(party.token._function("mint", party.address, 1), gas_limit=30_000)


def test_a_transaction_in_no_block_is_a_chain_error_with_its_hash(world: Any) -> None:
    party = world.new_party()
    impatient = Sender(world.connection, party.key, receipt_timeout_seconds=0.2)
    world.connection.request("evm_setAutomine", [False])
    try:
        with pytest.raises(ChainError, match=r"transaction 0x[0-9a-f]{64} is in no block") as caught:
            impatient.send(party.token._function("mint", party.address, 1))
    finally:
        world.connection.request("evm_setAutomine", [True])
        world.connection.request("evm_mine", [])

    assert "look it up" in str(caught.value.hint)
    assert party.token.mint(party.address, 1).receipt["status"] == 1


def test_fees_follow_eip_1559(world: Any) -> None:
    party = world.new_party()

    sent = party.token.mint(party.address, 1)

    transaction = world.connection.web3.eth.get_transaction(sent.tx_hash)
    assert transaction["type"] == 2
    assert transaction["maxFeePerGas"] > transaction["maxPriorityFeePerGas"]
    assert sent.gas_used <= transaction["gas"] <= sender_module.MAX_TRANSACTION_GAS


def test_addresses_agree_with_eth_account(world: Any) -> None:
    party = world.new_party()

    assert party.sender.address == Account.from_key(party.key).address.lower()


def test_a_restart_keeps_contracts_deals_and_events_and_a_chain_that_is_down_is_named(
    anvil: Path, tmp_path: Path
) -> None:
    key = generate_private_key()
    with EmbeddedChain.start(tmp_path, binary=anvil) as chain:
        connection = connect(chain.rpc_url)
        unsafe_fund(chain.rpc_url, address_of(key), 10)
        deployment = deploy(Sender(connection, key), embedded=True)
        token = UnsafeTestTokenClient(connection, deployment.token, Sender(connection, key))
        token.mint(address_of(key), 9)
        token.approve(deployment.market, 9)
        MarketClient(connection, deployment, Sender(connection, key)).deposit(9)
        market = MarketClient(connection, deployment)
        cancelled = MarketClient(connection, deployment, Sender(connection, key)).cancel_nonce(5)
        port = int(chain.rpc_url.rsplit(":", 1)[1])

    with pytest.raises(ChainError, match="cannot be reached") as caught:
        market.free_of(address_of(key))
    assert "node is running" in str(caught.value.hint)

    with EmbeddedChain.start(tmp_path, binary=anvil, port=port):
        assert market.free_of(address_of(key)) == 9
        assert market.is_nonce_used(address_of(key), 5)
        receipt = connection.web3.eth.get_transaction_receipt(cancelled.tx_hash)
        assert receipt["blockNumber"] == cancelled.block_number
        assert len(list(market._logs("NoncesCancelled", deployment.block))) == 1
        MarketClient(connection, deployment, Sender(connection, key)).withdraw(9)
        assert market.free_of(address_of(key)) == 0
    connection.close()
