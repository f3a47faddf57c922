from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from heartify.cohort.encrypted.decoding import decode_block
from heartify.cohort.encrypted.encoding import encode_values, missing_values, pack_values
from heartify.cohort.encrypted.stored_form import stored_form
from heartify.errors import InputError
from heartify.protocol.dictionary import Column


def column(datatype: str, **fields: Any) -> Column:
    return Column(name="x", title="x", datatype=datatype, role="factor", **fields)


def through(values: pa.Array, declared: Column) -> list[float]:
    """Encode, pack, unpack and decode."""
    form = stored_form(declared)
    stored = np.concatenate([encode_values(values, declared, form), missing_values(form, 512 - len(values))])
    out = np.empty(len(values))
    decode_block(pack_values(stored, form), 512, len(values), form).write_real(out)
    return out.tolist()


@pytest.mark.parametrize("decimals", range(10))
def test_every_decimal_comes_back_as_the_very_double_that_its_text_is(decimals: int) -> None:
    rng = np.random.default_rng(decimals)
    texts = [f"{rng.integers(-(10**6), 10**6)}.{rng.integers(10**decimals):0{decimals}}"[: None if decimals else -2]
             for _ in range(500)]  # fmt: skip
    values = [float(text) for text in texts]
    declared = column("number", decimals=decimals, minimum=-1e6, maximum=1e6)

    assert stored_form(declared).kind == "codes"
    assert through(pa.array(values), declared) == values


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        ([0.125], column("number", decimals=2, minimum=0, maximum=1)),
        ([0.1 + 0.2], column("number", decimals=2, minimum=0, maximum=1)),
        ([0.1 + 0.2], column("number", decimals=2)),
        ([1e-12], column("number", decimals=9, minimum=0, maximum=1)),
    ],
)
def test_more_decimals_than_declared_are_refused_and_never_rounded(values: list[float], declared: Column) -> None:
    with pytest.raises(InputError, match="'x': a value has more than the declared") as caught:
        encode_values(pa.array(values), declared, stored_form(declared))

    assert str(values[0]) not in caught.value.message


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        ([599.9, 600.1], column("number", maximum=600)),
        ([-0.1], column("number", minimum=0)),
        ([np.inf], column("number")),
        ([-np.inf], column("number", decimals=1, minimum=0, maximum=1)),
        ([0.11], column("number", decimals=2, minimum=0, maximum=0.1)),
        ([-0.01], column("number", decimals=2, minimum=0, maximum=0.1)),
        ([0.1 + 1e-9], column("number", precision="single", maximum=0.1)),
        ([1e39], column("number", precision="single")),
    ],
)
def test_a_number_outside_the_limits_is_refused(values: list[float], declared: Column) -> None:
    with pytest.raises(InputError, match="'x': a value is outside the dictionary's limits"):
        encode_values(pa.array(values), declared, stored_form(declared))


@pytest.mark.parametrize(
    ("values", "declared"),
    [
        ([17], column("integer", minimum=18, maximum=89)),
        ([90], column("integer", minimum=18, maximum=89)),
        ([2], column("integer", minimum=1.2, maximum=1.8)),
        ([2**53 + 1], column("integer")),
        ([-(2**63)], column("integer")),
        ([-4], column("integer", minimum=-3)),
    ],
)
def test_a_whole_number_outside_the_limits_is_refused(values: list[int], declared: Column) -> None:
    with pytest.raises(InputError, match="'x': a value is outside the dictionary's limits"):
        encode_values(pa.array(values), declared, stored_form(declared))


def test_a_date_at_the_reserved_day_is_refused() -> None:
    with pytest.raises(InputError, match="outside"):
        encode_values(pa.array([-(2**31)], pa.int32()).cast(pa.date32()), column("date"), stored_form(column("date")))


def test_numbers_too_large_for_decimals_are_kept_as_they_are() -> None:
    values = [123456789012345678.0, -1e300, 9007199254740993.0, 1.7976931348623157e308]

    assert through(pa.array(values), column("number", decimals=9)) == values


def test_single_precision_rounds_to_the_nearest_because_the_steward_declared_it() -> None:
    declared = column("number", precision="single", maximum=0.1)

    assert through(pa.array([0.1, 1 / 3 - 0.3]), declared) == [float(np.float32(0.1)), float(np.float32(1 / 3 - 0.3))]


def test_null_and_not_a_number_are_missing() -> None:
    for options in ({}, {"decimals": 1, "minimum": 0, "maximum": 9}, {"precision": "single"}):
        declared = column("number", **options)
        read = through(pa.array([1.0, None, np.nan]), declared)

        assert np.isnan(read).tolist() == [False, True, True]


def test_a_column_that_allows_no_value_holds_missing_ones() -> None:
    declared = column("integer", minimum=1.2, maximum=1.8)

    assert np.isnan(through(pa.array([None, None], pa.int64()), declared)).all()
