"""What a steward's dictionary is written as reads back as the same dictionary, whatever texts stand in it."""

from __future__ import annotations

import datetime as dt
import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.cohort.dictionary_toml import parse_steward_dictionary
from heartify.cohort.dictionary_writing import DraftNotes, quote, write_steward_toml
from heartify.cohort.steward_dictionary import CatalogueDetails, ColumnSource, Organisation, StewardDictionary
from heartify.protocol.dictionary import Column, DataDictionary, Level, normalise_code

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
TEXT = ANY_TEXT.filter(bool)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
UNITS = st.sampled_from(["1", "mg/dL", "mm[Hg]", "/min", "a", "kg/m2", "mL/min/{1.73_m2}"])


@st.composite
def columns(draw, name):
    datatype = draw(st.sampled_from(["number", "integer", "boolean", "category", "date"]))
    more = {}
    if datatype in {"number", "integer"}:
        low, high = draw(st.one_of(st.none(), FINITE)), draw(st.one_of(st.none(), FINITE))
        if low is not None and high is not None:
            low, high = min(low, high), max(low, high)
        more = {"unit": draw(UNITS), "minimum": low, "maximum": high}
    if datatype == "number":
        more |= draw(st.sampled_from([{}, {"decimals": 0}, {"decimals": 3}, {"precision": "single"}]))
    codes = draw(st.lists(TEXT, max_size=8, unique_by=normalise_code))
    if datatype == "category":
        cut = draw(st.integers(1, 5))
        levels = [code for code in codes[:cut] if code] or ["only"]
        more["levels"] = tuple(Level(code=code, label=draw(TEXT)) for code in levels)
        codes = [code for code in codes[cut:] if normalise_code(code) not in map(normalise_code, levels)]
    return Column(
        name=name,
        title=draw(TEXT),
        datatype=datatype,
        role=draw(st.sampled_from(["factor", "outcome", "time", "filter"])),
        missing_codes=tuple(codes),
        description=draw(ANY_TEXT),
        loinc=draw(st.sampled_from([None, "8480-6"])),
        omop=draw(st.one_of(st.none(), st.integers(1, 2**31 - 1))),
        filterable=draw(st.booleans()),
        **more,
    )


ORGANISATIONS = st.builds(
    Organisation,
    name=TEXT,
    url=st.sampled_from([None, "https://clinic.example/a?b=c"]),
    email=st.sampled_from([None, "data@clinic.example"]),
)
TEXTS = st.lists(TEXT, max_size=3).map(tuple)
DETAILS = st.builds(
    CatalogueDetails,
    identifier=st.one_of(st.none(), TEXT),
    publisher=st.one_of(st.none(), ORGANISATIONS),
    hdab=st.one_of(st.none(), ORGANISATIONS),
    keywords=TEXTS,
    legal_basis=TEXTS,
    purpose=ANY_TEXT,
    spatial=st.sampled_from([(), ("DE", "FR")]),
    temporal_start=st.one_of(st.none(), st.dates(max_value=dt.date(2020, 1, 1))),
    temporal_end=st.one_of(st.none(), st.dates(min_value=dt.date(2020, 1, 1))),
)


@st.composite
def stewards(draw):
    names = draw(st.lists(st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True), min_size=1, max_size=4,
                          unique_by=str.lower))  # fmt: skip
    found = tuple(draw(columns(name)) for name in names)
    dictionary = DataDictionary(title=draw(TEXT), description=draw(ANY_TEXT), columns=found)
    sources = {
        column.name: ColumnSource(name=f"from {column.name} {draw(ANY_TEXT)}", unit=column.unit if numeric else None)
        for column in found
        if draw(st.booleans())
        for numeric in [column.datatype in {"number", "integer"} and draw(st.booleans())]
    }
    return StewardDictionary(dictionary, sources, draw(DETAILS))


@settings(max_examples=150, deadline=None)
@given(stewards())
def test_a_written_dictionary_reads_back_as_it_was(steward):
    assert parse_steward_dictionary(write_steward_toml(steward), file="d.toml") == steward


@settings(max_examples=100, deadline=None)
@given(stewards(), ANY_TEXT)
def test_notes_change_nothing_whatever_stands_in_them(steward, note):
    names = [column.name for column in steward.dictionary.columns]
    notes = DraftNotes(
        head=(note,),
        columns=dict.fromkeys(names, (note,)),
        fields={(name, field): note for name in names for field in ("title", "role", "unit", "levels")},
        tail=(note, note),
    )

    text = write_steward_toml(steward, notes=notes)

    assert parse_steward_dictionary(text, file="d.toml") == steward


@given(ANY_TEXT)
def test_a_quoted_text_is_one_line_and_the_same_text(text):
    quoted = quote(text)

    assert "\n" not in quoted
    assert tomllib.loads(f"x = {quoted}") == {"x": text}
