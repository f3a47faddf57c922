"""Raw columns by name, as terms read them: one hospital's arrays of equal length, checked where they come in.

A column is (n,) finite doubles in clinical units, or the codes of a category. Messages name the column, never a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from heartify.stats.blocks import FloatArray
from heartify.stats.errors import InvalidBlockError

Columns = Mapping[str, FloatArray]


def raw_column(columns: Columns, name: str) -> FloatArray:
    """Return the column (n,) of that name as float64.

    Raises:
        InvalidBlockError: it is absent, not one-dimensional, not numeric, or has missing or infinite values.
    """
    if name not in columns:
        raise InvalidBlockError(f"there is no column {name!r}")
    try:
        values = np.asarray(columns[name], dtype=np.float64)
    except (TypeError, ValueError) as exc:
        # Not chained: numpy's message quotes the cell that it could not convert.
        raise InvalidBlockError(f"column {name!r} does not hold numbers ({type(exc).__name__})") from None
    if values.ndim != 1:
        raise InvalidBlockError(f"column {name!r}: expected (n,), got {values.shape}")
    if not np.isfinite(values).all():
        raise InvalidBlockError(f"column {name!r} has missing or infinite values")
    return values


def pooled_column(parts: Sequence[Columns], name: str) -> FloatArray:
    """Return the column (n,) of that name over all hospitals, in the given order.

    Raises:
        InvalidBlockError: as `raw_column`, or there are no rows.
    """
    values = np.concatenate([raw_column(part, name) for part in parts]) if parts else np.zeros(0)
    if values.size == 0:
        raise InvalidBlockError(f"column {name!r} has no rows")
    return values
