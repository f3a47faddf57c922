"""The mapping file: what is accepted, and each refusal by the name of the column."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from heartify.cohort.events.codes import Code, parse_code
from heartify.cohort.events.mapping import load_mapping, parse_mapping
from heartify.cohort.events.mapping_checks import check_mapping
from heartify.errors import InputError
from heartify.protocol.dictionary import Column, DataDictionary

HEAD = '[source]\nkind = "omop"\n[index]\nrule = "fixed_date"\ndate = 2015-06-01\n'
SYSTOLIC = '[[columns]]\nname = "systolic"\nkind = "measurement"\ncodes = ["LOINC:8480-6"]\npick = "last"\n'
WINDOW = "window_days = [-365, 0]\n"
SMOKING = (
    '[[columns]]\nname = "smoking"\nkind = "coded"\ncodes = ["LOINC:72166-2"]\nwindow_days = [-9, 0]\n'
    'answers = [{ level = "0", codes = ["OMOP:1"] }, { level = "LEVEL", codes = ["CODE"] }]\n'
)
EVENT = '[[columns]]\nname = "event"\nkind = "outcome"\nhorizon_days = 10\n'
DAYS = '[[columns]]\nname = "days"\nkind = "time"\noutcome = "event"\n'


@pytest.fixture
def dictionary(columns: dict[str, Column]) -> Callable[[Iterable[str]], DataDictionary]:
    return lambda names: DataDictionary(title="T", description="", columns=tuple(columns[name] for name in names))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kind = 1", "not TOML|missing required field|Object"),
        ("[source", "not TOML"),
        (HEAD + SYSTOLIC, "column 'systolic'.*missing required field `window_days`|window_days"),
        (HEAD + SYSTOLIC + WINDOW + "windows = 1\n", "unknown field `windows`.*column 'systolic'"),
        (HEAD + SYSTOLIC.replace('"last"', '"best"') + WINDOW, "Invalid enum value 'best'.*column 'systolic'"),
        (HEAD + SYSTOLIC.replace("measurement", "guess") + WINDOW, "Invalid value 'guess'.*column 'systolic'"),
        (HEAD + SYSTOLIC.replace('["LOINC:8480-6"]', "[]") + WINDOW, "length >= 1"),
        (HEAD + SYSTOLIC.replace("LOINC:8480-6", "8480-6") + WINDOW, "'8480-6' is not a code"),
        (HEAD + SYSTOLIC.replace("8480-6", "8480*") + WINDOW, "is a prefix"),
        (HEAD + SYSTOLIC.replace("LOINC:8480-6", "OMOP:x") + WINDOW, "is not an OMOP concept id"),
        (HEAD + SYSTOLIC + "window_days = [-365000, 0]\n", ">= -40000"),
        (HEAD.replace("fixed_date", "any_date") + SYSTOLIC + WINDOW, "Invalid value 'any_date'"),
        (HEAD.replace("omop", "hl7v2") + SYSTOLIC + WINDOW, "Invalid enum value 'hl7v2'"),
        (HEAD, "columns"),
        ('format = "heartify.mapping/9"\n' + HEAD + SYSTOLIC + WINDOW, "heartify.mapping/9"),
    ],
)
def test_a_text_that_is_no_mapping_is_refused_with_its_file(text: str, expected: str) -> None:
    with pytest.raises(InputError, match=f"^mapping.toml: .*({expected})"):
        parse_mapping(text, file="mapping.toml")


def test_a_mapping_is_loaded_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mapping.toml"
    path.write_bytes(b"\xef\xbb\xbf" + (HEAD + SYSTOLIC + WINDOW).encode())

    mapping = load_mapping(path)

    assert [column.name for column in mapping.columns] == ["systolic"]
    assert mapping.format == "heartify.mapping/1"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"#" * (4 * 1024 * 1024 + 1)])
def test_a_file_that_cannot_be_read_as_text_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mapping.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InputError, match=r"^mapping.toml: (cannot read|not UTF-8|larger than)"):
        load_mapping(path)


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        (SYSTOLIC + WINDOW, "systolic age", "makes no column 'age'"),
        (SYSTOLIC + WINDOW, "age", "no column 'systolic'"),
        (2 * (SYSTOLIC + WINDOW), "systolic", "'systolic' stands twice"),
        (SYSTOLIC + "window_days = [0, -10]\n", "systolic", "begins with 0 and ends with -10"),
        (SYSTOLIC + "window_days = [-10, 1]\n", "systolic", "ends after the index date"),
        (SYSTOLIC + WINDOW + "after_index = true\n", "systolic", "its window ends at the index date"),
        (SYSTOLIC + WINDOW + 'assume_unit = "kg"\n', "systolic", "no conversion from 'kg'"),
        (SYSTOLIC.replace("LOINC:8480-6", "https://x.example|1") + WINDOW, "systolic", "none of its codes"),
        (SYSTOLIC.replace("systolic", "male") + WINDOW, "male", "declares boolean, expected number or integer"),
        (SYSTOLIC.replace("systolic", "days") + WINDOW, "days", "role time, expected factor"),
        ('[[columns]]\nname = "systolic"\nkind = "age_at_index"\n', "systolic", "unit mm\\[Hg\\], expected a"),
        ('[[columns]]\nname = "male"\nkind = "sex"\nmale = "1"\nfemale = "0"\n', "male", "no level '1'"),
        ('[[columns]]\nname = "male"\nkind = "sex"\nmale = "true"\nfemale = "true"\n', "male", "have one level"),
        (SMOKING.replace("LEVEL", "9").replace("CODE", "OMOP:2"), "smoking", "no level '9'"),
        (SMOKING.replace("LEVEL", "1").replace("CODE", "OMOP:1"), "smoking", "an answer that another level has"),
        (SMOKING.replace("LEVEL", "1").replace("CODE", "ICD10:I*"), "smoking", "prefix among the codes of answers"),
        ('[[columns]]\nname = "systolic"\nkind = "condition"\ncodes = ["OMOP:1"]\n', "systolic", "expected boolean"),
        (
            '[[columns]]\nname = "diabetes"\nkind = "condition"\ncodes = ["OMOP:1"]\nafter_index = true\n',
            "diabetes",
            "without a window",
        ),
        (EVENT, "event", "neither codes nor death"),
        (EVENT.replace("event", "male") + "death = true\n", "male", "role factor, expected outcome"),
        (
            EVENT + 'death = true\nincomplete_follow_up = "missing"\n' + DAYS,
            "event days",
            "a time column belongs to it",
        ),
        (DAYS, "days", "there is no outcome 'event'"),
        ('[[columns]]\nname = "age"\nkind = "date"\n', "age", "declares integer, expected date"),
        ('[[columns]]\nname = "age"\nkind = "id"\n', "age", "role factor, expected id"),
    ],
)
def test_a_mapping_that_contradicts_the_dictionary_or_leaks_is_refused(
    dictionary: Callable[[Iterable[str]], DataDictionary], text: str, names: str, expected: str
) -> None:
    mapping = parse_mapping(HEAD + text, file="mapping.toml")

    with pytest.raises(InputError, match=expected):
        check_mapping(mapping, dictionary(names.split()))


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (HEAD + "minimum_age = 60\nmaximum_age = 50\n", "minimum_age is above maximum_age"),
        (HEAD.replace("[index]", "observed_until = 2020-01-01\n[index]"), "observed_until in an OMOP source"),
        (HEAD.replace('"omop"', '"fhir"\nschema = "cdm"'), "only an OMOP database has a schema"),
        (
            HEAD.replace("omop", "fhir")
            .replace("fixed_date", "first_condition")
            .replace("date = 2015-06-01", 'codes = ["OMOP:1"]'),
            "none of its codes can stand in a source of kind fhir",
        ),
    ],
)
def test_a_source_or_an_index_that_contradicts_itself_is_refused(
    dictionary: Callable[[Iterable[str]], DataDictionary], head: str, expected: str
) -> None:
    mapping = parse_mapping(head + SYSTOLIC + WINDOW, file="mapping.toml")

    with pytest.raises(InputError, match=expected):
        check_mapping(mapping, dictionary(["systolic"]))


def test_a_window_after_the_index_date_is_accepted_when_it_is_declared(
    dictionary: Callable[[Iterable[str]], DataDictionary],
) -> None:
    text = HEAD + SYSTOLIC + "window_days = [-10, 1]\nafter_index = true\n"

    check_mapping(parse_mapping(text, file="mapping.toml"), dictionary(["systolic"]))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("LOINC:8480-6", Code("LOINC", "8480-6")),
        ("ICD10CM:I21*", Code("ICD10CM", "I21", is_prefix=True)),
        ("http://loinc.org|8480-6", Code("LOINC", "8480-6")),
        ("https://lab.example/codes|RR_sys", Code("https://lab.example/codes", "RR_sys")),
        ("OMOP:3004249", Code("OMOP", "3004249")),
    ],
)
def test_a_code_is_parsed(text: str, code: Code) -> None:
    assert parse_code(text, where="x") == code


@pytest.mark.parametrize("text", ["", "LOINC", "LOINC:", "LOINC: 1", "OMOP:0", "OMOP:99999999999", "ftp://x|1"])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^x: "):
        parse_code(text, where="x")
