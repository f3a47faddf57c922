"""Typed values read as the texts that people write."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from uuid import UUID

import pytest

from heartify.cohort.sources.natural_text import NoTextError, text_of_value

at = dt.datetime.fromisoformat


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("a", "a"),
        (True, "true"),
        (12, "12"),
        (12.0, "12"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (float("nan"), None),
        (1e300, "1e+300"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+2"), "100"),
        (Decimal("NaN"), None),
        (at("2021-03-04"), "2021-03-04"),
        (at("2021-03-04T05:06"), "2021-03-04 05:06:00"),
        (at("2021-03-04T00:00+01:00"), "2021-03-04 00:00:00+01:00"),
        (dt.date(2021, 3, 4), "2021-03-04"),
        (dt.time(5, 6), "05:06:00"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_a_value_has_its_natural_text(value: object, text: str | None) -> None:
    assert text_of_value(value) == text


@pytest.mark.parametrize("value", [b"a", [1], {"a": 1}, dt.timedelta(1)])
def test_a_value_without_one_is_named_by_its_type_only(value: object) -> None:
    with pytest.raises(NoTextError) as caught:
        text_of_value(value)
    assert str(caught.value) == type(value).__name__


def test_a_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        text_of_value("\udcff")
