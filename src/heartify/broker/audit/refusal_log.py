"""Refusals for the audit log, joined: at most one entry a minute for each deal and reason, with their number.

Anybody can make a broker refuse, as often as he likes. Were each refusal an entry, whoever wanted could bury the
others, fill the disk, and make the broker pay for anchors. Above a number of different refusals a minute, further ones
are joined by reason alone. It decides nothing and does no I/O; numbers not yet handed out are lost with the process.
"""

from __future__ import annotations

import dataclasses
import threading

WINDOW_SECONDS = 60
MOST_DIFFERENT = 100


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """Refusals to write as one entry. `deal` and `version` are None where those of many deals were joined."""

    deal: str | None
    version: str | None
    reason_code: str
    count: int

    def details(self) -> dict[str, str]:
        """Return the entry's details."""
        named = {"deal": self.deal, "version": self.version}
        kept = {name: value for name, value in named.items() if value is not None}
        return {**kept, "reason_code": self.reason_code, "count": str(self.count)}


@dataclasses.dataclass(slots=True)
class _Window:
    began: int
    waiting: int = 0

    def is_open(self, now: int, seconds: int) -> bool:
        """Tell whether entries are held back; a clock that went back holds nothing back."""
        return self.began <= now < self.began + seconds


_Key = tuple[str | None, str | None, str]


class RefusalLog:
    """Joins refusals; safe to share between threads. Times are UTC seconds, given by the caller."""

    def __init__(self, *, window_seconds: int = WINDOW_SECONDS, most_different: int = MOST_DIFFERENT) -> None:
        self._window_seconds = window_seconds
        self._most_different = most_different
        self._windows: dict[_Key, _Window] = {}
        self._lock = threading.Lock()

    def note(self, now: int, reason_code: str, *, deal: str | None = None, version: str | None = None) -> list[Refusal]:
        """Note one refusal; return what is to be written now, which may be of earlier ones, or nothing."""
        with self._lock:
            due = self._end_windows(now)
            key: _Key = (deal, version, reason_code)
            if key not in self._windows and len(self._windows) >= self._most_different:
                key = (None, None, reason_code)
            window = self._windows.get(key)
            if window is None:
                self._windows[key] = _Window(now)
                due.append(Refusal(*key, count=1))
            else:
                window.waiting += 1
            return due

    def due(self, now: int) -> list[Refusal]:
        """Return the joined refusals whose minute is over; to be asked for now and then."""
        with self._lock:
            return self._end_windows(now)

    def drain(self) -> list[Refusal]:
        """Return whatever waits, for the end of the process."""
        with self._lock:
            waiting = [Refusal(*key, count=window.waiting) for key, window in self._windows.items() if window.waiting]
            self._windows.clear()
            return waiting

    def _end_windows(self, now: int) -> list[Refusal]:
        due = []
        for key, window in list(self._windows.items()):
            if window.is_open(now, self._window_seconds):
                continue
            if window.waiting == 0:
                del self._windows[key]
                continue
            due.append(Refusal(*key, count=window.waiting))
            self._windows[key] = _Window(now)  # the entry that is written now begins another minute
        return due
