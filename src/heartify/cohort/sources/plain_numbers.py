"""Many texts to numbers at once, where they are plain: digits, a sign, one decimal mark. The rest is left to others.

A column of measurements with many digits has a new text in every row, and parsing each in Python is ten times slower.
Whatever this reads, `text_columns` reads to the same float64 (a property test says so); it never decides on a fault.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_WHOLE = r"^-?[0-9]{1,15}$"
# A fraction of zeros only is not plain: it makes no difference to missing codes (normalise_code).
_DECIMAL = r"^-?[0-9]{1,15}(?:[%s][0-9]{0,15}[1-9][0-9]{0,5})?$"


def parse_plain_numbers(
    texts: Sequence[str | None], *, mark: str | None, missing_codes: Collection[str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.intp]]:
    """Return the numbers, and the rows whose texts are not plain or mean missing; `mark` None: whole numbers only."""
    array = pa.array(texts, pa.string())
    plain = pc.fill_null(pc.match_substring_regex(array, _WHOLE if mark is None else _DECIMAL % mark), False)
    pointed = pc.replace_substring(array, ",", ".") if mark == "," else array
    codes = pa.array(list(missing_codes), pa.string())
    for spelling in (array, pointed):
        plain = pc.and_(plain, pc.invert(pc.is_in(spelling, value_set=codes)))
    values = pc.cast(pc.if_else(plain, pointed, pa.scalar(None, pa.string())), pa.float64())
    others = np.flatnonzero(~plain.to_numpy(zero_copy_only=False))
    return np.array(values.to_numpy(zero_copy_only=False)), others
