from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from heartify.chain.client import MAX_LOG_BLOCKS, MIN_LOG_BLOCKS, ContractClient
from heartify.chain.rpc import connect
from heartify.errors import ChainError, UsageError

REGISTRY = "0x" + "22" * 20


class RangeLimitedNode:
    """Answers eth_getLogs for ranges of at most `limit` blocks and remembers which it answered."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.answered: list[tuple[int, int]] = []

    def __call__(self, params: list[Any]) -> dict[str, Any]:
        first, last = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        if last - first + 1 > self.limit:
            return {"error": {"code": -32005, "message": "query exceeds the limit"}}
        self.answered.append((first, last))
        return {"result": []}


@pytest.fixture
def read(node: Any) -> Callable[[RangeLimitedNode, int, int], None]:
    def read_all(limited: RangeLimitedNode, first: int, head: int) -> None:
        node.answers |= {"eth_blockNumber": {"result": hex(head)}, "eth_getLogs": limited}
        connection = connect(node.rpc_url, timeout_seconds=5)
        try:
            list(ContractClient(connection, "Registry", REGISTRY, "latest")._logs("PoolRegistered", first))
        finally:
            connection.close()

    return read_all


def assert_covers(ranges: list[tuple[int, int]], first: int, last: int) -> None:
    """Every block once, in order: a gap would hide a deal, an overlap would show it twice."""
    assert ranges[0][0] == first
    assert ranges[-1][1] == last
    assert all(after[0] == before[1] + 1 for before, after in itertools.pairwise(ranges))


@pytest.mark.parametrize("head", [10, 9 + MAX_LOG_BLOCKS, 10 + MAX_LOG_BLOCKS, 10_007])
def test_every_block_is_asked_for_once_in_bounded_ranges(read: Any, head: int) -> None:
    limited = RangeLimitedNode(MAX_LOG_BLOCKS)

    read(limited, 10, head)

    assert_covers(limited.answered, 10, head)
    assert max(last - first + 1 for first, last in limited.answered) <= MAX_LOG_BLOCKS


@pytest.mark.parametrize("limit", [1_999, 500, 100, MIN_LOG_BLOCKS])
def test_a_node_that_limits_the_range_is_asked_for_less(read: Any, limit: int) -> None:
    limited = RangeLimitedNode(limit)

    read(limited, 0, 4_321)

    assert_covers(limited.answered, 0, 4_321)


def test_a_node_that_refuses_small_ranges_too_is_a_chain_error(read: Any) -> None:
    with pytest.raises(ChainError, match="query exceeds the limit"):
        read(RangeLimitedNode(3), 0, 4_321)


def test_nothing_is_asked_for_beyond_the_head(read: Any) -> None:
    limited = RangeLimitedNode(MAX_LOG_BLOCKS)

    read(limited, 11, 10)

    assert limited.answered == []


def test_a_filter_that_the_event_has_not_is_a_usage_error(node: Any) -> None:
    connection = connect(node.rpc_url)
    client = ContractClient(connection, "Registry", REGISTRY, "latest")

    with pytest.raises(UsageError, match="no indexed dataset"):
        list(client._logs("PoolRegistered", 0, dataset=b"\x00" * 32))

    connection.close()
