"""How often one client, and everybody about one deal, may ask a broker.

A challenge costs a signature, a release a chain query and a verification: enough for every honest enclave, too little
to keep a broker busy with nonsense. Windows move, and live in memory: a restart forgives.
"""

from __future__ import annotations

import dataclasses
import math
import time

from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter


@dataclasses.dataclass(frozen=True, slots=True)
class RateLimits:
    """Limits in the words of the `limits` library, such as `60/minute`: for each client, and for each deal."""

    a_client: str = "600/minute"
    a_deal: str = "60/minute"


class RateLimiter:
    """Counts requests by client and by deal."""

    def __init__(self, rates: RateLimits) -> None:
        self._window = MovingWindowRateLimiter(MemoryStorage())
        self._client, self._deal = parse(rates.a_client), parse(rates.a_deal)

    def seconds_to_wait(self, client: str, deal: str) -> int:
        """Count a request about a deal; return 0 when it may go on, else after how many seconds to come back."""
        return self.seconds_to_wait_of_client(client) or self._count(self._deal, f"deal/{deal}")

    def seconds_to_wait_of_client(self, client: str) -> int:
        """Count a request whose deal isn't known yet."""
        return self._count(self._client, f"client/{client}")

    def _count(self, limit: RateLimitItem, key: str) -> int:
        if self._window.hit(limit, key):
            return 0
        reset = self._window.get_window_stats(limit, key).reset_time
        return max(1, math.ceil(reset - time.time()))
