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


def find_copies(twin: Sequence[FloatArray], sample: Sequence[FloatArray], random: np.random.Generator) -> BoolArray:
    """Return for each twin row whether it equals a sample row that fewer than 10 patients share; columns in order."""
    rows = twin[0].size
    keys = np.zeros(rows + sample[0].size, np.uint64)
    for drawn, real in zip(twin, sample, strict=True):
        codes = np.unique(np.concatenate((drawn, real)), return_inverse=True)[1].astype(np.uint64)
        # One random word for each distinct value: equal rows have equal sums, others but by chance of 2**-64.
        words = random.integers(0, 2**64, int(codes.max()) + 1, dtype=np.uint64)
        keys += words[codes]
    patients, counts = np.unique(keys[rows:], return_counts=True)
    return np.asarray(np.isin(keys[:rows], patients[counts < MIN_CELL]))
