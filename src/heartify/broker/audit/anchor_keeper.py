"""Anchor a running broker's log by itself: sign at the start, on schedule and at the end; submit while there is ether.

A failure is logged and tried again: an unreachable chain must not stop a broker, and its signed head waits meanwhile
for anyone to submit it. Only a log that isn't the anchored one stops the submitting, for good and loudly.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Self, TypeVar

import sqlalchemy as sa

from heartify.broker.audit.anchoring import AuditAnchoring
from heartify.broker.audit.submission import AnchorRegistry, Submitted, submit_newest
from heartify.chain.rpc import Connection
from heartify.errors import ChainError, HeartifyError, IntegrityError

ANCHOR_GAS = 80_000
"""More than a broker's first anchor costs; bench/gas.py measures it."""

T = TypeVar("T")

_TICK_SECONDS = 30.0
log = logging.getLogger("heartify.broker.audit")


def has_ether(connection: Connection, account: str) -> bool:
    """Tell whether an account can pay for an anchor at twice the present gas price.

    Raises ChainError when the node can't be reached.
    """
    web3 = connection.web3
    return int(web3.eth.get_balance(web3.to_checksum_address(account))) >= 2 * ANCHOR_GAS * int(web3.eth.gas_price)


class AnchorKeeper:
    """Anchors in a thread of its own; a context manager, or `tick` by hand.

    `can_pay` tells whether the account that `registry` sends from has enough ether; without a registry that sends, give
    `lambda: False`, and heads are signed only.
    """

    def __init__(
        self,
        anchoring: AuditAnchoring,
        registry: AnchorRegistry,
        *,
        can_pay: Callable[[], bool],
        tick_seconds: float = _TICK_SECONDS,
    ) -> None:
        self._anchoring = anchoring
        self._registry = registry
        self._can_pay = can_pay
        self._tick_seconds = tick_seconds
        self._is_broken = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit anchors", daemon=True)

    def __enter__(self) -> Self:
        self._guarded(self._anchoring.sign_head)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)
        self._guarded(self._anchoring.sign_head)
        self._guarded(self._submit)

    def tick(self) -> Submitted | None:
        """Sign if it is due, and submit what the chain doesn't have; return what was sent."""
        self._guarded(self._anchoring.sign_if_due)
        return self._guarded(self._submit)

    def _run(self) -> None:
        self.tick()
        while not self._stop.wait(self._tick_seconds):
            self.tick()

    def _submit(self) -> Submitted | None:
        if self._is_broken or not self._can_pay():
            return None
        return submit_newest(self._anchoring, self._registry)

    def _guarded(self, act: Callable[[], T]) -> T | None:
        try:
            return act()
        except ChainError as exc:
            log.warning("the audit log can't be anchored just now: %s", exc.message)
        except IntegrityError as exc:
            self._is_broken = True
            log.critical("the audit log is not the one that was anchored: %s", exc.message)
        except HeartifyError as exc:
            log.warning("the audit log can't be anchored: %s", exc.message)
        except sa.exc.SQLAlchemyError as exc:  # its text holds the statement: the type is enough
            log.warning("the audit log can't be written just now: %s", type(exc).__name__)
        return None
