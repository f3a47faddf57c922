"""Codes as a mapping file writes them, `LOINC:8480-6`, and what the two formats call their vocabularies.

A code is compared exactly. Descendants are never looked up: without the whole vocabulary nobody could say which they
are, so a mapping lists every code, or a prefix of ICD codes such as `ICD10CM:I21*`.

Source: HL7 terminology, "external code systems" (FHIR system addresses); OMOP CDM 5.4, table VOCABULARY.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from heartify.errors import InputError

OMOP = "OMOP"
"""The vocabulary of concept ids themselves: they need no look-up, and mean nothing in FHIR."""

SYSTEMS: dict[str, str] = {
    "LOINC": "http://loinc.org",
    "SNOMED": "http://snomed.info/sct",
    "ICD10": "http://hl7.org/fhir/sid/icd-10",
    "ICD10CM": "http://hl7.org/fhir/sid/icd-10-cm",
    "ICD10GM": "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
    "ICD9CM": "http://hl7.org/fhir/sid/icd-9-cm",
}
MAX_CONCEPT = 2**31 - 1

_CODE = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,19}):([A-Za-z0-9][A-Za-z0-9._-]{0,49})(\*?)")
_TOKEN = re.compile(r"((?:https?://|urn:)[^\s|*]{1,200})\|([^\s|*]{1,64})")


@dataclass(frozen=True, slots=True, order=True)
class Code:
    """A code of a vocabulary; `system` is its FHIR address, None for OMOP concept ids and unknown vocabularies."""

    vocabulary: str
    code: str
    is_prefix: bool = False

    @property
    def system(self) -> str | None:
        """The address that FHIR knows the vocabulary by."""
        return self.vocabulary if ":" in self.vocabulary else SYSTEMS.get(self.vocabulary)

    @property
    def concept(self) -> int | None:
        """The OMOP concept id, when the code is one."""
        return int(self.code) if self.vocabulary == OMOP else None

    def is_of(self, kind: str) -> bool:
        """Tell whether the code can stand in a source of that kind, "omop" or "fhir"."""
        return ":" not in self.vocabulary if kind == "omop" else self.system is not None


def parse_code(text: str, *, where: str) -> Code:
    """Parse `VOCABULARY:code`, `ICD10:I21*`, or a FHIR token `https://system|code`; `where` begins the message.

    Raises InputError.
    """
    token = _TOKEN.fullmatch(text)
    if token:
        vocabulary = next((name for name, system in SYSTEMS.items() if system == token[1]), token[1])
        return Code(vocabulary, token[2])
    found = _CODE.fullmatch(text)
    if not found:
        raise InputError(
            f"{where}: '{text[:64]}' is not a code",
            hint="write VOCABULARY:code, such as LOINC:8480-6, SNOMED:22298006, ICD10CM:I21* or OMOP:3004249",
        )
    vocabulary, code, star = found.groups()
    if star and not vocabulary.upper().startswith("ICD"):
        raise InputError(
            f"{where}: '{text}' is a prefix of a vocabulary without hierarchy in its codes",
            hint="only ICD codes can end in *; list the others one by one",
        )
    if vocabulary == OMOP and not (code.isdecimal() and 0 < int(code) <= MAX_CONCEPT):
        raise InputError(f"{where}: '{text}' is not an OMOP concept id", hint="OMOP: and a positive whole number")
    return Code(vocabulary, code, bool(star))
