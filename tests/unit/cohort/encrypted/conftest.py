"""Shared: a version with a column of each stored form, and what a key holder could write who leaves the format."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

from heartify.cohort.encrypted.column_crypto import FileCipher, FilePlace, column_keys
from heartify.cohort.encrypted.column_file import MAGIC
from heartify.cohort.encrypted.encoding import missing_values, pack_values, stored_type
from heartify.cohort.encrypted.reader import read_columns
from heartify.cohort.encrypted.stored_form import StoredForm, stored_form
from heartify.cohort.encrypted.version_writer import VersionWriter
from heartify.cohort.table_form import table_schema, table_type
from heartify.protocol.canonical import to_bytes, to_hex
from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.manifest import ROW_GROUP_ROWS, Manifest, round_rows

SALT = b"\x5a" * 32


def digest(data: bytes) -> str:
    return "0x" + hashlib.sha256(data).hexdigest()


def index_of(manifest: Manifest, column: str, part: int = 0) -> int:
    return next(i for i, e in enumerate(manifest.columns) if (e.column, e.part) == (column, part))


def with_file(manifest: Manifest, column: str, data: bytes, part: int = 0, **changes: Any) -> Manifest:
    """A manifest that declares `data` in place of a file: what a cheating publisher could register."""
    index = index_of(manifest, column, part)
    entry = msgspec.structs.replace(manifest.columns[index], **({"size": len(data), "digest": digest(data)} | changes))
    return msgspec.structs.replace(manifest, columns=(*manifest.columns[:index], entry, *manifest.columns[index + 1 :]))


def with_files_swapped(manifest: Manifest, one: tuple[str, int], other: tuple[str, int]) -> Manifest:
    """A manifest that declares two files in each other's place."""
    columns = list(manifest.columns)
    first, second = index_of(manifest, *one), index_of(manifest, *other)
    for here, there in ((first, second), (second, first)):
        source = manifest.columns[there]
        columns[here] = msgspec.structs.replace(manifest.columns[here], size=source.size, digest=source.digest)
    return msgspec.structs.replace(manifest, columns=tuple(columns))


def raw_values(form: StoredForm, *known: float, rows: int = 512) -> npt.NDArray[Any]:
    """Stored values as they are, not checked against anything, followed by missing ones."""
    values = missing_values(form, rows)
    values[: len(known)] = np.array(known, dtype=stored_type(form))
    return values


def forge(
    version: Version,
    name: str,
    values: npt.NDArray[Any],
    *,
    rows: int = 4,
    part: int = 0,
    row_count: bytes | None = None,
    form: StoredForm | None = None,
    last: Sequence[bool] | None = None,
    magic: bytes = MAGIC,
) -> bytes:
    """Write a file under the right key and place, holding `values` whatever they are."""
    manifest, column = version.manifest, version.dictionary.column(name)
    form = form or stored_form(column)
    place = FilePlace(to_bytes(manifest.dataset), to_bytes(manifest.version_nonce), name, part, form.tag)
    cipher = FileCipher(version.keys[name], SALT, place)
    blocks = [values[first : first + ROW_GROUP_ROWS] for first in range(0, len(values), ROW_GROUP_ROWS)]
    flags = last or [number + 1 == len(blocks) for number in range(len(blocks))]
    messages = [cipher.seal(0, rows.to_bytes(8, "little") if row_count is None else row_count, is_last=False)]
    for number, (block, is_last) in enumerate(zip(blocks, flags, strict=True)):
        packed = pack_values(block.astype(stored_type(form), copy=False), form)
        messages.append(cipher.seal(number + 1, packed, is_last=is_last))
    return magic + SALT + b"".join(messages)


