from __future__ import annotations

import pytest

from heartify.cohort.describing.vocabulary import VOCABULARY, ranges_by_unit
from heartify.cohort.units.grammar import ucum_grammar
from heartify.cohort.units.ucum import find_factor, parse_unit, strip_annotations
from heartify.errors import DocumentError, InputError
from heartify.protocol.plausible_ranges import RANGES, UNITS


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("{score}", "1"),
        ("/{HPF}", "/1"),
        ("{beats}/min", "1/min"),
        ("10*3{cells}/uL", "10*3/uL"),
        ("mL/min/{1.73_m2}", "mL/min/1"),
        ("mg/dL", "mg/dL"),
    ],
)
def test_annotations_have_no_meaning(unit, text):
    assert strip_annotations(unit) == text
    assert parse_unit(unit, where="here").text == text


def test_kinds_tell_apart_what_dimensions_do_not():
    gray, sievert = parse_unit("Gy", where="here"), parse_unit("Sv", where="here")

    assert gray.kinds == {"absorbed dose"}
    assert sievert.kinds == {"dose equivalent"}
    assert find_factor(gray, parse_unit("mGy", where="here")) == (1000.0, 0.0)


def test_a_special_unit_has_no_factor_even_to_its_own_prefix():
    bel, decibel = parse_unit("B[SPL]", where="here"), parse_unit("dB[SPL]", where="here")

    assert bel.is_special
    assert find_factor(bel, decibel) is None
    assert find_factor(bel, bel) == (1.0, 0.0)


def test_a_misspelling_is_refused_with_the_right_spelling():
    with pytest.raises(DocumentError) as caught:
        parse_unit("mmHg", where="column 'sbp'")

    assert caught.value.hint == "write 'mm[Hg]'"


def test_what_only_looks_like_ucum_is_refused_by_the_grammar():
    with pytest.raises(InputError, match=r"column 'x': UCUM has no unit 'foo/bar'"):
        parse_unit("foo/bar", where="column 'x'")


def test_every_unit_of_our_own_tables_is_ucum():
    units = {entry.unit for entry in RANGES} | {unit for units in UNITS.values() for unit in units}
    units |= {entry.unit for known in VOCABULARY for entry in ranges_by_unit(known.quantity)}

    assert all(parse_unit(unit, where="here").text for unit in units)


def test_the_grammar_alone_finds_no_line_between_what_it_does_not_know():
    grammar = ucum_grammar()

    assert grammar.line("foo", "kg") is None
    assert grammar.line("[pH]", "[pH]") is None
    assert grammar.line("kg", "m") is None
    assert grammar.line("kg", "g") == (1000.0, 0.0)
