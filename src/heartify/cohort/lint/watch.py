"""What a family of findings is: counts kept while rows stream past, and what is said about them at the end.

Exact where single rows matter (counted in every batch), from the random sample where shares and shapes do; the sample
is the whole cohort when that is small. Counts must not depend on the order of rows nor on how they are cut in batches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from heartify.cohort.lint.batch_view import BatchView
from heartify.cohort.lint.findings import Finding


@dataclass(frozen=True, slots=True)
class Seen:
    """What the pass knows of the whole cohort at its end: exact counts by published column, and the sample."""

    rows: int
    known: Mapping[str, int] = field(repr=False)
    level_counts: Mapping[str, Mapping[str, int]] = field(repr=False)
    sample: BatchView = field(repr=False)


class Watch(Protocol):
    """A family of findings that counts in every batch."""

    def add(self, batch: BatchView) -> None:
        """Count the rows of a batch."""
        ...

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """Yield what is suspicious, when all rows are counted."""
        ...
