"""Whether a twin's row is a patient's: equal to a sample row, in all published columns, that fewer than 10 share.

A combination that 10 patients or more share is nobody's row, and a small table of few levels has no others. Rows are
compared by keyed 64-bit sums, so a row may be taken for a copy by chance (and is drawn anew), never the reverse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heartify.cohort.catalogue.twin.latent_values import FloatArray
from heartify.disclosure.cohort_rules import MIN_CELL

BoolArray = npt.NDArray[np.bool_]
WordArray = npt.NDArray[np.uint64]


class PatientRows:
    """The rows of a sample that are some patient's own; columns in order, NaN where missing."""

    def __init__(self, sample: Sequence[FloatArray], random: np.random.Generator) -> None:
        self._values: list[FloatArray] = []
        self._words: list[WordArray] = []
        keys = np.zeros(sample[0].size, np.uint64)
        for column in sample:
            distinct, inverse = np.unique(column, return_inverse=True)
            # One random word for each distinct value: equal rows have equal sums, others but by chance of 2**-64.
            words = random.integers(0, 2**64, distinct.size, dtype=np.uint64)
            keys += words[inverse]
            self._values.append(distinct)
            self._words.append(words)
        patients, counts = np.unique(keys, return_counts=True)
        self._rare = patients[counts < MIN_CELL]

    def find_copies(self, twin: Sequence[FloatArray]) -> BoolArray:
        """Return for each twin row whether it is a patient's."""
        keys = np.zeros(twin[0].size, np.uint64)
        known = np.full(twin[0].size, fill_value=True)
        for column, distinct, words in zip(twin, self._values, self._words, strict=True):
            place = np.minimum(np.searchsorted(distinct, column), distinct.size - 1)  # NaN sorts last, as in unique
            known &= np.asarray((distinct[place] == column) | (np.isnan(distinct[place]) & np.isnan(column)))
            keys += words[place]
        return np.asarray(known & np.isin(keys, self._rare))
