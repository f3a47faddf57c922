"""The column keys of one hospital: taken from an opened release without a copy in Python, wiped when they were used.

The release's text is read as protocol.key_release reads it, with one difference: its keys are masked before it is
parsed, so that no string or number of them is ever made. They go straight into memory that is wiped.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from heartify.cohort.encrypted.column_crypto import KEY_BYTES
from heartify.enclave.secret_memory import SecretMemory, wipe_bytes
from heartify.errors import IntegrityError
from heartify.protocol.canonical import parse_canonical
from heartify.protocol.key_release import ColumnKeys

_HEX_DIGITS = 2 * KEY_BYTES
# The dataset version and then every key. A quotation mark inside a name has a backslash before it, so no name ends so.
_DIGESTS = re.compile(rb'"0x([0-9a-f]{%d})"' % _HEX_DIGITS)
_MASK = b'"0x' + b"0" * _HEX_DIGITS + b'"'
_NIBBLE = {digit: value for value, digit in enumerate(b"0123456789abcdef")}


class ColumnKeyring:
    """Keys by column, as views of one piece of secret memory."""

    __slots__ = ("_columns", "_memory")

    def __init__(self, columns: Iterable[str]) -> None:
        self._columns = {column: place * KEY_BYTES for place, column in enumerate(columns)}
        self._memory = SecretMemory(len(self._columns) * KEY_BYTES)

    def views(self) -> Mapping[str, memoryview]:
        """Return each column's key, 32 bytes; all are zeros after `wipe`."""
        return {column: self._memory.view(start, KEY_BYTES) for column, start in self._columns.items()}

    def wipe(self) -> None:
        """Overwrite all keys; harmless a second time."""
        self._memory.wipe()

    def __repr__(self) -> str:
        return f"ColumnKeyring(columns={sorted(self._columns)})"


def take_column_keys(opened: bytes, dataset_version: str) -> ColumnKeyring:
    """Move the keys out of the opened content of a release, whose bytes are overwritten in any case.

    Raises:
        IntegrityError: it isn't a canonical release of this dataset version with a key for each column.
        DocumentError: it isn't one of any version.
    """
    try:
        places = [match.start(1) for match in _DIGESTS.finditer(opened)]
        document = parse_canonical(_DIGESTS.sub(_MASK, opened), ColumnKeys)
        # The first is the version, since canonical JSON sorts names: dataset_version, format, keys.
        if len(places) != 1 + len(document.keys):
            raise IntegrityError("the release's keys can't be told from its columns")
        if opened[places[0] : places[0] + _HEX_DIGITS].decode() != dataset_version.removeprefix("0x"):
            raise IntegrityError("the release is for another dataset version")
        keyring = ColumnKeyring(document.keys)
        for view, place in zip(keyring.views().values(), places[1:], strict=True):
            for index in range(KEY_BYTES):
                high, low = opened[place + 2 * index], opened[place + 2 * index + 1]
                view[index] = _NIBBLE[high] << 4 | _NIBBLE[low]
        return keyring
    finally:
        wipe_bytes(opened)
