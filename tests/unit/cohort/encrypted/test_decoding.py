from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from heartify.cohort.encrypted.bit_planes import code_type
from heartify.cohort.encrypted.decoding import decode_block
from heartify.cohort.encrypted.encoding import pack_values
from heartify.cohort.encrypted.stored_form import StoredForm, stored_form
from heartify.errors import IntegrityError

NAN = float("nan")


def decode(forms: Any, name: str, *known: float, rows: int | None = None, raw: Any = None) -> Any:
    form = stored_form(forms.dictionary.column(name))
    values = forms.raw_values(form, *known) if raw is None else raw
    return decode_block(pack_values(values, form), 512, len(known) if rows is None else rows, form)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("yes", [3]),
        ("short", [73]),
        ("short", [127]),
        ("decimal", [6177]),
        ("decimal", [8191]),
        ("double", [600.1]),
        ("double", [NAN, -1.1]),
        ("double", [float("inf")]),
        ("double", [float("-inf"), NAN]),
        ("single", [float(np.nextafter(np.float32(0.1), np.float32(1)))]),
        ("single", [float("-inf")]),
        ("long", [-8]),
        ("long", [2**53 + 1]),
        ("long", [-(2**63), -(2**63) + 1]),
    ],
)
def test_a_value_that_the_dictionary_does_not_allow_is_refused(forms: Any, name: str, known: list[float]) -> None:
    with pytest.raises(IntegrityError, match=r"^file-values:"):
        decode(forms, name, *known)


@pytest.mark.parametrize("bits", [0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001, 0x7FFFFFFFFFFFFFFF])
def test_only_one_pattern_of_bits_is_not_a_number(forms: Any, bits: int) -> None:
    raw = forms.raw_values(stored_form(forms.dictionary.column("double")))
    raw.view("<u8")[5] = bits

    with pytest.raises(IntegrityError, match=r"^file-values:"):
        decode(forms, "double", raw=raw, rows=512)


@pytest.mark.parametrize("bits", [0x7FC00001, 0xFFC00000, 0x7F800001])
def test_only_one_pattern_of_bits_is_not_a_number_in_single_precision(forms: Any, bits: int) -> None:
    raw = forms.raw_values(stored_form(forms.dictionary.column("single")))
    raw.view("<u4")[5] = bits

    with pytest.raises(IntegrityError, match=r"^file-values:"):
        decode(forms, "single", raw=raw, rows=512)


@pytest.mark.parametrize("name", ["double", "single", "decimal", "long", "short", "yes", "level", "day"])
def test_padding_that_holds_a_value_is_refused(forms: Any, name: str) -> None:
    with pytest.raises(IntegrityError, match=r"^file-padding:"):
        decode(forms, name, 0, 0, rows=1)

    assert len(decode(forms, name, 0, 0, rows=2).raw) == 2


def test_decimals_are_the_nearest_singles_too(forms: Any) -> None:
    block = decode(forms, "decimal", *range(500))
    double, single = np.empty(500), np.empty(500, np.float32)

    block.write_real(double)
    block.write_real(single)

    assert double.tolist() == [(code - 150) / 100 for code in range(500)]
    np.testing.assert_array_equal(single, double.astype(np.float32))


def test_kept_rows_are_those_that_were_chosen(forms: Any) -> None:
    block = decode(forms, "short", 0, 72, 71)
    out = np.empty(2, np.int16)

    block.keep(~block.is_missing()).write_integers(out)

    assert block.has_missing
    assert out.tolist() == [18, 89]


@pytest.mark.parametrize(
    ("low", "high", "decimals"),
    [(-8_388_000, 8_388_000, 0), (-16_777_216, 16_777_216, 0), (0, 9_000_000_000, 9), (-(2**40), 2**40, 3)],
)
def test_long_decimals_are_the_nearest_singles_too(low: int, high: int, decimals: int) -> None:
    """Codes beyond 2^24 are no exact singles: they go through doubles."""
    form = StoredForm("codes", (high - low + 1).bit_length(), low, high, decimals)
    codes = np.random.default_rng(low & 0xFFFF).integers(0, high - low + 1, 512).astype(code_type(form.width_bits))
    block = decode_block(pack_values(codes, form), 512, 512, form)
    double, single = np.empty(512), np.empty(512, np.float32)

    block.write_real(double)
    block.write_real(single)

    assert double.tolist() == [(low + code) / 10**decimals for code in codes.tolist()]
    np.testing.assert_array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize(
    ("low", "high", "kind"), [(-128, 127, np.int8), (-(2**15), 2**15 - 1, np.int16), (100, 127, np.int8)]
)
def test_whole_numbers_fill_the_narrowest_type(low: int, high: int, kind: Any) -> None:
    """Codes may be too large for the type that the values fit in."""
    form = StoredForm("codes", (high - low + 1).bit_length(), low, high)
    codes = np.linspace(0, high - low, 512).astype(code_type(form.width_bits))
    out = np.empty(512, kind)

    decode_block(pack_values(codes, form), 512, 512, form).write_integers(out)

    assert out.tolist() == [low + code for code in codes.tolist()]
