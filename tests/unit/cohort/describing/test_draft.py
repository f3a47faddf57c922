from __future__ import annotations

import numpy as np
import pytest

from heartify.cohort.describing.profile import MAX_SAMPLE_ROWS, profile_source
from heartify.cohort.dictionary_toml import ColumnSource, parse_steward_dictionary
from heartify.errors import InputError

SEX = ["m", "w"] * 50
AGES = [str(40 + row % 40) for row in range(100)]


def spread(low: float, high: float, rows: int = 100, places: int = 0) -> list[str]:
    """Values around the middle of an interval, not all different."""
    return [f"{value:.{places}f}" for value in np.tile(np.linspace(low, high, rows // 2), 2)]


@pytest.mark.parametrize(
    ("name", "values", "title", "unit", "loinc"),
    [
        ("Alter", AGES, "Age", "a", "30525-0"),
        ("edad", AGES, "Age", "a", "30525-0"),
        ("RR_sys", spread(100, 180), "Systolic blood pressure", "mm[Hg]", "8480-6"),
        ("sbp", spread(14, 22, places=1), "Systolic blood pressure", "kPa", "8480-6"),
        ("Blutdruck diastolisch", spread(60, 100), "Diastolic blood pressure", "mm[Hg]", "8462-4"),
        ("Cholesterin", spread(3, 8, places=1), "Total cholesterol", "mmol/L", "14647-2"),
        ("LDL-Cholesterin (mg/dl)", spread(80, 200), "LDL cholesterol", "mg/dL", "18262-6"),
        ("cholesterol_hdl", spread(30, 80), "HDL cholesterol", "mg/dL", "2085-9"),
        ("non_hdl_chol", spread(90, 220), "Non-HDL cholesterol", "mg/dL", "43396-1"),
        ("triglycérides", spread(60, 300), "Triglycerides", "mg/dL", "2571-8"),
        ("Glycémie", spread(4, 9, places=1), "Glucose", "mmol/L", "14749-6"),
        ("Kreatinin", spread(50, 150), "Creatinine", "umol/L", "14682-9"),
        ("creat", spread(0.6, 2, places=2), "Creatinine", "mg/dL", "2160-0"),
        ("HbA1c", spread(5, 9, places=1), "HbA1c", "%", "4548-4"),
        ("HbA1c_mmol_mol", spread(30, 80), "HbA1c", "mmol/mol", "59261-8"),
        ("Größe", spread(150, 200), "Body height", "cm", "8302-2"),
        ("Taille [m]", spread(1.5, 2, places=2), "Body height", "m", "8302-2"),
        ("Gewicht", spread(50, 110), "Body weight", "kg", "29463-7"),
        ("weight_lbs", spread(110, 250), "Body weight", "[lb_av]", "29463-7"),
        ("peso", spread(50, 110), "Body weight", "kg", "29463-7"),
        ("Puls", spread(50, 110), "Heart rate", "/min", "8867-4"),
        ("Kalium", spread(3, 5.5, places=1), "Potassium", "mmol/L", "2823-3"),
    ],
)
def test_a_name_is_believed_in_the_unit_that_the_median_fits(draft, name, values, title, unit, loinc):
    (column,) = draft({name: values}).steward.dictionary.columns

    assert (column.title, column.unit, column.loinc) == (title, unit, loinc)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("chol_hdl_ratio", spread(2, 8, places=1)),
        ("bp_meds_change", spread(1, 90)),
        ("sbp", spread(1000, 2000)),
        ("xyz", spread(100, 180)),
    ],
)
def test_a_name_that_means_something_else_or_nothing_is_not_believed(draft, name, values):
    (column,) = draft({name: values}).steward.dictionary.columns

    assert (column.unit, column.loinc) == ("1", None)


def test_a_name_is_made_usable_and_its_source_remembered(draft):
    found = draft({"Größe (cm)": spread(150, 200), "Größe [cm]": spread(150, 200), "1. Wert": spread(1, 90)}).steward

    names = [column.name for column in found.dictionary.columns]
    assert names == ["Grosse_cm", "Grosse_cm_2", "_1._Wert"]
    assert found.sources["_1._Wert"] == ColumnSource(name="1. Wert")


@pytest.mark.parametrize(
    ("texts", "datatype"),
    [
        (["0", "1"] * 50, "boolean"),
        (["0.0", "1.0"] * 50, "boolean"),
        (["1", "2", "3", "3"] * 25, "category"),
        (["TRUE", "false"] * 50, "boolean"),
        (["yes", "no"] * 50, "category"),
        (["A", "B"] * 50, "category"),
        (["01", "02"] * 50, "category"),
        (["2020-01-01", "2021-05-06"] * 50, "date"),
        (spread(0, 90), "integer"),
        (spread(0, 90, places=2), "number"),
        ([text.replace(".", ",") for text in spread(0, 90, places=2)], "number"),
    ],
)
def test_datatypes_follow_from_what_all_texts_have_in_common(draft, texts, datatype):
    column = draft({"x": texts, "sex": SEX}).steward.dictionary.column("x")

    assert column.datatype == datatype


@pytest.mark.parametrize(
    ("name", "texts", "reason"),
    [
        ("email", [f"p{row}@clinic.example" for row in range(100)], "contact data"),
        ("Nachname", ["Meier", "Huber", "Schmidt", "Koch"] * 25, None),
        ("Nachname", [f"Meier{row % 40}" for row in range(100)], "a person's name"),
        ("geburtsdatum", [f"19{row % 90 + 10}-01-02" for row in range(100)], "a date of birth"),
        ("seen", ["03.04.2020", "05.06.2021"] * 50, "not written YYYY-MM-DD"),
        ("seen", ["2020-01-01 12:00"] * 100, "not written YYYY-MM-DD"),
        ("remark", [f"patient felt well on day {row % 60}" for row in range(100)], "free text"),
        ("x", [f"patient felt rather well on day {row}" for row in range(100)], "free text"),
        ("x", [f"text{row % 60}" for row in range(100)], "more than 50"),
        ("x", [*spread(1, 90, rows=98), "<5", "haemolytic"], "numbers mixed with other texts"),
        ("x", ["", "NA"] * 50, "nothing but missing"),
        ("x", [f"+49 30 12345{row % 40:02}" for row in range(100)], "look like phone"),
        ("x", [f"C{row % 40}" for row in range(100)], "no code has 10 rows"),
        ("", spread(1, 90), "no name"),
    ],
)
def test_what_is_no_column_for_a_lab_is_left_out_with_a_reason(draft, name, texts, reason):
    found = draft({name: texts, "sex": SEX})

    if reason is None:
        assert found.left_out == {}
    else:
        assert reason in found.left_out[name]
        assert f'# left out: "{name}": ' in found.to_toml()
        assert all(column.name != name for column in found.steward.dictionary.columns)


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("patient_id", [f"{row:05}" for row in range(100)]),
        ("Fallnummer", [f"F-{row}" for row in range(100)]),
        ("x", [str(90_000 + 7 * row) for row in range(100)]),
        ("x", [f"A{row}B" for row in range(100)]),
    ],
)
def test_what_stands_for_a_patient_is_an_id(draft, name, texts):
    column = draft({name: texts, "sex": SEX}).steward.dictionary.column(name)

    assert (column.role, column.levels) == ("id", ())