LEVELS = tuple(Level(code=code, label=f"level {code}") for code in ("1", "2", "4"))
FORMS = DataDictionary(
    title="Forms",
    description="Each stored form once",
    columns=(
        Column(name="patient", title="Patient", datatype="category", role="id"),
        Column(name="double", title="A", datatype="number", role="factor", minimum=-1, maximum=600),
        Column(name="single", title="B", datatype="number", role="factor", precision="single", maximum=0.1),
        Column(name="decimal", title="C", datatype="number", role="factor", decimals=2, minimum=-1.5, maximum=60.25),
        Column(name="long", title="D", datatype="integer", role="factor", minimum=-7),
        Column(name="short", title="E", datatype="integer", role="factor", minimum=18, maximum=89),
        Column(name="yes", title="F", datatype="boolean", role="factor"),
        Column(name="level", title="G", datatype="category", role="outcome", levels=LEVELS),
        Column(name="day", title="H", datatype="date", role="time"),
    ),
)
VALUES: dict[str, list[Any]] = {
    "double": [233.5, None, -1.0, 600.0],
    "single": [0.1, None, -2.5, -1e-30],
    "decimal": [-1.5, None, 0.07, 60.25],
    "long": [-7, None, 2**53, 0],
    "short": [18, None, 89, 40],
    "yes": [True, None, False, True],
    "level": ["1", None, "4", "2"],
    "day": [dt.date(2021, 3, 4), None, dt.date(1, 1, 1), dt.date(9999, 12, 31)],
}
READ: dict[str, list[float]] = {
    **{name: [np.nan if v is None else float(v) for v in VALUES[name]] for name in ("double", "long", "short", "yes")},
    "decimal": [-1.5, np.nan, 0.07, 60.25],
    "single": [float(np.float32(0.1)), np.nan, -2.5, float(np.float32(-1e-30))],
    "level": [0, -1, 2, 1],
    "day": [18690, np.nan, -719162, 2932896],
}


def table_of(values: dict[str, list[Any]]) -> pa.Table:
    rows = len(next(iter(values.values())))
    arrays = []
    for column in FORMS.columns:
        kind, cells = table_type(column), values.get(column.name, [f"p{i}" for i in range(rows)])
        if pa.types.is_dictionary(kind):
            codes = [None if cell is None else column.level_codes.index(cell) for cell in cells]
            arrays.append(pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(column.level_codes)))
        else:
            arrays.append(pa.array(cells, kind))
    return pa.Table.from_arrays(arrays, schema=table_schema(FORMS))


@dataclass(frozen=True)
class Version:
    """What a test needs of a version, written through the streaming writer."""

    manifest: Manifest
    keys: dict[str, bytes]
    files: dict[str, bytes]
    dictionary: DataDictionary = FORMS

    def read(self, *columns: str, **changes: Any) -> dict[str, Any]:
        given = {"manifest": self.manifest, "keys": self.keys, "files": self.files} | changes
        return read_columns(given["manifest"], self.dictionary, columns, given["keys"], given["files"].__getitem__)

    def file_of(self, column: str, part: int = 0) -> bytes:
        return self.files[self.manifest.files_of(column)[part].object_name]

    def with_data(self, column: str, data: bytes, part: int = 0) -> dict[str, Any]:
        """Manifest and files in which `data` stands, and agrees, in place of a file."""
        manifest = with_file(self.manifest, column, data, part)
        return {"manifest": manifest, "files": {**self.files, digest(data).removeprefix("0x"): data}}


def write_forms(folder: Path, table: pa.Table, **options: Any) -> Version:
    given = {"dataset": b"\1" * 32, "version_nonce": b"\2" * 32, "master_key": b"\3" * 32} | options
    writer = VersionWriter(FORMS, folder=folder, **given)
    for batch in table.to_batches():
        writer.append(batch)
    manifest = Manifest(
        dataset=to_hex(given["dataset"]),
        previous=None,
        version_nonce=to_hex(given["version_nonce"]),
        dictionary_digest=FORMS.digest(),
        report_digest="0x" + "00" * 32,
        rows_rounded=round_rows(table.num_rows),
        columns=writer.finish(),
    )
    files = {entry.object_name: (folder / entry.object_name).read_bytes() for entry in manifest.columns}
    return Version(manifest, column_keys(given["master_key"], manifest), files)


@pytest.fixture
def new_version(tmp_path: Path) -> Callable[..., Version]:
    """Write a table of all forms, by default that of four rows."""
    numbers = itertools.count()

    def make(table: pa.Table | None = None, **options: Any) -> Version:
        folder = tmp_path / f"version-{next(numbers)}"
        folder.mkdir()
        return write_forms(folder, table_of(VALUES) if table is None else table, **options)

    return make


@pytest.fixture
def version(new_version: Callable[..., Version]) -> Version:
    return new_version()


@pytest.fixture
def forms() -> SimpleNamespace:
    """The dictionary of all forms, four rows of it, how they read, and the forger's tools."""
    return SimpleNamespace(
        dictionary=FORMS,
        values=VALUES,
        read=READ,
        table_of=table_of,
        forge=forge,
        with_file=with_file,
        with_files_swapped=with_files_swapped,
        raw_values=raw_values,
        digest=digest,
    )


@pytest.fixture
def long_values() -> dict[str, list[Any]]:
    """1,300 rows: three parts of 512."""
    rng = np.random.default_rng(11)
    return {name: [VALUES[name][i] for i in rng.integers(0, 4, 1300)] for name in VALUES}
