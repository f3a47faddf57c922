"""CSV without a dictionary: names and texts as they stand."""

from __future__ import annotations

import pytest

from heartify.cohort.sources.byte_source import MemoryBytes
from heartify.cohort.sources.csv_raw import CsvRaw
from heartify.errors import InputError


def open_text(text: str, **options: object) -> CsvRaw:
    return CsvRaw(MemoryBytes(text.encode(), name="x.csv"), **options)


def test_texts_stand_as_in_the_file_without_blanks_around_them() -> None:
    raw = open_text('Total chol (mg/dL);Größe\n 1,5 ;"a;b"\nNA;\n')

    assert raw.names == ("Total chol (mg/dL)", "Größe")
    assert list(raw.batches()) == [{"Total chol (mg/dL)": ["1,5", "NA"], "Größe": ["a;b", ""]}]
    assert list(raw.batches()) == list(raw.batches())
    assert raw.delimiter == ";"
    assert raw.fraction_read() == 1.0


@pytest.mark.parametrize(
    "header", ["Smith,63,1", "name,,x", "name,name,x", "name,2021-03-04,x", "name,1.5e3,x", "name,03/04/2021,x"]
)
def test_a_file_without_a_header_is_refused_and_nothing_of_it_shown(header: str) -> None:
    with pytest.raises(InputError, match="column number 2: expected a") as caught:
        open_text(f"{header}\nSmith,63,1\n")

    assert "Smith" not in caught.value.message


def test_a_row_of_another_width_is_a_fault_with_its_line() -> None:
    raw = open_text("a,b\n1,2\n1,2,3\n")

    with pytest.raises(InputError, match="line 3: expected 2 fields, found 3"):
        list(raw.batches())


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(InputError, match="the file is empty"):
        open_text("")
