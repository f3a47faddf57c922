from __future__ import annotations

import numpy as np
import pytest

from heartify.cohort.units.conversion import IDENTITY, Conversion, find_conversion
from heartify.errors import InputError
from heartify.protocol.plausible_ranges import RANGES, UNITS, quantity_of

CHOLESTEROL, GLUCOSE, CREATININE, HBA1C = "2093-3", "2345-7", "2160-0", "4548-4"


@pytest.mark.parametrize(
    ("source", "target", "value", "expected"),
    [
        ("kg", "[lb_av]", 70, 154.32358352941),
        ("cm", "m", 172, 1.72),
        ("[in_i]", "cm", 70, 177.8),
        ("mm[Hg]", "kPa", 120, 15.9987),
        ("g/L", "mg/dL", 2, 200),
        ("umol/L", "mmol/L", 88, 0.088),
        ("Cel", "[degF]", 37, 98.6),
        ("[degF]", "Cel", 98.6, 37),
        ("K", "Cel", 310.15, 37),
        ("d", "a", 19_000, 19_000 / 365.25),
        ("mo", "a", 18, 1.5),
        ("10*9/L", "10*3/uL", 7.5, 7.5),
        ("U/L", "ukat/L", 60, 1),
        ("u[IU]/mL", "m[IU]/L", 2.5, 2.5),
        ("{beats}/min", "/min", 72, 72),
        ("/s", "/min", 1.2, 72),
        ("%", "1", 55, 0.55),
        ("ng/mL", "ng/L", 0.04, 40),
    ],
)
def test_units_of_one_dimension_convert_by_ucum(source, target, value, expected):
    conversion = find_conversion(source, target)

    assert conversion.apply(np.array([value]))[0] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("loinc", "source", "target", "value", "expected"),
    [
        # statistics.md section 6 and the AMA Manual of Style's table of conversion factors.
        (CHOLESTEROL, "mg/dL", "mmol/L", 200, 200 * 0.02586),
        ("2085-9", "mg/dL", "mmol/L", 50, 50 * 0.02586),
        ("13457-7", "mmol/L", "mg/dL", 3, 3 / 0.02586),
        ("43396-1", "mg/dL", "mmol/L", 150, 150 * 0.02586),
        ("2571-8", "mg/dL", "mmol/L", 150, 150 * 0.01129),
        (GLUCOSE, "mg/dL", "mmol/L", 90, 90 / 18.016),
        (CREATININE, "mg/dL", "umol/L", 1, 88.42),
        ("3094-0", "mg/dL", "mmol/L", 14, 14 * 0.357),
        ("3091-6", "mg/dL", "mmol/L", 30, 30 * 0.1665),
        ("3084-1", "mg/dL", "umol/L", 5, 5 * 59.48),
        (HBA1C, "%", "mmol/mol", 7, 53),
        (HBA1C, "mmol/mol", "%", 48, 6.543),
        ("1975-2", "mg/dL", "umol/L", 1, 17.1),
        ("17861-6", "mg/dL", "mmol/L", 10, 2.5),
        ("2000-8", "meq/L", "mmol/L", 5, 2.5),
        ("2951-2", "meq/L", "mmol/L", 140, 140),
        ("2823-3", "mmol/L", "meq/L", 4, 4),
        ("718-7", "g/dL", "mmol/L", 15, 15 * 0.6206),
        ("1988-5", "mg/dL", "mg/L", 0.5, 5),
        ("33762-6", "pg/mL", "pmol/L", 125, 125 * 0.1182),
        ("9318-7", "mg/mmol", "mg/g", 3, 26.55),
    ],
)
def test_mass_and_substance_convert_for_a_known_analyte(loinc, source, target, value, expected):
    conversion = find_conversion(source, target, loinc=loinc)

    assert conversion.apply(np.array([value]))[0] == pytest.approx(expected, rel=2e-3)


def test_an_analyte_converts_from_units_that_its_table_does_not_name():
    conversion = find_conversion("g/L", "nmol/L", loinc=CHOLESTEROL)

    assert conversion.scale == pytest.approx(100 / 38.67 * 1e6)


@pytest.mark.parametrize(
    ("source", "target", "loinc", "hint"),
    [
        ("mg/dL", "mmol/L", None, "LOINC code"),
        ("mg/dL", "mmol/L", "8480-6", "systolic blood pressure"),
        ("mg/dL", "nmol/L", "10835-7", "10835-7 is no analyte"),  # lipoprotein(a): its mass differs between people
        ("%", "mmol/mol", None, "LOINC code"),  # equal dimensions, and yet another quantity than 10 mmol/mol
        ("meq/L", "mmol/L", None, "LOINC code"),
        ("[IU]/L", "U/L", None, "source"),
        ("[IU]/L", "[arb'U]/L", None, "source"),
        ("Gy", "Sv", None, "source"),
        ("deg", "1", None, "source"),
        ("[pH]", "1", None, "source"),
        ("mL/min/{1.73_m2}", "mL/min", None, "source"),
        ("kg", "cm", None, "source"),
    ],
)
def test_what_is_not_the_same_quantity_is_refused(source, target, loinc, hint):
    with pytest.raises(InputError, match="no conversion from") as caught:
        find_conversion(source, target, loinc=loinc)

    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize("unit", ["xyz", "mg/dLL", "kkg", "mmHg", "mg/dl", "x" * 40])
def test_what_is_not_ucum_is_refused(unit):
    with pytest.raises(InputError, match="unit"):
        find_conversion(unit, "kg")


def test_equal_units_leave_values_as_they_are():
    values = np.array([1.5, np.nan])

    assert find_conversion("mg/dL", "mg/dL") is IDENTITY
    assert find_conversion("mg/dL", "mg/dL{serum}").is_identity
    assert IDENTITY.apply(values) is values


def test_a_missing_value_stays_missing():
    converted = Conversion(2.0, 1.0).apply(np.array([1.0, np.nan]))

    assert converted[0] == 3.0
    assert np.isnan(converted[1])


def test_conversions_follow_each_other():
    both = Conversion(1.8, 32).then(Conversion(2, -4))

    assert both.apply(np.array([10.0])) == pytest.approx(2 * (1.8 * 10 + 32) - 4)


def test_the_table_of_the_enclave_agrees_with_ucum_wherever_both_convert():
    checked = 0
    for units in UNITS.values():
        for source, (scale_in, shift_in) in units.items():
            for target, (scale_out, shift_out) in units.items():
                try:
                    by_dimension = find_conversion(source, target)
                except InputError:
                    continue
                assert by_dimension.scale == pytest.approx(scale_out / scale_in, rel=1e-5)
                assert shift_in == shift_out or source == target
                checked += source != target

    assert checked >= 30


def test_every_code_of_a_range_is_a_code_of_one_quantity_only():
    for entry in RANGES:
        assert {quantity_of(loinc) for loinc in entry.loincs} <= {entry.quantity}
    assert quantity_of("1-8") is None
