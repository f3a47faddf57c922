"""The opt-out list: who must not be in versions that are published from a day on (Regulation (EU) 2025/327, art. 71).

Patients stand in it as keyed pseudonyms, never as ids, with the days between which they were opted out, so that the
list of any past day can be shown to an auditor. Pure: `opt_out_file` reads and writes it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from heartify.cohort.changes.person_digests import digest_texts, normalise_ids
from heartify.errors import InputError

PSEUDONYM_BYTES = 16
MAX_OPT_OUTS = 10_000_000
_PURPOSE = b"opt-out-patient"


@dataclass(frozen=True, slots=True)
class OptOutPeriod:
    """The days of one opt-out: from `added` on, and before `removed` if the patient took it back."""

    added: dt.date
    removed: dt.date | None = None

    def covers(self, day: dt.date) -> bool:
        """Tell whether the opt-out holds on a day."""
        return self.added <= day and (self.removed is None or day < self.removed)


@dataclass(frozen=True, slots=True, repr=False)
class OptOuts:
    """The patients who are opted out on one day."""

    pseudonyms: frozenset[bytes]
    key: bytes

    def __len__(self) -> int:
        return len(self.pseudonyms)

    def listed(self, ids: pa.Array) -> npt.NDArray[np.bool_]:
        """Tell for each id whether its patient is on the list; a missing id is not."""
        digests = _pseudonyms(pc.fill_null(normalise_ids(ids), ""), self.key)
        found = np.fromiter((digest in self.pseudonyms for digest in digests), np.bool_, count=len(digests))
        is_known: npt.NDArray[np.bool_] = np.asarray(pc.is_valid(ids))
        return found & is_known

    def digest(self) -> str:
        """Return a keyed digest of the list: it says that two lists are the same, and nothing else."""
        keyed = hashlib.blake2b(key=self.key, digest_size=32, person=b"opt-out-digest")
        for pseudonym in sorted(self.pseudonyms):
            keyed.update(pseudonym)
        return "0x" + keyed.hexdigest()


class OptOutList:
    """Every opt-out that was ever recorded, under the hospital's opt-out key."""

    def __init__(self, key: bytes, periods: Mapping[bytes, tuple[OptOutPeriod, ...]] | None = None) -> None:
        self._key = key
        self._periods = dict(periods or {})

    @property
    def periods(self) -> Mapping[bytes, tuple[OptOutPeriod, ...]]:
        """The periods of each pseudonym, oldest first."""
        return self._periods

    def add(self, ids: Iterable[str], day: dt.date) -> int:
        """Opt patients out from a day on; return how many were not opted out on that day before.

        Adding one twice changes nothing; an earlier day moves the beginning back.

        Raises InputError when an id is empty or the list gets too long.
        """
        added = sum(self._add(pseudonym, day) for pseudonym in self._pseudonyms_of(ids))
        if len(self._periods) > MAX_OPT_OUTS:
            raise InputError(f"the opt-out list has more than {MAX_OPT_OUTS} patients", hint="is it the right file?")
        return added

    def remove(self, ids: Iterable[str], day: dt.date) -> int:
        """Take opt-outs back from a day on; return how many held until then. Removing one twice changes nothing.

        Raises InputError when an id is empty, or an opt-out would end before it began.
        """
        pseudonyms = self._pseudonyms_of(ids)
        if any(self._is_open(one) and self._periods[one][-1].added > day for one in pseudonyms):
            raise InputError("an opt-out can't be taken back before the day on which it began", hint="check the date")
        return sum(self._remove(pseudonym, day) for pseudonym in pseudonyms)

    def as_of(self, day: dt.date) -> OptOuts:
        """Return the list of a day: of today for the next version, of a permit's day for an auditor."""
        held = (one for one, periods in self._periods.items() if any(period.covers(day) for period in periods))
        return OptOuts(frozenset(held), self._key)

    def _pseudonyms_of(self, ids: Iterable[str]) -> set[bytes]:
        texts = normalise_ids(pa.array(list(ids), pa.string()))
        if texts.null_count:
            raise InputError("a patient id of the opt-out list is empty", hint="one id each, and no empty ones")
        return set(_pseudonyms(texts, self._key))

    def _is_open(self, pseudonym: bytes) -> bool:
        periods = self._periods.get(pseudonym)
        return bool(periods) and self._periods[pseudonym][-1].removed is None

    def _add(self, pseudonym: bytes, day: dt.date) -> bool:
        periods = self._periods.get(pseudonym, ())
        if any(period.covers(day) for period in periods) and self._is_open(pseudonym):
            return False
        # What would overlap is joined: periods that begin later, or end later, are part of the new one.
        kept = tuple(period for period in periods if period.removed is not None and period.removed < day)
        joined = [period.added for period in periods if period not in kept]
        self._periods[pseudonym] = (*kept, OptOutPeriod(min([day, *joined])))
        return True

    def _remove(self, pseudonym: bytes, day: dt.date) -> bool:
        if not self._is_open(pseudonym):
            return False
        *earlier, last = self._periods[pseudonym]
        self._periods[pseudonym] = (*earlier, OptOutPeriod(last.added, day))
        return True


def _pseudonyms(texts: pa.Array, key: bytes) -> list[bytes]:
    return digest_texts(texts, key, size=PSEUDONYM_BYTES, purpose=_PURPOSE)
