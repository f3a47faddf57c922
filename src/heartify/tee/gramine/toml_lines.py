"""TOML as Gramine's documentation writes it: one dotted key on a line, long arrays one element on a line.

Only the kinds of value that a manifest holds. The same values always give the same bytes, because a manifest is
measured. Text that TOML or the template language of `gramine-manifest` would read in another way is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from heartify.errors import EnclaveError

Scalar = str | int | bool
Value = Scalar | Sequence[Scalar] | Sequence[Mapping[str, Scalar]]

# Printable ASCII without quote, backslash and the braces and percent sign of Jinja.
_PLAIN_TEXT = re.compile(r"[ !#$&-\[\]-z|~]*")
_KEY = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")


def encode_toml_lines(entries: Iterable[tuple[str, Value]]) -> str:
    """Return TOML text of entries, in their order. Raises EnclaveError for a key or text that needs escaping."""
    return "".join(f"{_check_key(key)} = {_encode(value)}\n" for key, value in entries)


def _encode(value: Value) -> str:
    if isinstance(value, str | int):
        return _encode_scalar(value)
    if not value:
        return "[]"
    elements = [_encode_table(item) if isinstance(item, Mapping) else _encode_scalar(item) for item in value]
    return "[\n" + "".join(f"  {element},\n" for element in elements) + "]"


def _encode_table(table: Mapping[str, Scalar]) -> str:
    return "{ " + ", ".join(f"{_check_key(key)} = {_encode_scalar(value)}" for key, value in table.items()) + " }"


def _encode_scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not _PLAIN_TEXT.fullmatch(value):
        raise EnclaveError(f"manifest: {value[:80]!r} can't stand in a manifest", hint="rename the file or folder")
    return f'"{value}"'


def _check_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise EnclaveError(f"manifest: {key[:80]!r} is not a plain key")
    return key
