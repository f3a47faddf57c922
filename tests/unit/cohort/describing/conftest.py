"""Tables in memory as a source that nobody has described."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pytest

from heartify.cohort.describing.draft import DraftDictionary, draft_dictionary

Texts = Mapping[str, Sequence[str | None]]


class MemoryTable:
    """Columns of texts, in batches of a given size."""

    def __init__(self, columns: Texts, *, batch_rows: int = 1000) -> None:
        self._columns, self._batch_rows = columns, batch_rows

    @property
    def name(self) -> str:
        return "memory"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._columns)

    def fraction_read(self) -> float | None:
        return None

    def batches(self) -> Iterator[dict[str, list[str | None]]]:
        rows = len(next(iter(self._columns.values()), ()))
        for start in range(0, rows, self._batch_rows):
            yield {name: list(texts[start : start + self._batch_rows]) for name, texts in self._columns.items()}


@pytest.fixture
def draft() -> Callable[..., DraftDictionary]:
    """Draft a dictionary from columns of texts, with a fixed random sample."""

    def run(columns: Texts, **options: int) -> DraftDictionary:
        return draft_dictionary(MemoryTable(columns, **options), random=np.random.default_rng(7))

    return run


@pytest.fixture
def memory_table() -> type[MemoryTable]:
    return MemoryTable
