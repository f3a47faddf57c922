from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from heartify.chain.rpc import Connection, connect, is_loopback, shown_url
from heartify.errors import ChainError, UsageError


@pytest.fixture
def connection(node: Any) -> Iterator[Connection]:
    made = connect(node.rpc_url, timeout_seconds=5)
    yield made
    made.close()


def block(number: int) -> dict[str, Any]:
    return {"result": {"number": hex(number), "timestamp": hex(1000 + number), "extraData": "0x" + "ab" * 97}}


def test_connecting_asks_for_the_chain_id(connection: Connection) -> None:
    assert connection.chain_id == 31337


def test_another_chain_than_expected_is_refused(node: Any) -> None:
    with pytest.raises(ChainError, match="serves chain 31337, expected 1"):
        connect(node.rpc_url, expected_chain_id=1)


def test_an_unreachable_node_is_a_chain_error_with_a_hint_and_without_the_key_in_its_address() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://user:SECRET@127.0.0.1:{probe.getsockname()[1]}/v3/SECRET?key=SECRET"

        with pytest.raises(ChainError, match="cannot be reached") as caught:
            connect(url, timeout_seconds=1)

    assert "heartify chain start" in str(caught.value.hint)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("raw", [b"<html>hello</html>", b"[]", b'{"jsonrpc":"2.0","id":0,"result":"soon"}', b""])
def test_a_server_that_is_no_node_is_a_chain_error(node: Any, raw: bytes) -> None:
    node.raw = raw

    with pytest.raises(ChainError):
        connect(node.rpc_url)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8545", "ftp://host", "file:///etc/passwd", "http://"])
def test_an_address_that_is_not_http_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="http"):
        connect(url)


def test_finality_chooses_the_block(node: Any, connection: Connection) -> None:
    node.answers |= {"eth_blockNumber": {"result": hex(100)}, "eth_getBlockByNumber": block(36)}

    heads = [connection.head("latest"), connection.head("finalized"), connection.head(12), connection.head(200)]

    assert heads == [100, 36, 88, 0]
    assert connection.block_identifier("latest") == "latest"
    assert connection.block_identifier(12) == 88


def test_blocks_of_proof_of_authority_chains_are_read(node: Any, connection: Connection) -> None:
    node.answers["eth_getBlockByNumber"] = block(7)

    assert connection.time_utc_seconds() == 1007


def test_a_refused_method_is_a_chain_error(connection: Connection) -> None:
    with pytest.raises(ChainError, match="refused anvil_setBalance: method not found"):
        connection.request("anvil_setBalance", [])


def test_shown_addresses_have_no_path_and_no_user() -> None:
    assert shown_url("https://u:p@node.example:8545/v3/key?x=1") == "https://node.example:8545"
    assert shown_url("https://node.example/v3/key") == "https://node.example"


@pytest.mark.parametrize(
    ("url", "expected"), [("http://127.0.0.1:1", True), ("http://localhost", True), ("http://10.0.0.1", False)]
)
def test_loopback_addresses_are_recognised(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
