"""The port through which collateral is fetched: one URL in, one bounded answer out.

Clients of PCCS and KDS are written against it, so that they hold no sockets and tests give them any answer. Whoever
implements it bounds size and time, checks TLS, and follows no redirect.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from heartify.errors import ServiceError

NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """Gets a URL."""

    def __call__(self, url: str) -> Answer:
        """Return the answer, whatever its status. Raises ServiceError when there is none within the bounds."""


def fetch_found(fetch: Fetch, url: str, what: str) -> Answer:
    """Get something that must exist.

    Raises:
        ServiceError: unreachable, or any status but 200.
    """
    answer = fetch(url)
    if answer.status == NOT_FOUND:
        raise ServiceError(
            f"the collateral service has no {what} (status 404 for {url})",
            hint="the platform may be unknown to the vendor, or the URL may be that of another service",
        )
    if answer.status != 200:
        raise ServiceError(f"the collateral service refused {what}: status {answer.status} for {url}")
    return answer
