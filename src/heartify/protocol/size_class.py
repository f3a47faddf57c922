"""Size classes: what a pool offers and an enclave enforces. The numbers are part of the protocol."""

from __future__ import annotations

import dataclasses

from heartify.errors import DocumentError


@dataclasses.dataclass(frozen=True, slots=True)
class SizeClass:
    """Hard limits of one run. `max_cells` is rows times columns that the plan reads, over all hospitals of the deal."""

    number: int
    name: str
    max_rows: int
    max_cells: int
    max_memory_bytes: int
    max_seconds: int


SIZE_CLASSES = (
    SizeClass(1, "small", 1_000_000, 128_000_000, 4 * 2**30, 600),
    SizeClass(2, "medium", 20_000_000, 512_000_000, 12 * 2**30, 3600),
    SizeClass(3, "large", 100_000_000, 2_048_000_000, 48 * 2**30, 6 * 3600),
)


def size_class(number: int) -> SizeClass:
    """Return a size class by its number.

    Raises:
        DocumentError: no class has this number.
    """
    for item in SIZE_CLASSES:
        if item.number == number:
            return item
    raise DocumentError(f"there is no size class {number}", hint="known classes: 1 small, 2 medium, 3 large")
