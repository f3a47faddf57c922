"""What an inspection finds: sections of named facts, as texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Section:
    """Facts about one part, in the order in which they are shown. Names are unique within a section."""

    title: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a file is, and what it says. `simulated` is what its names say; None where they say nothing."""

    what: str
    simulated: bool | None
    sections: tuple[Section, ...]

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "what": self.what,
            "simulated": self.simulated,
            "verified": False,
            "sections": [{"title": section.title, "facts": dict(section.facts)} for section in self.sections],
        }


def yes_or_no(value: object) -> str:
    """Return a truth value as a word."""
    return "yes" if value else "no"


def words(names: tuple[str, ...] | list[str]) -> str:
    """Return names as a list, or `none`."""
    return ", ".join(names) or "none"
