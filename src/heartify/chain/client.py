"""What the typed clients of Market, Registry and token have in common: reads at a finality, sends, bounded log queries.

A read refers to the deployment's finality unless the caller names another, so that a broker or pool never acts on a
block that may still be replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.types import EventData, TxReceipt

from heartify.chain.abi import encode_arguments, find_entry, load_artifact
from heartify.chain.reasons import chain_errors
from heartify.chain.rpc import Connection, Finality
from heartify.chain.sender import Sender, Sent
from heartify.errors import ChainError, UsageError

MAX_LOG_BLOCKS = 2_000
MIN_LOG_BLOCKS = 25


class ContractClient:
    """One contract at one address; without a sender it can only read."""

    def __init__(
        self, connection: Connection, artifact: str, address: str, finality: Finality, sender: Sender | None = None
    ) -> None:
        self.connection = connection
        self.address = address
        self.finality = finality
        self._sender = sender
        self._name = artifact
        self._abi = load_artifact(artifact).abi
        web3 = connection.web3
        self._contract: Contract = web3.eth.contract(address=web3.to_checksum_address(address), abi=self._abi)

    def _function(self, name: str, *values: Any) -> ContractFunction:
        inputs = find_entry(self._abi, "function", name)["inputs"]
        return self._contract.functions[name](*encode_arguments(inputs, values))

    def _read(self, name: str, *values: Any, block: Finality | None = None) -> Any:
        with chain_errors(f"{self._name}.{name}"):
            identifier = self.connection.block_identifier(self._finality_of(block))
            return self._function(name, *values).call(block_identifier=identifier)

    def _send(self, name: str, *values: Any) -> Sent:
        if self._sender is None:
            raise UsageError(f"{self._name}.{name} needs an account to send from")
        return self._sender.send(self._function(name, *values))

    def _logs(self, event: str, from_block: int, to: Finality | None = None, **indexed: Any) -> Iterator[EventData]:
        """Yield an event's logs, oldest first, asked for in ranges that nodes accept; None filters by nothing."""
        filters = self._filters(event, {name: value for name, value in indexed.items() if value is not None})
        with chain_errors(f"{self._name} events"):
            last = self.connection.head(self._finality_of(to))
        yield from self._logs_in_ranges(event, filters, from_block, last)

    def _filters(self, event: str, wanted: dict[str, Any]) -> dict[str, Any]:
        entries = [entry for entry in find_entry(self._abi, "event", event)["inputs"] if entry["name"] in wanted]
        if sum(entry["indexed"] for entry in entries) != len(wanted):
            raise UsageError(f"{event} has no indexed {', '.join(wanted)}")
        values = encode_arguments(entries, [wanted[entry["name"]] for entry in entries])
        return {entry["name"]: value for entry, value in zip(entries, values, strict=True)}

    def _logs_in_ranges(self, event: str, filters: dict[str, Any], first: int, last: int) -> Iterator[EventData]:
        span = MAX_LOG_BLOCKS
        while first <= last:
            end = min(first + span - 1, last)
            try:
                with chain_errors(f"{self._name} events"):
                    found = self._contract.events[event]().get_logs(
                        from_block=first, to_block=end, argument_filters=filters
                    )
            except ChainError:
                # Nodes limit the range or the number of logs, each in its own words: ask for less before giving up.
                if end - first < MIN_LOG_BLOCKS:
                    raise
                span = max(MIN_LOG_BLOCKS, (end - first + 1) // 2)
                continue
            yield from found
            first = end + 1

    def _logs_of_receipt(self, event: str, receipt: TxReceipt) -> list[EventData]:
        mine = [log for log in receipt["logs"] if log["address"].lower() == self.address]
        topic = self._contract.events[event]().topic.removeprefix("0x")
        return [
            self._contract.events[event]().process_log(log)
            for log in mine
            if log["topics"] and log["topics"][0].hex().removeprefix("0x") == topic
        ]

    def _finality_of(self, block: Finality | None) -> Finality:
        return self.finality if block is None else block
