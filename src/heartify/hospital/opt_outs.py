"""The hospital's opt-out list: who is left out of every version that is published from a day on.

The steward gives patient ids in a file; the home keeps pseudonyms only. An opt-out enters the next version of each
dataset, and counts for permits issued after it; what is published already changes only by withdrawing the version.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from heartify.cohort.changes.keys import derive_opt_out_key
from heartify.cohort.changes.opt_out_file import changing_opt_outs, load_opt_outs
from heartify.cohort.changes.opt_outs import MAX_OPT_OUTS, OptOuts
from heartify.errors import InputError

OPT_OUT_FILE = "opt-outs.txt"
MAX_ID_CHARACTERS = 256
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class OptOutChange:
    """What a file of ids did to the list: how many ids it has, how many changed something, how many are opted out."""

    given: int
    changed: int
    listed: int


def record_opt_outs(
    home: Path,
    vault_seed: bytes,
    ids_file: Path,
    *,
    today: dt.date,
    day: dt.date | None = None,
    column: str | None = None,
) -> OptOutChange:
    """Opt the patients of a file out, from the day on which the hospital was told (today unless given).

    Raises:
        InputError: the file is not a list of ids, or the day lies ahead; nothing was changed.
        IntegrityError, ServiceError: the list is damaged, or can't be read or written.
    """
    return _change(home, vault_seed, ids_file, column, _checked_day(day, today), adds=True)


def take_back_opt_outs(
    home: Path,
    vault_seed: bytes,
    ids_file: Path,
    *,
    today: dt.date,
    day: dt.date | None = None,
    column: str | None = None,
) -> OptOutChange:
    """Take the opt-outs of a file's patients back, from a day on (today unless given).

    Raises:
        InputError: the file is not a list of ids, or the day lies ahead or before an opt-out; nothing was changed.
        IntegrityError, ServiceError: the list is damaged, or can't be read or written.
    """
    return _change(home, vault_seed, ids_file, column, _checked_day(day, today), adds=False)


def opt_outs_as_of(home: Path, vault_seed: bytes, day: dt.date) -> OptOuts:
    """Return the list as it is on a day: today's for a publication, a permit's day for an auditor.

    Raises IntegrityError when the list is damaged, ServiceError when it can't be read.
    """
    return load_opt_outs(home / OPT_OUT_FILE, derive_opt_out_key(vault_seed)).as_of(day)


def read_patient_ids(path: Path, column: str | None = None) -> tuple[str, ...]:
    """Read patient ids: one a line, or a column of a CSV file with a heading.

    Raises InputError that names the line and never what stands there.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = _ids_of_column(file, path.name, column) if column else _ids_of_lines(file, path.name)
            ids = tuple(found)
    except (OSError, UnicodeDecodeError, csv.Error) as exc:
        raise InputError(
            f"{path.name}: the list of patient ids can't be read", hint="a text file in UTF-8: one id a line, or CSV"
        ) from exc
    if not ids:
        raise InputError(f"{path.name}: there is no patient id in it", hint="one id a line, or name the CSV column")
    return ids


def _change(
    home: Path, vault_seed: bytes, ids_file: Path, column: str | None, day: dt.date, *, adds: bool
) -> OptOutChange:
    ids = read_patient_ids(ids_file, column)
    with changing_opt_outs(home / OPT_OUT_FILE, derive_opt_out_key(vault_seed)) as opt_outs:
        changed = opt_outs.add(ids, day) if adds else opt_outs.remove(ids, day)
        return OptOutChange(len(ids), changed, len(opt_outs.as_of(day)))


def _checked_day(day: dt.date | None, today: dt.date) -> dt.date:
    if day is not None and day > today:
        raise InputError("the day of an opt-out lies ahead", hint="give the day on which the hospital was told")
    return day or today


def _ids_of_lines(lines: Iterator[str], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if any(delimiter in text for delimiter in _DELIMITERS):
            raise InputError(f"{name}, line {number}: this is a table, not an id", hint="name the column of the ids")
        if text:
            yield _checked_id(text, name, number)


def _ids_of_column(lines: Iterator[str], name: str, column: str) -> Iterator[str]:
    heading = next(lines, "")
    for delimiter in _DELIMITERS:
        names = [field.strip() for field in next(csv.reader([heading], delimiter=delimiter), [])]
        if names.count(column) == 1:
            break
    else:
        raise InputError(
            f"{name}: its first line has no column '{column}', or has it twice", hint="name another column"
        )
    place = names.index(column)
    for number, fields in enumerate(csv.reader(lines, delimiter=delimiter, strict=True), 2):
        if fields:
            if len(fields) != len(names):
                raise InputError(f"{name}, row {number}: it has {len(fields)} fields, expected {len(names)}")
            yield _checked_id(fields[place].strip(), name, number)


def _checked_id(text: str, name: str, number: int) -> str:
    if not 0 < len(text) <= MAX_ID_CHARACTERS:
        raise InputError(f"{name}, row {number}: the patient id is empty or longer than {MAX_ID_CHARACTERS} characters")
    if number > MAX_OPT_OUTS:
        raise InputError(f"{name}: more than {MAX_OPT_OUTS} rows", hint="is it the right file?")
    return text
