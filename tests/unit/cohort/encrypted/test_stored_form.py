from __future__ import annotations

from typing import Any

import pytest

from heartify.cohort.encrypted.stored_form import StoredForm, scaled_limits, stored_form
from heartify.protocol.dictionary import Column, Level

SINGLE = 3.4028234663852886e38


def column(datatype: str, **fields: Any) -> Column:
    return Column(name="x", title="x", datatype=datatype, role="factor", **fields)


def category(count: int) -> Column:
    return column("category", levels=tuple(Level(code=f"c{i}", label=f"c{i}") for i in range(count)))


@pytest.mark.parametrize(
    ("declared", "form"),
    [
        (column("boolean"), StoredForm("codes", 2, 0, 1)),
        (category(1), StoredForm("codes", 1, 0, 0)),
        (category(3), StoredForm("codes", 2, 0, 2)),
        (category(4), StoredForm("codes", 3, 0, 3)),
        (category(255), StoredForm("codes", 8, 0, 254)),
        (category(1024), StoredForm("codes", 11, 0, 1023)),
        (column("integer", minimum=18, maximum=89), StoredForm("codes", 7, 18, 89)),
        (column("integer", minimum=-0.5, maximum=2.5), StoredForm("codes", 2, 0, 2)),
        (column("integer", minimum=1.2, maximum=1.8), StoredForm("codes", 1, 2, 1)),
        (column("integer"), StoredForm("int64", 64, -(2**53), 2**53)),
        (column("integer", minimum=-3.5), StoredForm("int64", 64, -3, 2**53)),
        (column("integer", maximum=1e300), StoredForm("int64", 64, -(2**53), 2**53)),
        (column("integer", minimum=-(2.0**53), maximum=2.0**53), StoredForm("int64", 64, -(2**53), 2**53)),
        (column("number", decimals=1, minimum=3.5, maximum=14), StoredForm("codes", 7, 35, 140, 1)),
        (column("number", decimals=0, minimum=0, maximum=600), StoredForm("codes", 10, 0, 600, 0)),
        (column("number", minimum=0, maximum=600), StoredForm("float64", 64, 0, 600)),
        (column("number", decimals=9, minimum=0, maximum=1e9), StoredForm("float64", 64, 0, 1e9)),
        (column("number", decimals=2, minimum=0), StoredForm("float64", 64, 0, 1.7976931348623157e308)),
        (column("number", precision="single", maximum=0.1), StoredForm("float32", 32, -SINGLE, 0.10000000149011612)),
        (column("date"), StoredForm("int32", 32, -(2**31) + 1, 2**31 - 1)),
    ],
)  # fmt: skip
def test_the_form_follows_from_the_dictionary(declared: Column, form: StoredForm) -> None:
    assert stored_form(declared) == form


@pytest.mark.parametrize(
    ("minimum", "maximum", "decimals", "limits"),
    [
        (0.07, 1.15, 2, (7, 115)),  # 1.15 * 100 is 114.99999999999999 in doubles
        (-1.005, 1.005, 2, (-100, 100)),
        (-0.29, 0.58, 2, (-29, 58)),
        (1e-9, 0.1, 9, (1, 100_000_000)),
        (-5e-324, 5e-324, 9, (0, 0)),
        (0, 1e22, 3, (0, 10**25)),
    ],
)
def test_limits_are_the_decimals_of_the_dictionary_not_the_doubles_beside_them(
    minimum: float, maximum: float, decimals: int, limits: tuple[int, int]
) -> None:
    assert scaled_limits(column("number", minimum=minimum, maximum=maximum), decimals) == limits


def test_the_tag_tells_every_fact_that_decoding_depends_on() -> None:
    declared = [
        column("integer", minimum=0, maximum=100),
        column("integer", minimum=1, maximum=100),
        column("integer", minimum=0, maximum=101),
        column("number", decimals=0, minimum=0, maximum=100),
        column("number", decimals=1, minimum=0, maximum=10),
        column("number"),
        column("number", precision="single"),
        column("integer"),
        column("date"),
    ]

    tags = [stored_form(one).tag for one in declared]

    # Whole numbers, and decimals without a decimal place, are one form.
    assert tags[0] == tags[3] == b"codes 7 0 100 0"
    assert len(set(tags)) == len(tags) - 1


def test_the_missing_code_is_the_number_of_possible_values() -> None:
    assert stored_form(column("boolean")).missing_code == 2
    assert stored_form(column("integer", minimum=18, maximum=89)).missing_code == 72
    assert stored_form(column("integer", minimum=1.2, maximum=1.8)).missing_code == 0
