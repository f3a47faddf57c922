"""From a block's packed values to arrays, each value checked against the dictionary's limits and levels.

Runs in the enclave on what a key holder wrote: everything is refused that the writer would not have written, so that
one table has one reading. No value ever stands in a message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import numpy.typing as npt

from heartify.cohort.encrypted.bit_planes import Workspace, unpack
from heartify.cohort.encrypted.stored_form import (
    FLOAT32_NAN_BITS,
    FLOAT64_NAN_BITS,
    INT32_MISSING,
    INT64_MISSING,
    StoredForm,
)
from heartify.errors import IntegrityError

RawArray: TypeAlias = (
    npt.NDArray[np.unsignedinteger] | npt.NDArray[np.signedinteger] | npt.NDArray[np.float64] | npt.NDArray[np.float32]
)
RealArray: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.float32]
IndexArray: TypeAlias = npt.NDArray[np.signedinteger]

_KINDS = {"float64": "<f8", "float32": "<f4", "int64": "<i8", "int32": "<i4"}
_RESERVED = {"int64": INT64_MISSING, "int32": INT32_MISSING}
_MAX_EXACT_SINGLE = 2**24


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """The checked rows of a block as they are stored, without padding; the array may be read-only."""

    form: StoredForm
    raw: RawArray
    has_missing: bool

    def is_missing(self) -> npt.NDArray[np.bool_]:
        """Return which rows are missing."""
        return _is_missing(self.raw, self.form)

    def keep(self, rows: npt.NDArray[np.bool_]) -> DecodedBlock:
        """Return the chosen rows, none of which is missing."""
        return DecodedBlock(self.form, self.raw[rows], has_missing=False)

    def write(self, out: npt.NDArray[np.float64] | npt.NDArray[np.int32]) -> None:
        """Write the values to `out`, as real numbers or as level indices, as its type says."""
        if out.dtype == np.int32:
            self.write_indices(cast(IndexArray, out))
        else:
            self.write_real(cast(RealArray, out))

    def write_real(self, out: RealArray) -> None:
        """Write the values to `out`, as many as there are rows, with NaN for missing.

        A decimal comes out as the nearest number that `out` can hold, since it is one division of exact numbers.
        """
        form = self.form
        exact = out.dtype == np.float64 or max(abs(form.low), abs(form.high), form.missing_code) <= _MAX_EXACT_SINGLE
        if form.kind == "codes" and not exact:
            double = np.empty(out.shape, np.float64)
            self.write_real(double)
            np.copyto(out, double, casting="same_kind")
            return
        np.copyto(out, self.raw, casting="unsafe")
        if form.kind == "codes":
            _to_values(out, form)
        if self.has_missing and form.kind not in ("float64", "float32"):
            np.copyto(out, np.nan, where=self.is_missing())

    def write_indices(self, out: IndexArray) -> None:
        """Write level indices to `out`, as many as there are rows, with -1 for missing; of codes from 0 only."""
        np.copyto(out, self.raw, casting="unsafe")
        if self.has_missing:
            np.copyto(out, -1, where=self.is_missing())

    def write_integers(self, out: IndexArray) -> None:
        """Write whole numbers to `out`, as many as there are rows, none of which may be missing."""
        np.copyto(out, self.raw, casting="unsafe")
        if self.form.kind == "codes" and self.form.low:
            np.add(out, int(self.form.low), out=out, casting="unsafe")


def decode_block(
    data: bytes, padded_rows: int, rows: int, form: StoredForm, work: Workspace | None = None
) -> DecodedBlock:
    """Unpack a block and check every value of it; the block is good until `work` is used again.

    Raises IntegrityError: padding isn't missing, or a value is outside of the limits or levels, or not a number in
    another than the one pattern of bits.
    """
    raw: RawArray
    if form.kind == "codes":
        raw = unpack(data, padded_rows, form.width_bits, work)
    else:
        raw = np.frombuffer(data, _KINDS[form.kind], padded_rows)
    if rows < padded_rows and not _is_missing(raw[rows:], form).all():
        raise IntegrityError("file-padding: a file's padding holds values")
    return DecodedBlock(form, raw[:rows], _check_values(raw, form))


def _to_values(out: RealArray, form: StoredForm) -> None:
    if form.low:
        np.add(out, out.dtype.type(form.low), out=out)
    if form.decimals:
        np.divide(out, out.dtype.type(10**form.decimals), out=out)


def _is_missing(raw: RawArray, form: StoredForm) -> npt.NDArray[np.bool_]:
    if form.kind == "codes":
        return np.asarray(raw == raw.dtype.type(form.missing_code))
    return np.asarray(raw == _RESERVED[form.kind]) if form.kind in _RESERVED else np.isnan(raw)


def _check_values(raw: RawArray, form: StoredForm) -> bool:
    """Check that all values are possible, and tell whether one is missing.

    Raises IntegrityError.
    """
    if form.kind == "codes":
        greatest = int(raw.max())
        _check(greatest <= form.missing_code)
        return greatest == form.missing_code
    # The smallest is not-a-number, or the reserved value, as soon as one is missing; else the extremes suffice.
    smallest = raw.min()
    missing = bool(smallest == _RESERVED[form.kind]) if form.kind in _RESERVED else bool(np.isnan(smallest))
    if missing:
        mask = _is_missing(raw, form)
        _check(form.kind in _RESERVED or _is_canonical(raw, mask))
        raw = raw[~mask]
    # As Python numbers, so that an integer beyond 2^53 is not rounded before it is compared.
    _check(not len(raw) or (form.low <= raw.min().item() and raw.max().item() <= form.high))
    return missing


def _is_canonical(raw: RawArray, mask: npt.NDArray[np.bool_]) -> bool:
    single = raw.dtype.itemsize == 4
    patterns = raw.view("<u4" if single else "<u8")[mask]
    return bool((patterns == (FLOAT32_NAN_BITS if single else FLOAT64_NAN_BITS)).all())


def _check(is_possible: bool) -> None:
    if not is_possible:
        raise IntegrityError("file-values: a file holds values outside the dictionary's limits or levels")
