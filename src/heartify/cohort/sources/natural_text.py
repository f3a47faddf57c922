"""Typed values as the texts that people write: 12, 1.5, true, 2021-03-04.

Levels, missing codes and ids are compared as texts, so a code must read the same whether it came as text or number:
a whole number has no fraction, also when a data frame stored it as a float. Pure; NaN counts as null.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

_MIDNIGHT = r" 00:00:00(\.0+)?$"


class NoTextError(Exception):
    """Values of this type have no natural text; the message is the type's name, nothing of the value."""


def text_of_value(value: object) -> str | None:
    """Return the text of a Python value as database drivers give them, None for null.

    Raises NoTextError for types that no column of a dictionary holds, UnicodeEncodeError for texts that are none.
    """
    if value is None:
        return None
    for kind in type(value).__mro__:
        text_of = _TEXT_OF.get(kind)
        if text_of is not None:
            return text_of(value)
    raise NoTextError(type(value).__name__)


def texts_of_array(array: pa.Array) -> list[str | None]:
    """Return the texts of an Arrow array.

    Raises NoTextError for nested and other types without a natural text, pa.ArrowException for damaged ones.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        array, kind = array.dictionary_decode(), kind.value_type
    if is_text(kind):
        array.validate(full=True)  # UTF-8, before Python meets it
        return list(array.to_pylist())
    if pa.types.is_null(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return [text_of_value(value) for value in array.to_pylist()]
    if pa.types.is_timestamp(kind) and kind.tz is None:
        texts = pc.replace_substring_regex(pc.cast(array, pa.string()), pattern=_MIDNIGHT, replacement="")
        return list(texts.to_pylist())
    if pa.types.is_integer(kind) or pa.types.is_date(kind) or pa.types.is_time(kind):
        return list(pc.cast(array, pa.string()).to_pylist())
    raise NoTextError(str(kind)[:64])


def is_text(kind: pa.DataType) -> bool:
    """Tell whether an Arrow type is one of texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _text_of_float(value: float) -> str | None:
    if math.isnan(value):
        return None
    return str(int(value)) if value.is_integer() and abs(value) <= 2**53 else repr(value)


def _text_of_decimal(value: Decimal) -> str | None:
    return None if value.is_nan() else format(value, "f")


def _text_of_datetime(value: dt.datetime) -> str:
    midnight = value.tzinfo is None and value.time() == dt.time.min
    return value.date().isoformat() if midnight else value.isoformat(sep=" ")


def _text_of_text(value: str) -> str:
    value.encode()  # drivers may hand over what is no Unicode text: the error is the caller's to name
    return value


_TEXT_OF: dict[type, Callable[[Any], str | None]] = {
    str: _text_of_text,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _text_of_float,
    Decimal: _text_of_decimal,
    dt.datetime: _text_of_datetime,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    UUID: str,
}
