"""The typed client of Market.vy: escrow, bulletin, match, settle, concede, reclaim.

Amounts are in base units of the market's token. What is sent is simulated first; what the contract refuses raises
RevertError with its named reason and costs nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from heartify.chain.events import hex_of
from heartify.chain.market_events import MarketEvents
from heartify.chain.rpc import Finality
from heartify.chain.sender import Sent
from heartify.errors import ChainError, IntegrityError, UsageError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.deal import Deal
from heartify.protocol.orders import AppOffer, DatasetGrant, PoolOffer, Request, Signed
from heartify.protocol.outcomes import DealState
from heartify.protocol.receipts import Settlement


@dataclasses.dataclass(frozen=True, slots=True)
class Matched:
    """A deal made by one's own transaction."""

    deal_id: str
    deal: Deal
    gas_used: int
    tx_hash: str
    block_number: int


class MarketClient(MarketEvents):
    """Every function of the market; without a sender only the reads."""

    # escrow

    def deposit(self, amount: int) -> Sent:
        """Move tokens, approved before, into the sender's free balance."""
        return self._send("deposit", amount)

    def deposit_for(self, account: str, amount: int) -> Sent:
        """Move the sender's tokens into another account's free balance."""
        return self._send("depositFor", account, amount)

    def deposit_with_permit(self, amount: int, deadline_utc_seconds: int, permit_signature: str) -> Sent:
        """Approve by an EIP-2612 signature of 65 bytes (r, s, v) and deposit, in one transaction.

        Raises:
            UsageError: the signature has another length.
        """
        signature = to_bytes(permit_signature)
        if len(signature) != 65:
            raise UsageError("a permit's signature has 65 bytes")
        return self._send(
            "depositWithPermit", amount, deadline_utc_seconds, signature[64], signature[:32], signature[32:64]
        )

    def withdraw(self, amount: int) -> Sent:
        """Move free balance back to the sender's tokens."""
        return self._send("withdraw", amount)

    # bulletin

    def post_grant(self, grant: Signed[DatasetGrant]) -> Sent:
        """Publish a signed grant."""
        return self._send("postGrant", grant.order.to_abi(), to_bytes(grant.signature))

    def post_app_offer(self, offer: Signed[AppOffer]) -> Sent:
        """Publish a signed app offer."""
        return self._send("postAppOffer", offer.order.to_abi(), to_bytes(offer.signature))

    def post_pool_offer(self, offer: Signed[PoolOffer]) -> Sent:
        """Publish a signed pool offer."""
        return self._send("postPoolOffer", offer.order.to_abi(), to_bytes(offer.signature))

    def cancel_nonces(self, word: int, mask: int) -> Sent:
        """Cancel the sender's orders with the nonces 256 * word + bit, for each bit of `mask`."""
        return self._send("cancelNonces", word, mask)

    def cancel_nonce(self, nonce: int) -> Sent:
        """Cancel the sender's order with this nonce."""
        return self.cancel_nonces(nonce >> 8, 1 << (nonce & 0xFF))

    # deals

    def match_orders(
        self,
        grants: Sequence[Signed[DatasetGrant]],
        app_offer: Signed[AppOffer],
        pool_offer: Signed[PoolOffer],
        request: Signed[Request],
    ) -> Matched:
        """Match the orders into a deal and lock its prices; the request's signature may be "0x" when its maker sends.

        Raises:
            RevertError: an order or a balance does not permit it.
            IntegrityError: the deal in the receipt does not match its id, or is of another request.
        """
        sent = self._send(
            "matchOrders",
            [(grant.order.to_abi(), to_bytes(grant.signature)) for grant in grants],
            app_offer.order.to_abi(),
            to_bytes(app_offer.signature),
            pool_offer.order.to_abi(),
            to_bytes(pool_offer.signature),
            request.order.to_abi(),
            to_bytes(request.signature),
        )
        logs = self._logs_of_receipt("DealMatched", sent.receipt)
        if len(logs) != 1:
            raise ChainError(f"transaction {sent.tx_hash} matched {len(logs)} deals, expected one")
        matched = self._matched(logs[0])
        if to_bytes(matched.deal.requestDigest) != request.order.digest(self.domain):
            raise IntegrityError(f"deal {matched.deal_id} is not for the request that was sent")
        return Matched(matched.deal_id, matched.deal, sent.gas_used, sent.tx_hash, sent.block_number)

    def settle(
        self,
        deal: Deal,
        settlement: Settlement,
        *,
        enclave: str,
        key_receipt_signatures: Sequence[str],
        enclave_signature: str,
    ) -> Sent:
        """Settle a deal with the enclave's signature and one key receipt signature for each grant ("0x" when left out).

        Raises:
            IntegrityError: the settlement is for another deal.
            RevertError: the contract refuses it.
        """
        if settlement.deal != deal.deal_id(self.domain):
            raise IntegrityError("the settlement is for another deal")
        return self._send(
            "settle",
            deal.to_abi(),
            settlement.outcome,
            settlement.code,
            settlement.leftOut,
            to_bytes(settlement.resultDigest),
            enclave,
            [to_bytes(signature) for signature in key_receipt_signatures],
            to_bytes(enclave_signature),
        )

    def concede(self, deal: Deal) -> Sent:
        """Give a deal back, as its pool: the lab is refunded, the stake returns."""
        return self._send("concede", deal.to_abi())

    def reclaim(self, deal: Deal) -> Sent:
        """Refund the lab, with the pool's stake, after the deadline."""
        return self._send("reclaim", deal.to_abi())

    # reads

    def status_of(self, deal_id: str, *, block: Finality | None = None) -> DealState:
        """Return the state of a deal; NONE for an unknown id."""
        return DealState(int(self._read("statusOf", to_bytes(deal_id), block=block)))

    def free_of(self, account: str, *, block: Finality | None = None) -> int:
        """Return an account's free balance."""
        return int(self._read("freeOf", account, block=block))

    def locked_of(self, account: str, *, block: Finality | None = None) -> int:
        """Return an account's locked balance."""
        return int(self._read("lockedOf", account, block=block))

    def uses_of(self, order_digest: str, *, block: Finality | None = None) -> int:
        """Return how often an order for several uses has been matched."""
        return int(self._read("usesOf", to_bytes(order_digest), block=block))

    def is_nonce_used(self, maker: str, nonce: int, *, block: Finality | None = None) -> bool:
        """Tell whether an order's nonce is used up or cancelled."""
        return bool(self._read("isNonceUsed", maker, nonce, block=block))

    def hash_deal(self, deal: Deal, *, block: Finality | None = None) -> str:
        """Return the deal's id as the contract computes it."""
        return hex_of(self._read("hashDeal", deal.to_abi(), block=block))

    def domain_separator(self, *, block: Finality | None = None) -> bytes:
        """Return the contract's EIP-712 domain separator."""
        return bytes(self._read("domainSeparator", block=block))

    def token(self, *, block: Finality | None = None) -> str:
        """Return the address of the ERC-20 token that the market holds."""
        return str(self._read("token", block=block)).lower()

    def registry(self, *, block: Finality | None = None) -> str:
        """Return the address of the registry that names owners, authors and pools."""
        return str(self._read("registry", block=block)).lower()

    def stake_bps(self, *, block: Finality | None = None) -> int:
        """Return the pool's stake, in 1/10,000 of the pool's price."""
        return int(self._read("stakeBps", block=block))