def test_an_id_that_repeats_is_doubted(draft):
    found = draft({"id": [str(row // 2 + 10) for row in range(5000)], "sex": SEX * 50})

    assert found.steward.dictionary.column("id").role == "id"
    assert "more than one row" in found.notes.columns["id"][0]


@pytest.mark.parametrize(
    ("texts", "codes"),
    [
        (["NA", "?", *spread(1, 90, rows=98)], ("", "?", "NA")),
        ([None, " ", *spread(1, 90, rows=98)], ("",)),
        (["999"] * 20 + spread(1, 90, rows=80), ("", "999")),
        (["-9"] * 20 + spread(1, 90, rows=80), ("", "-9")),
        (["999"] * 9 + spread(1, 90, rows=80), ("",)),  # too few rows: it might be a patient's own value
        (["99"] * 20 + spread(60, 90, rows=80), ("",)),  # near to the others
        (["-9"] * 20 + spread(-20, 90, rows=80), ("",)),
        (["9"] * 20 + ["1", "2", "3", "4"] * 20, ("", "9")),
        (["9"] * 20 + ["5", "6", "7", "8"] * 20, ("",)),
        (["9"] * 20 + ["0", "1"] * 40, ("", "9")),
        (["-1"] * 20 + ["1", "2", "3", "4"] * 20, ("", "-1")),
        (["-1"] * 20 + ["-2", "0", "1", "2"] * 20, ("",)),
    ],
)
def test_missing_codes_are_words_that_mean_it_and_numbers_that_stand_apart(draft, texts, codes):
    found = draft({"x": texts, "sex": (SEX * 2)[: len(texts)]})

    assert found.steward.dictionary.column("x").missing_codes == codes


def test_a_coded_sex_is_named_by_who_is_taller_where_that_is_clear(draft):
    height = ["165", "178"] * 100
    clear = draft({"sex": ["1", "0"] * 100, "height": _wide(height)})
    unclear = draft({"sex": ["1", "0"] * 100, "height": _wide(["170"] * 200)})

    assert [level.label for level in clear.steward.dictionary.column("sex").levels] == ["male", "female"]
    assert all("(describe)" in level.label for level in unclear.steward.dictionary.column("sex").levels)


def test_words_for_sex_and_yes_are_understood(draft):
    dictionary = draft({"Geschlecht": SEX, "raucher": ["Ja", "Nein"] * 50}).steward.dictionary

    assert [level.label for level in dictionary.column("Geschlecht").levels] == ["male", "female"]
    assert [level.label for level in dictionary.column("raucher").levels] == ["yes", "no"]


def test_the_last_coded_column_is_guessed_to_be_the_outcome(draft):
    found = draft({"a": ["0", "1"] * 50, "b": ["0", "1"] * 50})

    assert [column.role for column in found.steward.dictionary.columns] == ["factor", "outcome"]
    assert "last column" in found.notes.fields["b", "role"]


def test_a_draft_holds_no_code_of_fewer_than_ten_rows_and_no_extreme_value(draft):
    rare = ["77177"] * 9
    found = draft(
        {
            "code": ["1", "2"] * 50 + rare,
            "word": ["red", "blue"] * 50 + ["chartreuse"] * 9,
            "lab": [*spread(100, 400, rows=100), *["54321.5"] * 9],
            "count": [*spread(3, 90, rows=100), *["-7654"] * 9],
            "free": [*["canary singing of patient Miller"] * 100, *["x"] * 9],
            "sex": [*SEX, *["m"] * 9],
        }
    )

    text = found.to_toml()
    for canary in ("77177", "chartreuse", "54321", "7654", "canary", "Miller"):
        assert canary not in text
    assert "rarer codes that are not listed (each in fewer than 10 rows): 1" in text
    lab = found.steward.dictionary.column("lab")
    assert (lab.minimum, lab.maximum) == (0, 100_000)


def test_decimals_beyond_what_a_dictionary_declares_are_left_open(draft):
    found = draft({"x": [f"{value}.12345678901" for value in range(50)] * 2, "sex": SEX})

    assert found.steward.dictionary.column("x").decimals is None
    assert "round them" in " ".join(found.notes.columns["x"])


def test_dates_are_drafted_as_times_with_a_warning(draft):
    found = draft({"visit": ["2020-01-01", "2021-05-06"] * 50, "sex": SEX})

    assert found.steward.dictionary.column("visit").role == "time"
    assert "identify people" in " ".join(found.notes.columns["visit"])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"x": []}, "no rows"),
        ({}, "1 to 4096 columns"),
        ({"x": [f"C{row}" for row in range(8)]}, "no column can be drafted"),
        ({"id": [f"C{row}" for row in range(100)]}, "no column can be drafted"),
    ],
)
def test_a_source_that_nothing_can_be_said_of_is_refused(draft, columns, said):
    with pytest.raises(InputError, match=said):
        draft(columns)


