"""Physiological ranges by LOINC code and unit, and how the units of a quantity convert: no patient's values.

Publishing doubts and converts a steward's units with them, and the enclave audits hospitals against each other. Ranges
are deliberately wide: they separate units, they do not judge patients. Sources of codes and units: LOINC, HL7 FHIR
vital signs value set. This is the only table of analytes' conversions; `heartify.cohort.units` reads it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from heartify.protocol.column_naming import is_age
from heartify.protocol.dictionary import Column

SYSTOLIC, DIASTOLIC = "8480-6", "8462-4"


@dataclass(frozen=True, slots=True)
class PlausibleRange:
    """What a quantity looks like in one unit: where a cohort's median lies, and where single values lie."""

    quantity: str
    loincs: tuple[str, ...]
    unit: str
    median: tuple[float, float]
    value: tuple[float, float]


_AGE = ("30525-0",)
_EGFR = ("98979-8", "33914-3", "62238-1")
RANGES = (
    PlausibleRange("age", _AGE, "a", (0.5, 105), (0, 125)),
    PlausibleRange("age", _AGE, "mo", (6, 1260), (0, 1500)),
    PlausibleRange("age", _AGE, "d", (150, 38500), (0, 45700)),
    PlausibleRange("systolic blood pressure", (SYSTOLIC,), "mm[Hg]", (85, 200), (40, 350)),
    PlausibleRange("systolic blood pressure", (SYSTOLIC,), "kPa", (11.3, 27), (5, 47)),
    PlausibleRange("diastolic blood pressure", (DIASTOLIC,), "mm[Hg]", (45, 125), (10, 250)),
    PlausibleRange("diastolic blood pressure", (DIASTOLIC,), "kPa", (6, 17), (1.3, 33)),
    PlausibleRange("heart rate", ("8867-4",), "/min", (40, 160), (10, 350)),
    PlausibleRange("body weight", ("29463-7",), "kg", (30, 150), (0.3, 450)),
    PlausibleRange("body weight", ("29463-7",), "[lb_av]", (66, 330), (0.6, 1000)),
    PlausibleRange("body weight", ("29463-7",), "g", (30e3, 150e3), (300, 450e3)),
    PlausibleRange("body height", ("8302-2",), "cm", (90, 200), (25, 275)),
    PlausibleRange("body height", ("8302-2",), "m", (0.9, 2.0), (0.25, 2.75)),
    PlausibleRange("body height", ("8302-2",), "[in_i]", (35, 79), (10, 108)),
    PlausibleRange("body-mass index", ("39156-5",), "kg/m2", (14, 50), (7, 130)),
    PlausibleRange("waist circumference", ("8280-0",), "cm", (50, 150), (20, 300)),
    PlausibleRange("waist circumference", ("8280-0",), "[in_i]", (20, 59), (8, 118)),
    PlausibleRange("total cholesterol", ("2093-3",), "mg/dL", (80, 400), (15, 1500)),
    PlausibleRange("total cholesterol", ("14647-2",), "mmol/L", (2, 10.5), (0.4, 39)),
    PlausibleRange("HDL cholesterol", ("2085-9",), "mg/dL", (20, 110), (2, 250)),
    PlausibleRange("HDL cholesterol", ("14646-4",), "mmol/L", (0.5, 2.9), (0.05, 6.5)),
    PlausibleRange("LDL cholesterol", ("18262-6", "13457-7"), "mg/dL", (35, 300), (2, 1000)),
    PlausibleRange("LDL cholesterol", ("39469-2",), "mmol/L", (0.9, 7.8), (0.05, 26)),
    PlausibleRange("non-HDL cholesterol", ("43396-1",), "mg/dL", (60, 330), (5, 1400)),
    PlausibleRange("non-HDL cholesterol", ("70204-3",), "mmol/L", (1.5, 8.6), (0.1, 37)),
    PlausibleRange("triglycerides", ("2571-8",), "mg/dL", (35, 600), (5, 15000)),
    PlausibleRange("triglycerides", ("14927-8",), "mmol/L", (0.4, 6.8), (0.05, 170)),
    PlausibleRange("glucose", ("2339-0", "2345-7", "1558-6"), "mg/dL", (55, 400), (5, 2500)),
    PlausibleRange("glucose", ("14749-6",), "mmol/L", (3, 22), (0.3, 140)),
    PlausibleRange("HbA1c", ("4548-4",), "%", (3.5, 14), (2, 25)),
    PlausibleRange("HbA1c", ("59261-8",), "mmol/mol", (15, 130), (0.1, 250)),
    PlausibleRange("creatinine", ("2160-0", "38483-4"), "mg/dL", (0.3, 8), (0.05, 40)),
    PlausibleRange("creatinine", ("14682-9",), "umol/L", (26, 700), (4, 3600)),
    PlausibleRange("estimated GFR", _EGFR, "mL/min/{1.73_m2}", (5, 160), (0, 300)),
    PlausibleRange("estimated GFR", _EGFR, "mL/min/1.73.m2", (5, 160), (0, 300)),
    PlausibleRange("urea nitrogen", ("3094-0", "6299-2"), "mg/dL", (5, 80), (1, 300)),
    PlausibleRange("urea nitrogen", ("14937-7",), "mmol/L", (1.8, 29), (0.3, 110)),
    PlausibleRange("urea", ("3091-6",), "mg/dL", (11, 170), (2, 650)),
    PlausibleRange("urea", ("22664-7",), "mmol/L", (1.8, 29), (0.3, 110)),
    PlausibleRange("uric acid", ("3084-1",), "mg/dL", (2, 12), (0.3, 40)),
    PlausibleRange("uric acid", ("14933-6",), "umol/L", (119, 714), (18, 2400)),
    PlausibleRange("bilirubin", ("1975-2",), "mg/dL", (0.1, 5), (0, 60)),
    PlausibleRange("bilirubin", ("14631-6",), "umol/L", (1.7, 86), (0, 1030)),
    PlausibleRange("calcium", ("17861-6",), "mg/dL", (6.5, 12.5), (2, 25)),
    PlausibleRange("calcium", ("2000-8",), "mmol/L", (1.6, 3.1), (0.5, 6.2)),
    PlausibleRange("sodium", ("2951-2", "2947-0"), "mmol/L", (120, 155), (80, 220)),
    PlausibleRange("sodium", ("2951-2", "2947-0"), "meq/L", (120, 155), (80, 220)),
    PlausibleRange("potassium", ("2823-3", "6298-4"), "mmol/L", (2.8, 6.5), (1, 15)),
    PlausibleRange("potassium", ("2823-3", "6298-4"), "meq/L", (2.8, 6.5), (1, 15)),
    PlausibleRange("hemoglobin", ("718-7",), "g/dL", (7, 19), (1, 30)),
    PlausibleRange("hemoglobin", ("718-7",), "g/L", (70, 190), (10, 300)),
    PlausibleRange("hemoglobin", ("59260-0",), "mmol/L", (4.3, 11.8), (0.6, 19)),
    PlausibleRange("C-reactive protein", ("1988-5", "30522-7"), "mg/L", (0.1, 200), (0, 800)),
    PlausibleRange("C-reactive protein", ("1988-5", "30522-7"), "mg/dL", (0.01, 20), (0, 80)),
    PlausibleRange("NT-proBNP", ("33762-6",), "pg/mL", (5, 20e3), (0, 400e3)),
    PlausibleRange("NT-proBNP", ("33762-6",), "ng/L", (5, 20e3), (0, 400e3)),
    PlausibleRange("NT-proBNP", ("33763-4",), "pmol/L", (0.6, 2.4e3), (0, 48e3)),
    PlausibleRange("urine albumin/creatinine", ("14959-1", "9318-7"), "mg/g", (1, 1000), (0, 30e3)),
    PlausibleRange("urine albumin/creatinine", ("32294-1",), "mg/mmol", (0.11, 113), (0, 3.4e3)),
    PlausibleRange("pulse wave velocity", ("77196-4",), "m/s", (3, 25), (1, 60)),
    PlausibleRange("heart rate variability SDNN", ("80404-7",), "ms", (5, 300), (0, 1000)),
)

