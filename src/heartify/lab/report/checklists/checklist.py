"""A reporting guideline as a list: for each item the places of the report that answer it, and what is left to authors.

An enclave knows what was computed, on what and how; it doesn't know why, by whom, or when patients came. An item is
said to be answered only where the place is really in this report.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class GuidelineItem:
    """One item in our own words; `places` are anchors that may answer it, `authors` what no enclave can know."""

    number: str
    topic: str
    places: tuple[str, ...] = ()
    authors: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A place of this report."""

    anchor: str
    title: str


@dataclasses.dataclass(frozen=True, slots=True)
class ChecklistRow:
    """One item as filled: where it is answered, and what is for the authors (empty: nothing)."""

    number: str
    topic: str
    places: tuple[Place, ...]
    authors: str


@dataclasses.dataclass(frozen=True, slots=True)
class Checklist:
    """One guideline, filled for one report."""

    anchor: str
    title: str
    rows: tuple[ChecklistRow, ...]

    @property
    def answered(self) -> int:
        """Return how many items this report answers, at least in part."""
        return sum(bool(row.places) for row in self.rows)


def fill_checklist(anchor: str, title: str, items: Sequence[GuidelineItem], present: Mapping[str, str]) -> Checklist:
    """Fill a guideline; `present` maps the anchors of this report to their titles."""
    return Checklist(anchor, title, tuple(_fill(item, present) for item in items))


def _fill(item: GuidelineItem, present: Mapping[str, str]) -> ChecklistRow:
    places = tuple(Place(place, present[place]) for place in item.places if place in present)
    authors = item.authors if places or item.authors else "all of it"
    return ChecklistRow(item.number, item.topic, places, authors)
