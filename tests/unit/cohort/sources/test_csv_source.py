from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from heartify.cohort.sources.csv_source import load_csv, parse_csv
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary, Level

CANARY = "98765.4321"
HEADER = "patient,chol,count,smoker,cp,visit\n"
GOOD_ROW = "p1,233.5,3,1,1,2021-03-04\n"


def refuse(data: bytes | str, dictionary: DataDictionary, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        parse_csv(data if isinstance(data, bytes) else data.encode(), dictionary, file="cohort.csv", **options)
    assert "cohort.csv" in caught.value.message
    return caught.value.message


def test_types_come_from_the_dictionary_and_missing_becomes_null(small_table: pa.Table) -> None:
    rows = small_table.to_pydict()

    assert rows["patient"] == ["p1", "p2", "p3", "p4"]
    assert rows["chol"] == [233.5, None, 199.0, 250.25]
    assert rows["count"] == [3, None, -7, 3]
    assert rows["smoker"] == [True, None, False, True]
    assert rows["cp"] == ["1", None, "4", "4"]
    assert rows["visit"] == [dt.date(2021, 3, 4), None, dt.date(1969, 12, 31), dt.date(2020, 2, 29)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_by_the_names_it_separates(delimiter: str, small_dictionary: DataDictionary) -> None:
    text = (HEADER + GOOD_ROW).replace(",", delimiter)

    table = parse_csv(text.encode(), small_dictionary, file="x.csv")

    assert table.column("chol").to_pylist() == [233.5]


def test_quotes_byte_order_mark_crlf_order_and_blank_lines_are_read(small_dictionary: DataDictionary) -> None:
    text = (
        '\ufeff"cp","visit","chol","count","smoker","patient"\r\n"4","2020-01-01","1e2","3.0","TRUE","a,b\nc"\r\n\r\n'
    )

    table = parse_csv(text.encode(), small_dictionary, file="x.csv")

    assert table.to_pylist() == [
        {"patient": "a,b\nc", "chol": 100.0, "count": 3, "smoker": True, "cp": "4", "visit": dt.date(2020, 1, 1)}
    ]


def test_a_decimal_comma_is_read_when_the_delimiter_is_a_semicolon(small_dictionary: DataDictionary) -> None:
    text = (HEADER + "p1,233;5,3,1,1,2021-03-04\n").replace(",", "|").replace(";", ",").replace("|", ";")

    table = parse_csv(text.encode(), small_dictionary, file="x.csv")

    assert table.column("chol").to_pylist() == [233.5]


def test_comma_and_point_in_one_column_are_refused(small_dictionary: DataDictionary) -> None:
    text = HEADER.replace(",", ";") + "p;233,5;3;1;1;2021-03-04\np;1.234;3;1;1;2021-03-04\n"

    message = refuse(text, small_dictionary)

    assert "line 3, column chol: expected one decimal mark" in message


def test_a_missing_code_matches_with_and_without_zero_fraction() -> None:
    dictionary = DataDictionary(
        title="t",
        description="",
        columns=(Column(name="x", title="x", datatype="number", role="factor", missing_codes=("", "-9", "NA")),),
    )

    table = parse_csv(b"x;y\n-9,0;1\n-9;1\nNA;1\n;1\n9;1\n", dictionary, file="x.csv", ignore=("y",))

    assert table.column("x").to_pylist() == [None, None, None, None, 9.0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (f"p,{CANARY}x,3,1,1,2021-03-04", "line 3, column chol: expected a number"),
        (f"p,{CANARY},3,1,1,2021-03-04", "line 3, column chol: expected a value from any to 600 mg/dL"),
        ("p,1e999,3,1,1,2021-03-04", "column chol: expected a number"),
        ("p,nan,3,1,1,2021-03-04", "column chol: expected a number"),
        ("p,1_000,3,1,1,2021-03-04", "column chol: expected a number"),
        ('p,"2,5",3,1,1,2021-03-04', "column chol: expected a number"),
        (f"p,1,{CANARY},1,1,2021-03-04", "line 3, column count: expected a whole number"),
        ("p,1,9007199254740993,1,1,2021-03-04", "column count: expected a whole number"),
        (f"p,1,3,{CANARY},1,2021-03-04", "line 3, column smoker: expected one of 0, 1, false, true"),
        (f"p,1,3,1,{CANARY},2021-03-04", "line 3, column cp: expected one of the levels 1, 2, 4"),
        (f"p,1,3,1,1,{CANARY}", "line 3, column visit: expected a date as YYYY-MM-DD"),
        ("p,1,3,1,1,2021-02-30", "column visit: expected a date"),
        ("p,1,3,1,1,20210204", "column visit: expected a date"),
        (f"p,{CANARY},3", "line 3: expected 6 fields, found 3"),
        (f"p,1,3,1,1,2021-03-04,{CANARY}", "line 3: expected 6 fields, found 7"),
        (f'p,"{CANARY},3,1', "line 3: not readable as CSV"),
    ],
)
def test_a_wrong_cell_is_located_and_never_shown(row: str, said: str, small_dictionary: DataDictionary) -> None:
    message = refuse(f"{HEADER}{GOOD_ROW}{row}\n", small_dictionary)

    assert said in message
    assert CANARY not in message


def test_a_fault_keeps_its_value_out_of_the_whole_exception_chain(small_dictionary: DataDictionary) -> None:
    with pytest.raises(InputError) as caught:
        parse_csv(f"{HEADER}p,{CANARY}x,3,1,1,2021-02-30\n".encode(), small_dictionary, file="x.csv")

    chain: list[BaseException | None] = [caught.value, caught.value.__cause__, caught.value.__context__]
    assert not any(CANARY in str(link) or "2021" in str(link) for link in chain)


def test_bad_bytes_of_a_patient_are_not_in_the_exception_chain(small_dictionary: DataDictionary) -> None:
    with pytest.raises(InputError, match="line 2: not UTF-8") as caught:
        parse_csv(HEADER.encode() + b"M\xfcller,1,1,1,1,\n", small_dictionary, file="x.csv")

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the file is empty"),
        (b" \r\n", "the file is empty"),
        (HEADER.encode(), "no row of data"),
        (HEADER.encode() + b"p\x00,1,1,1,1,\n", "line 2: NUL byte"),
        ((HEADER + GOOD_ROW).encode("utf-16-le"), "NUL byte"),
        (HEADER.replace("chol,", "").encode() + b"p,3,1,1,\n", "column chol: this column of the dictionary is missing"),
        (HEADER.replace("chol", "chol,chol").encode() + b"p,1,1,3,1,1,\n", "column 'chol' stands twice"),
        (HEADER.replace("chol", "chol,ldl").encode() + b"p,1,1,3,1,1,\n", "column 'ldl' is not in the dictionary"),
    ],
)
def test_a_wrong_file_is_refused(data: bytes, said: str, small_dictionary: DataDictionary) -> None:
    assert said in refuse(data, small_dictionary)


