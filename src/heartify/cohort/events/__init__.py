"""Sources of events, OMOP CDM 5.4 and FHIR R4, which a mapping file makes into one row for each patient."""

from __future__ import annotations

from heartify.cohort.events.derivation import ColumnDerivation, Derivation
from heartify.cohort.events.event_rows import EventRows, open_events
from heartify.cohort.events.mapping import Mapping, load_mapping, parse_mapping
from heartify.cohort.events.mapping_checks import check_mapping

__all__ = [
    "ColumnDerivation",
    "Derivation",
    "EventRows",
    "Mapping",
    "check_mapping",
    "load_mapping",
    "open_events",
    "parse_mapping",
]
