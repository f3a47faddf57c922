"""A source as it stands, before there is a dictionary: names and texts, batch by batch.

`heartify hospital describe` drafts a dictionary from it; publication never reads it, but goes through PatientRows.
Texts are patients' values: nothing may log or store them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class RawTable(Protocol):
    """A table of texts. Each call of `batches` reads it anew, in the same order."""

    @property
    def name(self) -> str:
        """What messages call it: a file's name or a table's."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, each once, in the order of the source."""
        ...

    def fraction_read(self) -> float | None:
        """Return how much of the source the running iteration has read, 0 to 1; None when it can't tell."""
        ...

    def batches(self) -> Iterator[dict[str, list[str | None]]]:
        """Yield up to BATCH_ROWS rows at a time: column name to texts, all lists of one length.

        Texts of a CSV file stand as in the file, blanks stripped; those of Parquet and databases are the natural
        ones (12, 1.5, true, 2021-03-04), and None is a value that the source itself calls null.

        Raises InputError that says file and line, and never what stands there.
        """
        ...