_CHOLESTEROL = {"mg/dL": (1.0, 0.0), "mmol/L": (1 / 38.67, 0.0)}  # 386.65 g/mol; AMA Manual of Style: 0.0259
_PRESSURE = {"mm[Hg]": (1.0, 0.0), "kPa": (0.133322, 0.0)}  # UCUM: m[Hg] is 133.3220 kPa
_SINGLE_CHARGE = {"mmol/L": (1.0, 0.0), "meq/L": (1.0, 0.0)}
UNITS: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "age": {"a": (1.0, 0.0), "mo": (12.0, 0.0), "d": (365.25, 0.0)},
    "systolic blood pressure": _PRESSURE,
    "diastolic blood pressure": _PRESSURE,
    "body weight": {"kg": (1.0, 0.0), "[lb_av]": (2.20462, 0.0), "g": (1000.0, 0.0)},
    "body height": {"cm": (1.0, 0.0), "m": (0.01, 0.0), "[in_i]": (1 / 2.54, 0.0)},
    "waist circumference": {"cm": (1.0, 0.0), "[in_i]": (1 / 2.54, 0.0)},
    "total cholesterol": _CHOLESTEROL,
    "HDL cholesterol": _CHOLESTEROL,
    "LDL cholesterol": _CHOLESTEROL,
    "non-HDL cholesterol": _CHOLESTEROL,
    "triglycerides": {"mg/dL": (1.0, 0.0), "mmol/L": (1 / 88.57, 0.0)},  # triolein, 885.7 g/mol, by convention
    "glucose": {"mg/dL": (1.0, 0.0), "mmol/L": (1 / 18.016, 0.0)},  # 180.16 g/mol
    # IFCC = (NGSP - 2.152) / 0.09148: the master equation of Hoelzel et al., Clin Chem 2004;50:166.
    "HbA1c": {"%": (1.0, 0.0), "mmol/mol": (1 / 0.09148, -2.152 / 0.09148)},
    "creatinine": {"mg/dL": (1.0, 0.0), "umol/L": (88.42, 0.0)},  # 113.1 g/mol
    # Urea nitrogen in moles counts urea, with two nitrogens of 14.007 g/mol each; urea itself has 60.06 g/mol.
    "urea nitrogen": {"mg/dL": (1.0, 0.0), "mmol/L": (1 / 2.8014, 0.0)},
    "urea": {"mg/dL": (1.0, 0.0), "mmol/L": (1 / 6.006, 0.0)},
    "uric acid": {"mg/dL": (1.0, 0.0), "umol/L": (59.48, 0.0)},  # 168.11 g/mol
    "bilirubin": {"mg/dL": (1.0, 0.0), "umol/L": (17.104, 0.0)},  # 584.66 g/mol
    "calcium": {"mg/dL": (1.0, 0.0), "mmol/L": (1 / 4.0078, 0.0), "meq/L": (2 / 4.0078, 0.0)},  # 40.078, charge 2
    "sodium": _SINGLE_CHARGE,
    "potassium": _SINGLE_CHARGE,
    "hemoglobin": {"g/dL": (1.0, 0.0), "g/L": (10.0, 0.0), "mmol/L": (0.6206, 0.0)},  # the monomer, 16,114 g/mol
    "C-reactive protein": {"mg/L": (1.0, 0.0), "mg/dL": (0.1, 0.0)},
    "NT-proBNP": {"pg/mL": (1.0, 0.0), "ng/L": (1.0, 0.0), "pmol/L": (1 / 8.457, 0.0)},  # 8457 g/mol, 76 residues
    "urine albumin/creatinine": {"mg/g": (1.0, 0.0), "mg/mmol": (0.11312, 0.0)},  # creatinine 113.12 g/mol
}
"""By quantity and unit (scale, shift): a value in the unit is scale * value in the quantity's first unit + shift."""


def loinc_of(column: Column) -> str | None:
    """Return a column's LOINC code; an age needs none."""
    return _AGE[0] if column.loinc is None and is_age(column) else column.loinc


def ranges_of(column: Column) -> tuple[PlausibleRange, ...]:
    """Return what a column's quantity looks like in each unit that its code is used with; empty where not known."""
    loinc = loinc_of(column)
    return tuple(entry for entry in RANGES if loinc in entry.loincs)


def quantity_of(loinc: str) -> str | None:
    """Return the quantity that a LOINC code measures, in whichever unit; None where not known."""
    return next((entry.quantity for entry in RANGES if loinc in entry.loincs), None)


def declared_range(column: Column) -> PlausibleRange | None:
    """Return what a column's quantity looks like in the declared unit, or None where code or unit is not known."""
    return next((entry for entry in ranges_of(column) if entry.unit == column.unit), None)


def in_other_units(quantity: str, unit: str, value: float) -> dict[str, float]:
    """Return what a value in one unit is in each other unit of the quantity."""
    units = UNITS.get(quantity, {})
    if unit not in units:
        return {}
    scale, shift = units[unit]
    base = (value - shift) / scale
    return {other: base * k + c for other, (k, c) in units.items() if other != unit}