def test_an_extra_column_is_left_out_when_it_is_ignored_by_name(small_dictionary: DataDictionary) -> None:
    data = HEADER.replace("chol", "chol,ldl").encode() + b"p,1,99,3,1,1,\n"

    table = parse_csv(data, small_dictionary, file="x.csv", ignore=("ldl",))

    assert "ldl" not in table.column_names


def test_a_file_without_header_shows_no_cell_of_its_first_patient(small_dictionary: DataDictionary) -> None:
    message = refuse(f"Smith,{CANARY},3,1,1,2021-03-04\n", small_dictionary)

    assert "column number 1 is not in the dictionary" in message
    assert "Smith" not in message
    assert CANARY not in message


def test_at_most_twenty_faults_are_collected(small_dictionary: DataDictionary) -> None:
    message = refuse(HEADER + "p,x,x,x,x,x\n" * 30, small_dictionary)

    assert message.startswith("cohort.csv: 20 or more faults")
    assert message.count("\n") == 20


def test_all_faults_of_a_file_are_told_at_once(small_dictionary: DataDictionary) -> None:
    message = refuse(HEADER + "p,x,1,1,1,\np,1,x,1,1,\n", small_dictionary)

    assert "2 fault(s)" in message
    assert "line 2, column chol" in message
    assert "line 3, column count" in message


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path: Path, small_dictionary: DataDictionary) -> None:
    with pytest.raises(InputError, match=r"absent\.csv: cannot read"):
        load_csv(tmp_path / "absent.csv", small_dictionary)


def test_a_category_written_with_fractions_keeps_the_dictionary_code() -> None:
    levels = (Level(code="01", label="a"), Level(code="1", label="b"))
    column = Column(name="x", title="x", datatype="category", role="factor", levels=levels)

    table = parse_csv(b"x\n1.0\n01\n", DataDictionary(title="t", description="", columns=(column,)), file="x.csv")

    assert table.column("x").to_pylist() == ["1", "01"]


def test_a_header_that_is_not_csv_is_refused_as_such(small_dictionary: DataDictionary) -> None:
    assert "line 1: not readable as CSV" in refuse('patient,"chol', small_dictionary)
