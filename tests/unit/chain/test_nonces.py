from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from heartify.chain.nonces import AccountNonces, nonces_of
from heartify.chain.rpc import Connection, connect

ACCOUNT = "0x" + "ab" * 20
TX_HASH = b"\x01" * 32


@pytest.fixture
def connection(node: Any) -> Iterator[Connection]:
    made = connect(node.rpc_url, timeout_seconds=5)
    yield made
    made.close()


def test_the_nodes_pending_count_decides_at_first(node: Any, connection: Connection) -> None:
    asked: list[Any] = []
    node.answers["eth_getTransactionCount"] = lambda params: asked.append(params) or {"result": hex(5)}

    assert AccountNonces().next(connection.web3, ACCOUNT) == 5
    assert asked[0][1] == "pending"


def test_a_node_that_lags_behind_does_not_give_the_same_nonce_twice(node: Any, connection: Connection) -> None:
    node.answers |= {
        "eth_getTransactionCount": {"result": hex(5)},
        "eth_getTransactionByHash": {"result": {"hash": "0x" + TX_HASH.hex()}},
    }
    nonces = AccountNonces()

    nonces.used(5, TX_HASH)

    assert nonces.next(connection.web3, ACCOUNT) == 6


def test_a_chain_that_lost_the_transaction_leaves_no_gap(node: Any, connection: Connection) -> None:
    node.answers |= {"eth_getTransactionCount": {"result": hex(3)}, "eth_getTransactionByHash": {"result": None}}
    nonces = AccountNonces()

    nonces.used(5, TX_HASH)

    assert nonces.next(connection.web3, ACCOUNT) == 3


def test_a_node_that_is_ahead_is_believed(node: Any, connection: Connection) -> None:
    node.answers["eth_getTransactionCount"] = {"result": hex(9)}
    nonces = AccountNonces()

    nonces.used(5, TX_HASH)

    assert nonces.next(connection.web3, ACCOUNT) == 9


def test_one_account_at_one_node_has_one_counter() -> None:
    assert nonces_of("http://a", ACCOUNT) is nonces_of("http://a", ACCOUNT)
    assert nonces_of("http://a", ACCOUNT) is not nonces_of("http://b", ACCOUNT)
