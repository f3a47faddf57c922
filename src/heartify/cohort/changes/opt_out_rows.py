"""A cohort without the patients who opted out: everything after (survey, ledger, encryption) sees only the others.

It fails closed: with somebody on the list, rows whose patient can't be told are refused, not published.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from heartify.cohort.changes.opt_outs import OptOuts
from heartify.cohort.changes.person_digests import normalise_ids
from heartify.cohort.rows import PatientRows
from heartify.errors import InputError
from heartify.protocol.canonical import sha256_digest
from heartify.protocol.dictionary import DataDictionary


class OptOutRows:
    """The rows of another source without those whose id, in any of its id columns, is on the opt-out list.

    Rows are numbered as they come out, so `start_row` counts those that are left.

    Raises InputError when somebody is on the list and the dictionary has no id column.
    """

    def __init__(self, rows: PatientRows, opt_outs: OptOuts) -> None:
        self._rows, self._opt_outs = rows, opt_outs
        self._ids = [column.name for column in rows.dictionary.columns if column.role == "id"]
        self._left_out = 0
        if opt_outs and not self._ids:
            raise InputError(
                f"{rows.name}: {len(opt_outs)} patients opted out, and no column tells which rows are theirs",
                hint='declare the column of patient ids with role = "id"; ids are not published',
            )

    @property
    def name(self) -> str:
        """What messages call it: as the source."""
        return self._rows.name

    @property
    def dictionary(self) -> DataDictionary:
        """The dictionary of the source."""
        return self._rows.dictionary

    @property
    def left_out(self) -> int:
        """How many rows the latest iteration has left out so far."""
        return self._left_out

    def fingerprint(self) -> str | None:
        """Return what changes when the source or the list does."""
        source = self._rows.fingerprint()
        return None if source is None else sha256_digest(f"{source}\n{self._opt_outs.digest()}".encode())

    def fraction_read(self) -> float | None:
        """Return how much of the source was read."""
        return self._rows.fraction_read()

    def batches(self, start_row: int = 0) -> Iterator[pa.RecordBatch]:
        """Yield what is left of each batch, beginning with the row that is `start_row` among those left.

        Raises InputError when a row has no id at all while somebody is on the list.
        """
        self._left_out = 0
        if not self._opt_outs:
            yield from self._rows.batches(start_row)
            return
        # From the first row on, whatever start_row is: which rows are left can only be told by reading them.
        source_row, to_skip = 0, start_row
        for batch in self._rows.batches():
            left = batch.filter(pa.array(self._kept(batch, source_row)))
            source_row += batch.num_rows
            self._left_out += batch.num_rows - left.num_rows
            skipped = min(to_skip, left.num_rows)
            to_skip -= skipped
            if skipped < left.num_rows:
                yield left.slice(skipped)

    def _kept(self, batch: pa.RecordBatch, first_row: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        has_id = np.zeros(batch.num_rows, np.bool_)
        is_listed = np.zeros(batch.num_rows, np.bool_)
        for name in self._ids:
            ids = batch.column(name)
            has_id |= np.asarray(pc.is_valid(normalise_ids(ids)))
            is_listed |= self._opt_outs.listed(ids)
        if not has_id.all():
            row = first_row + int(np.argmin(has_id)) + 1
            raise InputError(
                f"{self.name}: row {row} has no patient id, so nobody can tell whether its patient opted out",
                hint="fill in the id, or leave the row out of the source",
            )
        return ~is_listed
