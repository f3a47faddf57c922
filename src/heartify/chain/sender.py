"""Send contract calls as signed EIP-1559 transactions from one account.

Every call is simulated first: what would revert raises RevertError, is never sent and uses no nonce. The private key
stays in this process: it is in no repr, log or message, and the node never holds it.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from eth_account import Account
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError
from web3.types import TxParams, TxReceipt, Wei

from heartify.chain.nonces import nonces_of
from heartify.chain.reasons import NO_REASON, chain_errors, reason_of, rpc_message
from heartify.chain.rpc import Connection
from heartify.errors import ChainError, RevertError
from heartify.protocol.canonical import to_hex
from heartify.protocol.signing import address_of

RECEIPT_TIMEOUT_SECONDS = 180.0
MAX_TRANSACTION_GAS = 2**24  # EIP-7825
_FIRST_POLL_SECONDS = 0.02
_LAST_POLL_SECONDS = 1.0
_NONCE_ATTEMPTS = 5
_NONCE_COMPLAINTS = ("nonce too low", "nonce too high", "already known", "already imported", "replacement transaction")


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that is in a block and succeeded."""

    tx_hash: str
    block_number: int
    gas_used: int
    receipt: TxReceipt = dataclasses.field(repr=False, compare=False)


class Sender:
    """One account at one node; safe to share between threads."""

    def __init__(
        self, connection: Connection, private_key: bytes, *, receipt_timeout_seconds: float = RECEIPT_TIMEOUT_SECONDS
    ) -> None:
        self.connection = connection
        self.address = address_of(private_key)
        self._private_key = private_key
        self._receipt_timeout_seconds = receipt_timeout_seconds
        self._nonces = nonces_of(connection.rpc_url, self.address)

    def __repr__(self) -> str:
        return f"Sender({self.address})"

    def __reduce__(self) -> str:
        raise TypeError("a Sender holds a private key and is not serialised")

    def send(self, call: ContractFunction | ContractConstructor, *, gas_limit: int | None = None) -> Sent:
        """Simulate, sign, send and wait until the transaction is in a block.

        Raises:
            RevertError: the contract refuses; in the simulation (nothing was sent) or, rarely, in the block.
            ChainError: the node can't be reached, refuses, or includes the transaction in no block in time.
        """
        with chain_errors("simulation"):
            estimate = call.estimate_gas({"from": self._checksum_address()})
        gas = gas_limit or max(estimate, min(estimate * 6 // 5 + 10_000, MAX_TRANSACTION_GAS))
        with chain_errors("sending"):
            tx_hash, transaction = self._sign_and_send(call, gas)
        with chain_errors("receipt"):
            receipt = self._wait(tx_hash)
        if receipt["status"] != 1:
            raise RevertError(self._replay(transaction, receipt), hint="the state changed between simulation and block")
        return Sent(to_hex(tx_hash), int(receipt["blockNumber"]), int(receipt["gasUsed"]), receipt)

    def _sign_and_send(self, call: ContractFunction | ContractConstructor, gas: int) -> tuple[bytes, TxParams]:
        web3 = self.connection.web3
        with self._nonces.lock:
            for attempt in range(_NONCE_ATTEMPTS):
                transaction = self._build(call, gas)
                raw = Account.sign_transaction(dict(transaction), self._private_key).raw_transaction
                try:
                    tx_hash = bytes(web3.eth.send_raw_transaction(raw))
                except Web3RPCError as exc:
                    if not any(complaint in rpc_message(exc).lower() for complaint in _NONCE_COMPLAINTS):
                        raise
                    # Another process used the nonce for the same account: ask the node anew.
                    self._nonces.forget()
                    time.sleep(0.05 * (attempt + 1))
                    continue
                self._nonces.used(int(transaction["nonce"]), tx_hash)
                return tx_hash, transaction
        raise ChainError(
            f"the chain refused every nonce of {self.address}",
            hint="another program sends from this account; try again",
        )

    def _build(self, call: ContractFunction | ContractConstructor, gas: int) -> TxParams:
        web3 = self.connection.web3
        base_fee = int(web3.eth.get_block("latest").get("baseFeePerGas", 0))
        tip = int(web3.eth.max_priority_fee)
        return call.build_transaction(
            {
                "chainId": self.connection.chain_id,
                "from": self._checksum_address(),
                "nonce": self._nonces.next(web3, self.address),
                "gas": gas,
                "maxFeePerGas": Wei(2 * base_fee + tip),  # holds for six full blocks in a row (EIP-1559)
                "maxPriorityFeePerGas": Wei(tip),
                "value": Wei(0),
            }
        )

    def _wait(self, tx_hash: bytes) -> TxReceipt:
        give_up = time.monotonic() + self._receipt_timeout_seconds
        pause = _FIRST_POLL_SECONDS
        while True:
            try:
                return self.connection.web3.eth.get_transaction_receipt(tx_hash)  # type: ignore[arg-type]
            except TransactionNotFound:
                if time.monotonic() > give_up:
                    raise ChainError(
                        f"transaction {to_hex(tx_hash)} is in no block yet",
                        hint="it may still come in: look it up before sending again",
                    ) from None
            time.sleep(pause)
            pause = min(pause * 1.2, _LAST_POLL_SECONDS)

    def _replay(self, transaction: TxParams, receipt: TxReceipt) -> str:
        """Return the reason of a failed receipt by repeating the call on the state before and after its block."""
        if receipt["gasUsed"] >= transaction["gas"]:
            return "out of gas"
        call: dict[str, Any] = {key: transaction[key] for key in ("from", "to", "data") if key in transaction}
        for block in (receipt["blockNumber"] - 1, receipt["blockNumber"]):
            try:
                self.connection.web3.eth.call(call, block)  # type: ignore[arg-type]
            except ContractLogicError as exc:
                return reason_of(exc)
            except Web3RPCError:
                continue  # the node no longer holds that state
        return NO_REASON

    def _checksum_address(self) -> Any:
        return self.connection.web3.to_checksum_address(self.address)
