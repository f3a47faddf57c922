"""Faults of a source, collected up to a limit, so that a steward corrects twenty at once and not one after the other.

A fault says where and what was expected. It must never say what stands there: that is a patient's value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

from heartify.errors import InputError

MAX_FAULTS = 20
_HINT = "correct the file or the dictionary; a text that means 'not known' belongs in missing_codes"


@dataclass(slots=True)
class Faults:
    """Faults of one source, which messages call `name`."""

    name: str
    _lines: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, where: str, expected: str) -> None:
        """Note a fault.

        Raises InputError, with all faults so far, when there are MAX_FAULTS of them.
        """
        self._lines.append(f"{where}: {expected}")
        if len(self._lines) >= MAX_FAULTS:
            self._refuse(f"{MAX_FAULTS} or more faults", _HINT)

    def check(self) -> None:
        """Raise InputError with all faults, if there are any."""
        if self._lines:
            self._refuse(f"{len(self._lines)} fault(s)", _HINT)

    def stop(self, where: str, expected: str, *, hint: str) -> NoReturn:
        """Raise InputError with all faults and this one, after which nothing more can be read."""
        self._lines.append(f"{where}: {expected}")
        self._refuse(f"{len(self._lines)} fault(s)", hint)

    def _refuse(self, count: str, hint: str) -> NoReturn:
        raise InputError(f"{self.name}: {count}\n  " + "\n  ".join(self._lines), hint=hint)
