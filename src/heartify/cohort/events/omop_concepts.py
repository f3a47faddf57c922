"""OMOP concept ids: which codes they are, which units, which operators.

The table CONCEPT says so when the source has it; without it, a small table of the common cardiovascular ones below.
Both are public vocabulary and hold no patient's data.

Source: OMOP standardized vocabularies (athena.ohdsi.org), checked with the Synthea27Nj sample; CDM 5.4, MEASUREMENT.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from heartify.cohort.events.codes import Code

LOINC_CONCEPTS: dict[str, int] = {
    "8480-6": 3004249,  # systolic blood pressure
    "8462-4": 3012888,  # diastolic blood pressure
    "8867-4": 3027018,  # heart rate
    "29463-7": 3025315,  # body weight
    "8302-2": 3036277,  # body height
    "39156-5": 3038553,  # body mass index
    "2093-3": 3027114,  # cholesterol
    "2085-9": 3007070,  # cholesterol in HDL
    "18262-6": 3009966,  # cholesterol in LDL, direct
    "2571-8": 3022192,  # triglycerides
    "2339-0": 3000483,  # glucose in blood
    "2345-7": 3004501,  # glucose in serum or plasma
    "4548-4": 3004410,  # haemoglobin A1c
    "2160-0": 3016723,  # creatinine in serum or plasma
    "38483-4": 3051825,  # creatinine in blood
    "14959-1": 3001802,  # albumin to creatinine in urine
    "72166-2": 43054909,  # smoking status
}
UNIT_CONCEPTS: dict[int, str] = {
    8876: "mm[Hg]",
    44777602: "kPa",
    8840: "mg/dL",
    8753: "mmol/L",
    8749: "umol/L",
    8713: "g/dL",
    8636: "g/L",
    8751: "mg/L",
    8859: "ug/mL",
    8845: "pg/mL",
    8842: "ng/mL",
    8725: "ng/L",
    8729: "pmol/L",
    8723: "mg/g",
    8554: "%",
    9579: "mmol/mol",
    9529: "kg",
    8582: "cm",
    9546: "m",
    9531: "kg/m2",
    8541: "/min",
    9448: "a",
    8512: "d",
    8523: "{ratio}",
}
EQUAL = "="
OPERATORS: dict[int, str] = {4172703: EQUAL, 4171756: "<", 4171754: "<=", 4172704: ">", 4171755: ">="}
SEXES: dict[int, str] = {8507: "male", 8532: "female", 8521: "other"}


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The concepts of a source that a mapping asked for. `concepts`: none for a code that isn't found."""

    concepts: Mapping[Code, frozenset[int]]
    units: Mapping[int, str]

    def of(self, codes: Iterable[Code]) -> frozenset[int]:
        """Return the concepts of several codes."""
        return frozenset().union(*(self.concepts.get(code, frozenset()) for code in codes))

    @property
    def not_found(self) -> tuple[Code, ...]:
        """The codes without a concept."""
        return tuple(sorted(code for code, found in self.concepts.items() if not found))


def build_vocabulary(codes: Iterable[Code], concepts: Callable[[], Iterator[pa.Table]] | None) -> Vocabulary:
    """Look codes and units up; `concepts` reads the table CONCEPT, None when the source hasn't got it."""
    found: dict[Code, set[int]] = {code: set() for code in codes}
    units = dict(UNIT_CONCEPTS)
    for code, ids in found.items():
        if code.concept is not None:
            ids.add(code.concept)
        elif concepts is None and code.vocabulary == "LOINC" and code.code in LOINC_CONCEPTS:
            ids.add(LOINC_CONCEPTS[code.code])
    if concepts is not None:
        _read_concepts(concepts(), found, units)
        for code, ids in found.items():
            if not ids and code.vocabulary == "LOINC" and code.code in LOINC_CONCEPTS:
                ids.add(LOINC_CONCEPTS[code.code])
    return Vocabulary({code: frozenset(ids) for code, ids in found.items()}, units)


def _read_concepts(batches: Iterator[pa.Table], found: dict[Code, set[int]], units: dict[int, str]) -> None:
    exact: dict[tuple[str, str], list[Code]] = defaultdict(list)
    prefixes: dict[str, list[Code]] = defaultdict(list)
    for code in found:
        if code.is_prefix:
            prefixes[code.vocabulary].append(code)
        else:
            exact[code.vocabulary, code.code].append(code)
    wanted = pa.array(sorted({"UCUM", *(code.vocabulary for code in found)}))
    for batch in batches:
        rows = batch.filter(pc.is_in(batch["vocabulary_id"], value_set=wanted))
        for concept, vocabulary, text in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            if vocabulary == "UCUM":
                units[concept] = text[:64]
            for code in exact.get((vocabulary, text), ()):
                found[code].add(concept)
            for code in prefixes.get(vocabulary, ()):
                if text.startswith(code.code):
                    found[code].add(concept)
