"""What enclaves and brokers sign for the chain: the settlement statement and the key receipt.

The contract pays on one settlement signature by the enclave and one key receipt for each hospital, signed by that
hospital's own broker and naming the same enclave: so no pool can invent an enclave, and no hospital is left unpaid.
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

    @property
    def kind(self) -> Outcome:
        """Return the outcome as delivered, withheld or failed."""
        return Outcome(int(self.outcome))

    def is_left_out(self, index: int) -> bool:
        """Tell whether grant `index` is left out."""
        return bool(self.leftOut >> index & 1)

    def check(self, grants: int) -> None:
        """Raise DocumentError unless the statement is one that the contract could accept for `grants` grants."""
        if self.outcome not in [int(known) for known in Outcome] or self.leftOut >> grants:
            raise DocumentError("the settlement has an unknown outcome or leaves out a grant that the deal has not")
        if (self.kind is Outcome.DELIVERED) != (self.code == 0) or self.code > 255:
            raise DocumentError("a delivered settlement has code 0, every other one a code from 1 to 255")

    def reason(self) -> str:
        """Return the outcome in words, with its code."""
        if self.kind is Outcome.FAILED:
            return f"{self.kind.label}: {failure_label(self.code)}"
        return self.kind.label if self.code == 0 else f"{self.kind.label}: disclosure code {self.code}"


def failure_label(code: int) -> str:
    """Return the name of a failure code, or the bare number for one that this version doesn't know."""
    return FailureCode(code).label if code in tuple(FailureCode) else f"code {code}"
