"""The opt-out list as a file of the hospital's home: readable lines, one change at a time, authenticated as a whole.

    heartify.opt-outs/1
    <32 hex digits of the pseudonym> <day added> <day removed, or ->
    ...
    authentication <64 hex digits>

The last line is a keyed digest of all before it: a list that was cut short or edited is refused, because with it
patients would be published who opted out. It trusts nothing but the key.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import hmac
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from heartify.cohort.changes.opt_outs import MAX_OPT_OUTS, PSEUDONYM_BYTES, OptOutList, OptOutPeriod
from heartify.cohort.storage.local_files import replacing
from heartify.errors import IntegrityError, ServiceError

OPT_OUT_FORMAT: Final = "heartify.opt-outs/1"
_LINE_BYTES = 56
_MAX_BYTES = 2 * MAX_OPT_OUTS * _LINE_BYTES


def load_opt_outs(path: Path, key: bytes) -> OptOutList:
    """Read the list; it is empty when there is no file.

    Raises IntegrityError when the file isn't what was written under this key, ServiceError when it can't be read.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _damaged("it is too large")
        return parse_opt_outs(path.read_bytes(), key)
    except FileNotFoundError:
        return OptOutList(key)
    except OSError as exc:
        raise ServiceError(f"the opt-out list can't be read: {exc.strerror or type(exc).__name__}") from exc


@contextlib.contextmanager
def changing_opt_outs(path: Path, key: bytes) -> Iterator[OptOutList]:
    """Yield the list, and write it whole when the block ends without an error; one such block at a time.

    Raises what load_opt_outs raises, and ServiceError when it can't be written; then the old list stands.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        opt_outs = load_opt_outs(path, key)
        yield opt_outs
        _write(path, encode_opt_outs(opt_outs, key))


def encode_opt_outs(opt_outs: OptOutList, key: bytes) -> bytes:
    """Return the file's bytes: the same list always gives the same."""
    lines = [OPT_OUT_FORMAT]
    for pseudonym, periods in sorted(opt_outs.periods.items()):
        lines += [f"{pseudonym.hex()} {period.added} {period.removed or '-'}" for period in periods]
    body = "".join(f"{line}\n" for line in lines).encode("ascii")
    return body + f"authentication {_authentication(body, key)}\n".encode("ascii")


def parse_opt_outs(data: bytes, key: bytes) -> OptOutList:
    """Read the file's bytes.

    Raises IntegrityError when they aren't what was written under this key.
    """
    body, separator, end = data.rpartition(b"authentication ")
    expected = f"{_authentication(body, key)}\n".encode("ascii")
    if not separator or not hmac.compare_digest(end, expected):
        raise _damaged("it was changed, cut short, or written by another hospital")
    first, *lines = body.decode("ascii").splitlines()
    if first != OPT_OUT_FORMAT:
        raise _damaged(f"its format is not {OPT_OUT_FORMAT}")
    periods: dict[bytes, tuple[OptOutPeriod, ...]] = {}
    for line in lines:
        pseudonym, added, removed = line.split(" ")
        period = OptOutPeriod(_day(added), None if removed == "-" else _day(removed))
        periods[_pseudonym(pseudonym)] = (*periods.get(_pseudonym(pseudonym), ()), period)
    return OptOutList(key, periods)


def _day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def _pseudonym(text: str) -> bytes:
    pseudonym = bytes.fromhex(text)
    if len(pseudonym) != PSEUDONYM_BYTES:
        raise _damaged("a pseudonym has another length")
    return pseudonym


def _authentication(body: bytes, key: bytes) -> str:
    return hashlib.blake2b(body, key=key, digest_size=32, person=b"opt-out-list").hexdigest()


def _damaged(why: str) -> IntegrityError:
    return IntegrityError(
        f"the opt-out list is not usable: {why}",
        hint="restore it from a backup: nothing is published without it, since patients on it must be left out",
    )


def _write(path: Path, data: bytes) -> None:
    try:
        with replacing(path) as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(data)
    except OSError as exc:
        raise ServiceError(f"the opt-out list can't be written: {exc.strerror or type(exc).__name__}") from exc
