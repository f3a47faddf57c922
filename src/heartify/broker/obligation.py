"""The obligations of a key release, as names that an audit log and a metric can carry.

A refusal's words may change and its details are for the enclave's host; which obligation failed is what a steward and
an auditor count.
"""

from __future__ import annotations

from enum import StrEnum


class Obligation(StrEnum):
    """The steps of `KeyBroker.release`, in their order."""

    CHALLENGE = "challenge"
    STANDING = "standing"
    DEAL = "deal"
    GRANT = "grant"
    CHAIN = "chain"
    REQUESTER = "requester"
    PLAN = "plan"
    APPROVAL = "approval"
    EVIDENCE = "evidence"
    COLLATERAL = "collateral"
    KEYS = "keys"
    COUNTER = "counter"

    @property
    def concerns_a_real_deal(self) -> bool:
        """Say whether the chain had confirmed the deal before this step: only then isn't it just somebody's words."""
        return _ORDER.index(self) > _ORDER.index(Obligation.CHAIN)


_ORDER = tuple(Obligation)


class Progress:
    """How far one release has come: what fails next is the obligation that was reached last."""

    def __init__(self) -> None:
        self.obligation = Obligation.CHALLENGE
        self.deal = ""
        self.version = ""

    def concerns(self, deal: str, version: str) -> None:
        """Note which deal and version the request names; nothing is known of them yet."""
        self.deal, self.version = deal, version

    def reached(self, obligation: Obligation) -> None:
        """Note that a step begins."""
        self.obligation = obligation
