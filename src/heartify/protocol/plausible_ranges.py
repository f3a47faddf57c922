"""Physiological ranges by LOINC code and unit, and how the units of a quantity convert: no patient's values.

Publishing doubts a steward's units with them, and the enclave audits hospitals against each other. Ranges are
deliberately wide: they separate units, they do not judge patients. Sources of codes and units: LOINC, HL7 FHIR vital
signs value set; conversions: cholesterol 38.67, glucose 18.016, triglycerides 88.57, creatinine 88.42, HbA1c
(NGSP - 2.152) / 0.09148.
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
    PlausibleRange("pulse wave velocity", ("77196-4",), "m/s", (3, 25), (1, 60)),
    PlausibleRange("heart rate variability SDNN", ("80404-7",), "ms", (5, 300), (0, 1000)),
)

_CHOLESTEROL = {"mg/dL": (1.0, 0.0), "mmol/L": (1 / 38.67, 0.0)}
_PRESSURE = {"mm[Hg]": (1.0, 0.0), "kPa": (0.133322, 0.0)}
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
    "triglycerides": {"mg/dL": (1.0, 0.0), "mmol/L": (1 / 88.57, 0.0)},
    "glucose": {"mg/dL": (1.0, 0.0), "mmol/L": (1 / 18.016, 0.0)},
    "HbA1c": {"%": (1.0, 0.0), "mmol/mol": (1 / 0.09148, -2.152 / 0.09148)},
    "creatinine": {"mg/dL": (1.0, 0.0), "umol/L": (88.42, 0.0)},
}
"""By quantity and unit (scale, shift): a value in the unit is scale * value in the quantity's first unit + shift."""


def loinc_of(column: Column) -> str | None:
    """Return a column's LOINC code; an age needs none."""
    return _AGE[0] if column.loinc is None and is_age(column) else column.loinc


def ranges_of(column: Column) -> tuple[PlausibleRange, ...]:
    """Return what a column's quantity looks like in each unit that its code is used with; empty where not known."""
    loinc = loinc_of(column)
    return tuple(entry for entry in RANGES if loinc in entry.loincs)


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
