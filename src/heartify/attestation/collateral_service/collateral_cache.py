"""The port of the collateral cache, and one in memory.

A cache keeps the newest collateral seen for each need. Replacing is one step with a check inside, so that two processes
on one database can't take turns at going back. A cache is not believed: what it gives is checked like what is fetched.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias


@dataclass(frozen=True, slots=True)
class KeptCollateral:
    """Collateral and when it was fetched, in UTC seconds."""

    name: str
    content: str
    fetched_at: int


Check: TypeAlias = Callable[["KeptCollateral | None"], None]


class CollateralCache(Protocol):
    """Keeps one collateral for each name."""

    def kept(self, name: str) -> KeptCollateral | None:
        """Return what is kept under a name."""

    def all_kept(self) -> tuple[KeptCollateral, ...]:
        """Return everything that is kept, by name."""

    def replace(self, new: KeptCollateral, check: Check) -> None:
        """Keep `new` instead of what is there, unless `check` raises when it is given that; nobody comes between."""


class MemoryCollateralCache:
    """A cache that ends with its process."""

    def __init__(self) -> None:
        self._entries: dict[str, KeptCollateral] = {}
        self._lock = threading.Lock()

    def kept(self, name: str) -> KeptCollateral | None:
        """Return what is kept under a name."""
        return self._entries.get(name)

    def all_kept(self) -> tuple[KeptCollateral, ...]:
        """Return everything that is kept, by name."""
        with self._lock:
            return tuple(self._entries[name] for name in sorted(self._entries))

    def replace(self, new: KeptCollateral, check: Check) -> None:
        """Keep `new` unless `check` raises."""
        with self._lock:
            check(self._entries.get(new.name))
            self._entries[new.name] = new
