from __future__ import annotations

import pytest

from heartify.cohort.describing.limits import coarse_limits
from heartify.cohort.describing.name_roles import direct_identifier, is_id_name, is_outcome_name, is_time_name
from heartify.cohort.describing.name_words import bracketed_texts, name_words, usable_name
from heartify.cohort.describing.text_forms import form_of, is_missing_word
from heartify.cohort.describing.vocabulary import VOCABULARY, find_known, ranges_by_unit
from heartify.protocol.dictionary import Column


@pytest.mark.parametrize(
    ("low", "high", "limits"),
    [
        (3, 87, (0, 100)),
        (0, 100, (0, 200)),  # never a value that is there
        (0, 0.3, (0, 0.5)),
        (-3, 7, (-5, 10)),
        (-10, -1, (-20, 0)),
        (0, 0, (0, 0)),
        (12, 1e6, (0, 2e6)),
        (0.2, 0.5, (0, 1)),
    ],
)
def test_limits_are_coarse_and_lie_strictly_outside(low, high, limits):
    assert coarse_limits(low, high) == limits


@pytest.mark.parametrize(
    ("text", "form", "places"),
    [
        ("12", "whole", 0),
        ("-3.0", "whole", 0),
        ("3.25", "decimal", 2),
        ("3,25", "decimal", 2),
        (".5", "decimal", 1),
        ("1.5e3", "decimal", 0),
        ("1e-3", "decimal", 3),
        ("2.50", "decimal", 1),
        ("2020-02-29", "date", 0),
        ("2021-02-29", "text", 0),
        ("29.02.2020", "moment", 0),
        ("2020-02-29T12:00:00Z", "moment", 0),
        ("12:30", "moment", 0),
        ("1e999", "text", 0),
        ("1 000", "text", 0),
        ("٣", "text", 0),
        ("nanx", "text", 0),
    ],
)
def test_forms_of_texts(text, form, places):
    found = form_of(text)

    assert (found.form, found.places) == (form, places)


@pytest.mark.parametrize(
    ("text", "leading"), [("012", True), ("0", False), ("0.5", False), ("0.0", False), ("-07", True)]
)
def test_a_leading_zero_makes_a_number_a_code(text, leading):
    assert form_of(text).has_leading_zero is leading


def test_words_for_missing():
    assert all(map(is_missing_word, ["", "NA", "n/a", "NaN", "?", "NULL"]))
    assert not any(map(is_missing_word, ["0", "no", "normal", "x"]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sysBP", ("sys", "bp")),
        ("Größe (cm)", ("grosse",)),
        ("TenYearCHD", ("ten", "year", "chd")),
        ("Glycémie_à_jeun", ("glycemie", "a", "jeun")),
        ("%%", ()),
    ],
)
def test_names_are_split_into_words_without_accents(name, words):
    assert name_words(name) == words


def test_units_stand_in_brackets():
    assert bracketed_texts("Weight [kg] (dry)") == ("kg", "dry")


@pytest.mark.parametrize("name", ["", "Ä", "1", "a" * 100, "a b/c", "x\ny", "氏名", "_.-", "é" * 70, "-9"])
def test_any_name_becomes_usable(name):
    taken: set[str] = set()

    first = usable_name(name, 3, taken)
    second = usable_name(name, 4, {first.lower()})

    assert {Column(name=each, title="T", datatype="number", role="factor").name for each in (first, second)}
    assert first.lower() != second.lower()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("k", "Potassium"),
        ("risk", None),
        ("hr", "Heart rate"),
        ("hr_event", None),
        ("BPMeds", None),
        ("hdl_chol", "HDL cholesterol"),
        ("thalach", "Maximum heart rate"),
        ("max_heart_rate", "Maximum heart rate"),
        ("taille", "Body height"),
        ("tour_de_taille", "Waist circumference"),
        ("taille_tour", "Body height"),
        ("diabetes_history", None),
        ("cr", "Creatinine"),
        ("albumin_creatinine_ratio", "Urine albumin/creatinine"),
    ],
)
def test_the_longest_alias_wins_and_short_ones_are_whole_names(name, title):
    found = find_known(name_words(name))

    assert (found and found.title) == title


def test_every_entry_of_the_vocabulary_has_a_range_and_finds_itself():
    for entry in VOCABULARY:
        assert ranges_by_unit(entry.quantity)
        assert all(find_known(alias) is not None for alias in entry.aliases)


def test_the_codes_of_our_own_ranges_have_their_check_digit():
    for entry in VOCABULARY:
        for found in ranges_by_unit(entry.quantity):
            for loinc in found.loincs:
                assert Column(name="x", title="X", datatype="number", role="factor", loinc=loinc).loinc == loinc


def test_names_tell_roles():
    assert is_id_name("PatientID")
    assert is_id_name("Fallnummer")
    assert not is_id_name("lipids")
    assert direct_identifier("postal_code") == "an address or postcode"
    assert direct_identifier("Bemerkung") == "free text"
    assert direct_identifier("age") is None
    assert is_outcome_name("TenYearCHD")
    assert is_outcome_name("death")
    assert not is_outcome_name("age")
    assert is_time_name("follow_up_days")
    assert not is_time_name("lifetime_smoker")