def test_batches_make_no_difference(draft):
    columns = {"Age": AGES, "sex": SEX, "code": ["1", "2", "3", "3"] * 25, "bmi": spread(20, 40, places=1)}

    assert draft(columns, batch_rows=7).to_toml() == draft(columns).to_toml()


def test_a_small_table_of_measurements_is_not_coded(draft):
    found = draft({"age": ["61", "47", "55", "70", "38", "52", "66", "59"]})

    assert found.steward.dictionary.column("age").unit == "a"


def test_a_draft_with_every_note_parses_when_reviewed(draft):
    found = draft({"Größe\n(cm)": spread(150, 200), "remark": ["a b c d e f g"] * 100, "chol": spread(3, 8, places=1)})

    text = found.to_toml().replace("reviewed = false", "reviewed = true")

    assert parse_steward_dictionary(text, file="draft.toml") == found.steward


def test_the_sample_is_bounded_and_uniform(memory_table):
    rows = 3 * MAX_SAMPLE_ROWS
    table = memory_table({"x": [str(row) for row in range(rows)]}, batch_rows=8192)

    sample = profile_source(table, random=np.random.default_rng(3)).sample["x"]

    assert len(sample) == MAX_SAMPLE_ROWS
    assert len(np.unique(sample)) == MAX_SAMPLE_ROWS
    # The mean of 20,000 of 60,000 rows has a standard error of about 100.
    assert float(sample.mean()) == pytest.approx(rows / 2, abs=500)


def _wide(heights: list[str]) -> list[str]:
    """Spread heights over more distinct values than a code has."""
    return [str(int(height) + (row // 2) % 12) for row, height in enumerate(heights)]


def test_a_coded_sex_stays_open_with_few_heights_or_codes_that_are_no_numbers(draft):
    few = draft({"sex": ["1", "2"] * 30, "height": _wide(["165", "178"] * 30)})
    letters = draft({"sex": ["x1", "x2"] * 100, "height": _wide(["165", "178"] * 100)})

    for found in (few, letters):
        assert all("(describe)" in level.label for level in found.steward.dictionary.column("sex").levels)


def test_a_name_without_letters_is_described_by_its_values(draft):
    (column,) = draft({"%%": spread(1, 90)}).steward.dictionary.columns

    assert (column.name, column.title, column.datatype) == ("column_1", "%%", "integer")


def test_nothing_but_missing_codes_are_values_after_all(draft):
    column = draft({"x": ["999"] * 50 + ["-9"] * 50, "sex": SEX}).steward.dictionary.column("x")

    assert column.missing_codes == ("",)
    assert column.level_codes == ("-9", "999")
