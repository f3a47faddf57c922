from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heartify.cohort.encrypted.stored_form import encode_row_count, has_valid_values, is_missing
from heartify.protocol.dictionary import Column, Level

NAN = float("nan")


def column(datatype: str, **fields: Any) -> Column:
    levels = (Level(code="a", label="a"), Level(code="b", label="b")) if datatype == "category" else ()
    return Column(name="x", title="x", datatype=datatype, role="factor", levels=levels, **fields)


@pytest.mark.parametrize(
    ("values", "kind", "declared", "valid"),
    [
        ([1.0, NAN, 3.0], np.float64, column("number", minimum=1, maximum=3), True),
        ([0.9, NAN, 3.0], np.float64, column("number", minimum=1, maximum=3), False),
        ([1.0, NAN, 3.1], np.float64, column("number", minimum=1, maximum=3), False),
        ([1.0, np.inf], np.float64, column("number"), False),
        ([-np.inf, NAN], np.float64, column("number"), False),
        ([NAN, NAN], np.float64, column("number", minimum=1), True),
        ([], np.float64, column("number"), True),
        ([-(2**63), 2**53, -(2**53)], np.int64, column("integer"), True),
        ([2**53 + 1], np.int64, column("integer"), False),
        ([-(2**53) - 1], np.int64, column("integer"), False),
        ([-(2**63) + 1], np.int64, column("integer"), False),
        ([-5], np.int64, column("integer", minimum=-4), False),
        ([-1, 0, 1], np.int32, column("boolean"), True),
        ([2], np.int32, column("boolean"), False),
        ([-2], np.int32, column("boolean"), False),
        ([-1, 1], np.int32, column("category"), True),
        ([2], np.int32, column("category"), False),
        ([-(2**31), 2**31 - 1], np.int32, column("date"), True),
    ],
)
def test_only_possible_values_are_valid(values: list[Any], kind: Any, declared: Column, valid: bool) -> None:
    assert has_valid_values(np.array(values, dtype=kind), declared) is valid


def test_missing_is_the_reserved_value_of_the_datatype() -> None:
    assert is_missing(np.array([NAN, 0.0]), column("number")).tolist() == [True, False]
    assert is_missing(np.array([-(2**63), -1]), column("integer")).tolist() == [True, False]
    assert is_missing(np.array([-1, 0], dtype=np.int32), column("boolean")).tolist() == [True, False]
    assert is_missing(np.array([-(2**31), -1], dtype=np.int32), column("date")).tolist() == [True, False]


def test_a_row_count_has_always_twenty_digits() -> None:
    assert {len(encode_row_count(rows)) for rows in (0, 7, 2**24)} == {20}
