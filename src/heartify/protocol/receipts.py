"""What enclaves and brokers sign for the chain: the settlement statement and the key receipt.

The contract pays on one settlement signature by the enclave and one key receipt for each hospital, signed by that
hospital's own broker and naming the same enclave: so a pool can't invent an enclave, and a hospital can't be left unpaid.
"""

from __future__ import annotations

import dataclasses

from heartify.errors import DocumentError
from heartify.protocol.eip712 import TypedStruct, address, bytes32, uint256
from heartify.protocol.outcomes import FailureCode, Outcome


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyReceipt(TypedStruct):
    """A broker's word that it released this version's keys for this deal to this enclave."""

    deal: bytes32
    datasetVersion: bytes32  # noqa: N815 - the names of the typed data on chain
    enclave: address


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settlement(TypedStruct):
    """An enclave's word on how a deal ended; bit i of leftOut leaves the deal's grant i out of it."""

    deal: bytes32
    outcome: uint256
    code: uint256
    leftOut: uint256  # noqa: N815
    resultDigest: bytes32  # noqa: N815

    def is_left_out(self, index: int) -> bool:
        """Tell whether grant `index` is left out."""
        return bool(self.leftOut >> index & 1)

    def check(self, grants: int) -> None:
        """Raise DocumentError unless the statement is one that the contract could accept for `grants` grants."""
        if self.outcome not in tuple(Outcome) or self.leftOut >> grants:
            raise DocumentError("the settlement has an unknown outcome or leaves out a grant that the deal has not")
        if (self.outcome == Outcome.DELIVERED) != (self.code == 0) or self.code > 255:
            raise DocumentError("a delivered settlement has code 0, every other one a code from 1 to 255")

    def reason(self) -> str:
        """Return the outcome in words, with its code."""
        label = Outcome(self.outcome).label
        if self.outcome == Outcome.FAILED:
            return f"{label}: {failure_label(self.code)}"
        return label if self.outcome == Outcome.DELIVERED else f"{label}: disclosure code {self.code}"


def failure_label(code: int) -> str:
    """Return the name of a failure code, or the bare number for one that this version doesn't know."""
    return FailureCode(code).label if code in tuple(FailureCode) else f"code {code}"
