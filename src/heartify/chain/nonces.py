"""The next nonce of an account, for threads of one process and for processes that share an account.

Nonces are given out under one lock per node and account. The node's pending count decides; the last nonce used here
overrules it only while the node still knows that transaction, so a chain that lost its newest blocks causes no gap.
"""

from __future__ import annotations

import threading

from web3 import Web3
from web3.exceptions import TransactionNotFound
from web3.types import Nonce

_REGISTRY_LOCK = threading.Lock()
_REGISTRY: dict[tuple[str, str], AccountNonces] = {}


class AccountNonces:
    """The nonces of one account at one node; hold `lock` from `next` until `used` or `forget`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._last: tuple[int, bytes] | None = None

    def next(self, web3: Web3, address: str) -> Nonce:
        """Return the nonce for the next transaction."""
        pending = web3.eth.get_transaction_count(web3.to_checksum_address(address), "pending")
        if self._last is not None and pending <= self._last[0] and _knows(web3, self._last[1]):
            return Nonce(self._last[0] + 1)
        return pending

    def used(self, nonce: int, tx_hash: bytes) -> None:
        """Record that the node took the transaction with this nonce."""
        self._last = (nonce, tx_hash)

    def forget(self) -> None:
        """Believe the node alone: what is remembered here was refused."""
        self._last = None


def nonces_of(rpc_url: str, address: str) -> AccountNonces:
    """Return the one AccountNonces of this process for a node and account."""
    with _REGISTRY_LOCK:
        return _REGISTRY.setdefault((rpc_url, address), AccountNonces())


def _knows(web3: Web3, tx_hash: bytes) -> bool:
    try:
        web3.eth.get_transaction(tx_hash)  # type: ignore[arg-type]
    except TransactionNotFound:
        return False
    return True
