"""The typed client of the market's ERC-20 token, and the unsafe test token of the embedded chain."""

from __future__ import annotations

from heartify.chain.client import ContractClient
from heartify.chain.rpc import Connection, Finality
from heartify.chain.sender import Sender, Sent


class TokenClient(ContractClient):
    """Any ERC-20 with the metadata extension (EIP-20); amounts are in base units."""

    def __init__(
        self, connection: Connection, address: str, sender: Sender | None = None, finality: Finality = "latest"
    ) -> None:
        super().__init__(connection, "UnsafeTestToken", address, finality, sender)

    def approve(self, spender: str, amount: int) -> Sent:
        """Let `spender` take up to `amount` of the sender's tokens."""
        return self._send("approve", spender, amount)

    def transfer(self, receiver: str, amount: int) -> Sent:
        """Send tokens."""
        return self._send("transfer", receiver, amount)

    def balance_of(self, account: str, *, block: Finality | None = None) -> int:
        """Return an account's tokens."""
        return int(self._read("balanceOf", account, block=block))

    def allowance(self, owner: str, spender: str, *, block: Finality | None = None) -> int:
        """Return how many of the owner's tokens the spender may take."""
        return int(self._read("allowance", owner, spender, block=block))

    def symbol(self) -> str:
        """Return the token's symbol."""
        return str(self._read("symbol"))

    def decimals(self) -> int:
        """Return the power of ten of base units in one token."""
        return int(self._read("decimals"))


class UnsafeTestTokenClient(TokenClient):
    """The embedded chain's token, which anyone can mint: it is worth nothing."""

    def mint(self, account: str, amount: int) -> Sent:
        """Make tokens out of nothing."""
        return self._send("mint", account, amount)
