"""The data dictionary as a steward writes it: a TOML file, converted strictly into `DataDictionary`.

The text is not trusted: unknown fields, wrong types and contradictions are refused with the file and the column's
name. docs/reference/dictionary.md describes the form.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from heartify.errors import DocumentError, InputError
from heartify.protocol.dictionary import DICTIONARY_FORMAT, DataDictionary

MAX_DICTIONARY_BYTES = 4 * 1024 * 1024


def load_dictionary_toml(path: Path) -> DataDictionary:
    """Read a dictionary file.

    Raises InputError when it cannot be read, DocumentError when it is wrong.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise InputError(f"{path.name}: cannot read the data dictionary: {exc.strerror}") from exc
    if len(data) > MAX_DICTIONARY_BYTES:
        raise InputError(f"{path.name}: larger than {MAX_DICTIONARY_BYTES} bytes", hint="this is no data dictionary")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InputError(f"{path.name}: not UTF-8", hint="save the file as UTF-8") from exc
    return parse_dictionary_toml(text, file=path.name)


def parse_dictionary_toml(text: str, *, file: str) -> DataDictionary:
    """Parse the TOML form; `file` is the name for messages.

    Raises DocumentError that says where and what is wrong.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise DocumentError(f"{file}: not TOML: {exc}", hint="text values need quotes; see toml.io") from exc
    document.setdefault("format", DICTIONARY_FORMAT)
    try:
        return msgspec.convert(document, DataDictionary, strict=True)
    except msgspec.ValidationError as exc:
        raise DocumentError(f"{file}: {_with_column(str(exc), document)}", hint="see the dictionary reference") from exc
    except DocumentError as exc:
        raise DocumentError(f"{file}: {exc.message}", hint=exc.hint) from exc


def _with_column(message: str, document: dict[str, object]) -> str:
    """Replace an index such as `$.columns[3]` by the column's name, which is what a steward can search for."""
    columns = document.get("columns")
    if not isinstance(columns, list):
        return message
    for index, column in enumerate(columns):
        name = column.get("name") if isinstance(column, dict) else None
        if isinstance(name, str):
            message = message.replace(f"$.columns[{index}]", f"column '{name}'")
    return message
