"""Regenerate the dataset vectors: `python tests/vectors/dataset/generate.py [folder]`. Every run writes the same bytes.

Two positive versions (`forms`: each stored form, two parts; `blocks`: three blocks of one column), packed planes of
every width, and negative cases with one fault each: `code` is how a reader must refuse. What a case doesn't name is
that of its version. Random bytes come from a counter, which nobody may do with data of patients.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import json
import shutil
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from heartify.cohort.encrypted.bit_planes import code_type, pack
from heartify.cohort.encrypted.column_crypto import FileCipher, FilePlace, column_keys
from heartify.cohort.encrypted.column_file import MAGIC, block_offset
from heartify.cohort.encrypted.encoding import missing_values, pack_values, stored_type
from heartify.cohort.encrypted.stored_form import StoredForm, stored_form
from heartify.cohort.encrypted.version_writer import VersionWriter
from heartify.cohort.table_form import table_schema
from heartify.protocol.canonical import encode_canonical, to_hex
from heartify.protocol.dictionary import Column, DataDictionary, Level
from heartify.protocol.manifest import Manifest, round_rows

DATASET = bytes(range(32))
NONCE, OTHER_NONCE, MASTER_KEY = (bytes([start + i for i in range(32)]) for start in (0x40, 0x80, 0x60))
ROWS, BLOCK_ROWS = 520, 131_584
WIDTHS = (*range(1, 54), 64)
MULTIPLIER = 0x9E3779B97F4A7C15


def number(name: str, **fields: Any) -> Column:
    return Column(name=name, title=name, datatype="number", role="factor", **fields)


def category(name: str, *codes: str) -> Column:
    levels = tuple(Level(code=code, label=f"level {code}") for code in codes)
    return Column(name=name, title=name, datatype="category", role="factor", levels=levels)


FORMS = DataDictionary(
    title="Dataset vector: forms",
    description="Generated values, a column for each stored form and for many widths",
    columns=(
        Column(name="patient", title="patient", datatype="category", role="id"),
        number("double", minimum=-1, maximum=600),
        number("single", precision="single", maximum=0.1),
        number("decimal7", decimals=1, minimum=3.5, maximum=14),
        number("decimal13", decimals=2, minimum=-1.5, maximum=60.25),
        number("decimal17", decimals=3, minimum=-50, maximum=50),
        number("decimal34", decimals=9, minimum=0, maximum=9),
        number("open", decimals=2, minimum=0),
        Column(name="long", title="long", datatype="integer", role="factor", minimum=-7),
        Column(name="short", title="short", datatype="integer", role="factor", minimum=18, maximum=89),
        Column(name="yes", title="yes", datatype="boolean", role="outcome"),
        category("one", "x"),
        category("three", "1", "2", "4"),
        category("four", "a", "b", "c", "d"),
        Column(name="day", title="day", datatype="date", role="time"),
    ),
)
BLOCKS = DataDictionary(
    title="Dataset vector: blocks",
    description="Three blocks",
    columns=(Column(name="yes", title="yes", datatype="boolean", role="outcome"),),
)


SCALES = {"double": 7, "single": -7, "decimal13": 100, "decimal17": 1000, "decimal34": 10**9, "open": 100}
DATES = ("1970-01-01", "0001-01-01", "9999-12-31")


def form_value(name: str, row: int) -> Any:
    """The value of a row; the first rows are at the limits."""
    column = FORMS.column(name)
    if row % 7 == 3:
        return None
    if column.datatype == "category":
        return column.level_codes[row % len(column.levels)]
    if column.datatype == "boolean":
        return row % 3 == 0
    if column.datatype == "date":
        return DATES[row] if row < len(DATES) else str(dt.date(1950, 1, 1) + dt.timedelta(37 * row))
    if row < 2:
        return ((-7, 2**53) if name == "long" else (column.minimum or 0, column.maximum or 0.07))[row]
    if column.datatype == "integer":
        return 18 + row % 70
    steps = row * MULTIPLIER % 997
    return (35 + steps % 100) / 10 if name == "decimal7" else steps / SCALES[name]


def block_value(row: int) -> bool | None:
    return None if row % 7 == 3 else row % 3 == 0


def to_table(dictionary: DataDictionary, values: dict[str, list[Any]]) -> pa.Table:
    arrays = []
    for column, kind in zip(dictionary.columns, table_schema(dictionary).types, strict=True):
        cells = values.get(column.name, [None] * len(next(iter(values.values()))))
        if column.datatype == "category" and column.role != "id":
            codes = [None if cell is None else column.level_codes.index(cell) for cell in cells]
            arrays.append(pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(column.level_codes)))
        elif column.datatype == "date":
            arrays.append(pa.array([None if cell is None else dt.date.fromisoformat(cell) for cell in cells], kind))
        else:
            arrays.append(pa.array(cells, kind))
    return pa.Table.from_arrays(arrays, schema=table_schema(dictionary))


@dataclass(frozen=True)
class Version:
    name: str
    dictionary: DataDictionary
    manifest: Manifest
    keys: dict[str, bytes]
    objects: dict[str, bytes]

    def data(self, column: str, part: int = 0) -> bytes:
        return self.objects[self.manifest.files_of(column)[part].object_name]


def write(name: str, dictionary: DataDictionary, values: dict[str, list[Any]], **changes: bytes) -> Version:
    given = {"dataset": DATASET, "version_nonce": NONCE, "master_key": MASTER_KEY} | changes
    seed, counter = hashlib.sha256(name.encode() + b"".join(given.values())).digest(), iter(range(10**6))
    table = to_table(dictionary, values)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        writer = VersionWriter(
            dictionary,
            folder=folder,
            part_rows=512 if dictionary is FORMS else 2**22,
            random_bytes=lambda count: hashlib.sha256(seed + next(counter).to_bytes(4, "big")).digest()[:count],
            **given,
        )
        for batch in table.to_batches(max_chunksize=65_536):
            writer.append(batch)
        files = writer.finish()
        objects = {entry.object_name: (folder / entry.object_name).read_bytes() for entry in files}
    manifest = Manifest(
        dataset=to_hex(given["dataset"]),
        previous=None,
        version_nonce=to_hex(given["version_nonce"]),
        dictionary_digest=dictionary.digest(),
        report_digest=to_hex(bytes(32)),
        rows_rounded=round_rows(table.num_rows),
        columns=files,
    )
    return Version(name, dictionary, manifest, column_keys(given["master_key"], manifest), objects)


# --- negative cases


@dataclass
class Case:
    """One fault. `objects` are served under the names that a (perhaps other) manifest gives."""

    name: str
    code: str
    version: Version
    columns: list[str]
    manifest: Manifest | None = None
    dictionary: DataDictionary | None = None
    version_id: str | None = None
    keys: dict[str, bytes] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)


def declared(version: Version, *changes: tuple[str, int, bytes], **more: Any) -> Manifest:
    """A manifest that declares other bytes for some files: what a cheating publisher could register."""
    columns = list(version.manifest.columns)
    for column, part, data in changes:
        at = next(i for i, e in enumerate(columns) if (e.column, e.part) == (column, part))
        digest = "0x" + hashlib.sha256(data).hexdigest()
        columns[at] = msgspec.structs.replace(columns[at], size=len(data), digest=digest, **more)
    return msgspec.structs.replace(version.manifest, columns=tuple(columns))


def agreeing(name: str, code: str, version: Version, *changes: tuple[str, int, bytes], **fields: Any) -> Case:
    """A case whose manifest was made for its faulty files."""
    objects = {hashlib.sha256(data).hexdigest(): data for _, _, data in changes}
    columns = fields.pop("columns", [changes[0][0]])
    manifest = declared(version, *changes, **fields.pop("entry", {}))
    return Case(name, code, version, columns, manifest=manifest, objects=objects, **fields)


def deviating(name: str, code: str, version: Version, column: str, data: bytes) -> Case:
    """A case whose manifest is the true one: a lying store."""
    return Case(name, code, version, [column], objects={version.manifest.files_of(column)[0].object_name: data})


def forge(version: Version, column: str, values: Any, *, rows: int, part: int = 0, **other: Any) -> bytes:
    """Write a file under the right key and place, holding `values` whatever they are; of one block."""
    form: StoredForm = other.get("form", stored_form(version.dictionary.column(column)))
    place = FilePlace(DATASET, NONCE, column, part, form.tag)
    salt = hashlib.sha256(f"{column} {part} {rows}".encode()).digest()
    cipher = FileCipher(version.keys[column], salt, place)
    count = cipher.seal(0, rows.to_bytes(8, "little"), is_last=False)
    return MAGIC + salt + count + cipher.seal(1, pack_values(values, form), is_last=other.get("is_last", True))


def raw(version: Version, column: str, *known: float) -> Any:
    form = stored_form(version.dictionary.column(column))
    values = missing_values(form, 512)
    values[: len(known)] = np.array(known, dtype=stored_type(form))
    return values


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def damaged(forms: Version, blocks: Version) -> list[Case]:
    good, long = forms.data("yes"), blocks.data("yes")
    places = {"magic": 0, "end of the magic": 7, "salt": 8, "end of the salt": 39, "row count": 40}
    places |= {"tag of the row count": 63, "block": 64, "tag of the block": len(good) - 1}
    codes = {name: "file-magic" if place < 8 else "file-decryption" for name, place in places.items()}
    cuts = {"nothing": 0, "magic": 8, "header": 40, "row count": 64, "half a block": 128, "all but the last byte": -1}
    cut = [0, *(block_offset(block, 2) for block in range(3)), len(long)]
    header, *parts = [long[a:b] for a, b in itertools.pairwise(cut)]
    shorter = msgspec.structs.replace(blocks.manifest, rows_rounded=131_070)
    without_last = replace(blocks, manifest=shorter)
    return [
        *(deviating(f"a bit of the {n}", "file-digest", forms, "yes", flipped(good, p)) for n, p in places.items()),
        *(
            agreeing(f"a bit of the {n}, declared", codes[n], forms, ("yes", 0, flipped(good, p)))
            for n, p in places.items()
        ),
        *(deviating(f"cut behind {n}", "file-size", forms, "yes", good[:p]) for n, p in cuts.items()),
        *(agreeing(f"cut behind {n}, declared", "file-size", forms, ("yes", 0, good[:p])) for n, p in cuts.items()),
        deviating("a byte more", "file-size", forms, "yes", good + b"\0"),
        agreeing("a byte more, declared", "file-size", forms, ("yes", 0, good + b"\0")),
        agreeing("a block more, declared", "file-size", blocks, ("yes", 0, long + parts[2])),
        agreeing("blocks exchanged", "file-decryption", blocks, ("yes", 0, header + parts[1] + parts[0] + parts[2])),
        agreeing("a block twice", "file-decryption", blocks, ("yes", 0, header + parts[0] + parts[0] + parts[2])),
        agreeing(
            "the last block left out",
            "file-rows",
            without_last,
            ("yes", 0, header + parts[0] + parts[1]),
            entry={"padded_rows": 131_072},
        ),
    ]


def misplaced(forms: Version, other: Version, hospital: Version, newer: Version) -> list[Case]:
    here, part = ("three", 0, forms.data("three")), ("three", 1, forms.data("three", 1))
    crossed = [("yes", 0, forms.data("three")), ("three", 0, forms.data("yes"))]
    return [
        agreeing("parts exchanged", "file-decryption", forms, ("three", 0, part[2]), ("three", 1, here[2])),
        agreeing("columns exchanged", "file-decryption", forms, *crossed),
        agreeing(
            "columns exchanged, with the other key",
            "file-decryption",
            forms,
            *crossed,
            keys={"yes": forms.keys["three"]},
        ),
        agreeing(
            "file of another version under the same master key", "file-decryption", forms, ("yes", 0, other.data("yes"))
        ),
        agreeing(
            "file and key of another version",
            "file-decryption",
            forms,
            ("yes", 0, other.data("yes")),
            keys={"yes": other.keys["yes"]},
        ),
        agreeing("file of another hospital", "file-decryption", forms, ("yes", 0, hospital.data("yes"))),
        agreeing(
            "file and key of another hospital",
            "file-decryption",
            forms,
            ("yes", 0, hospital.data("yes")),
            keys={"yes": hospital.keys["yes"]},
        ),
        Case(
            "older manifest for the newer id", "manifest-digest", forms, ["yes"], version_id=newer.manifest.version_id()
        ),
        deviating("older file under the newer manifest", "file-digest", newer, "yes", forms.data("yes")),
        Case(
            "another dictionary",
            "dictionary-digest",
            forms,
            ["yes"],
            dictionary=msgspec.structs.replace(FORMS, title="Another"),
        ),
        Case("wrong key", "file-decryption", forms, ["yes"], keys={"yes": bytes(32)}),
        Case("key of another column", "file-decryption", forms, ["yes"], keys={"yes": forms.keys["three"]}),
        Case("key of 31 bytes", "key-missing", forms, ["yes"], keys={"yes": bytes(31)}),
        Case("no key", "key-missing", forms, ["yes"], keys={"yes": b""}),
        Case("no column", "column-request", forms, []),
        Case("a column twice", "column-request", forms, ["yes", "yes"]),
        Case("a column that isn't there", "column-unknown", forms, ["bmi"]),
        Case("a column of role id", "column-unknown", forms, ["patient"]),
    ]


def plaintext(forms: Version) -> list[Case]:
    size = len(forms.data("double"))
    csv = b"double\n" + b"233.5\n" * 1000
    return [
        agreeing("plaintext Parquet", "file-magic", forms, ("double", 0, (b"PAR1" + bytes(size))[:size])),
        agreeing("encrypted Parquet", "file-magic", forms, ("double", 0, (b"PARE" + bytes(size))[:size])),
        agreeing("text", "file-magic", forms, ("double", 0, csv[:size])),
        agreeing(
            "another edition of the format", "file-magic", forms, ("double", 0, b"HFYCOL3\0" + forms.data("double")[8:])
        ),
    ]


def by_a_key_holder(forms: Version) -> list[Case]:
    """Faults that only who holds a column's key can make, the hospital: files open, and hold what they must not."""

    def forged(name: str, code: str, column: str, values: Any, *, rows: int = 512, part: int = 0, **other: Any) -> Case:
        columns = other.pop("columns", [column])
        return agreeing(
            name,
            code,
            forms,
            (column, part, forge(forms, column, values, rows=rows, part=part, **other)),
            columns=columns,
        )

    nan = raw(forms, "double")
    nan.view("<u8")[5] = 0x7FF8000000000001
    negative_nan = raw(forms, "single")
    negative_nan.view("<u4")[5] = 0xFFC00000
    tail = {"rows": 8, "part": 1}
    shifted = StoredForm("codes", 7, 17, 88)
    return [
        forged("code beyond missing", "file-values", "yes", raw(forms, "yes", 3)),
        forged("code beyond missing, decimals", "file-values", "decimal13", raw(forms, "decimal13", 6177)),
        forged("level beyond missing", "file-values", "four", raw(forms, "four", 5)),
        forged("number above the maximum", "file-values", "double", raw(forms, "double", 600.5)),
        forged("number below the minimum", "file-values", "double", raw(forms, "double", -1.5)),
        forged("infinite number", "file-values", "single", raw(forms, "single", float("-inf"))),
        forged("whole number beyond 2^53", "file-values", "long", raw(forms, "long", 2**53 + 1)),
        forged("whole number below the minimum", "file-values", "long", raw(forms, "long", -8)),
        forged("other bits for not a number", "file-values", "double", nan),
        forged("other bits for not a number, single", "file-values", "single", negative_nan),
        forged("padding holds a value", "file-padding", "short", raw(forms, "short", *[1] * 9), **tail),
        forged("more rows than padding", "file-rows", "short", raw(forms, "short"), rows=513),
        forged("a part before the last with padding", "file-rows", "short", raw(forms, "short"), rows=511),
        forged("rows that are not the manifest's", "row-count", "short", raw(forms, "short"), rows=100, part=1),
        forged(
            "rows that do not agree",
            "row-alignment",
            "short",
            raw(forms, "short"),
            rows=9,
            part=1,
            columns=["yes", "short"],
        ),
        forged("last block not marked as the last", "file-decryption", "short", raw(forms, "short"), is_last=False),
        forged("written for other limits", "file-decryption", "short", raw(forms, "short"), form=shifted),
    ]


def planes() -> list[dict[str, Any]]:
    """Packed codes of each width: code i of 512 is the highest bits of i * MULTIPLIER modulo 2^64."""
    found = []
    for width in WIDTHS:
        codes = np.array([(i * MULTIPLIER % 2**64) >> (64 - width) for i in range(512)], dtype=np.uint64)
        packed = pack(codes.astype(code_type(width)), width)
        found.append({"width": width, "sha256": hashlib.sha256(packed).hexdigest(), "begins": packed[:16].hex()})
    return found


# --- files


def main(folder: Path) -> None:
    values = {c.name: [form_value(c.name, row) for row in range(ROWS)] for c in FORMS.published_columns}
    forms = write("forms", FORMS, values)
    blocks = write("blocks", BLOCKS, {"yes": [block_value(row) for row in range(BLOCK_ROWS)]})
    other = write("other version", FORMS, values, version_nonce=OTHER_NONCE)
    hospital = write("other hospital", FORMS, values, dataset=bytes(32))
    newer = write("newer", FORMS, values, version_nonce=OTHER_NONCE, master_key=bytes(range(32)))
    cases = [
        *damaged(forms, blocks),
        *misplaced(forms, other, hospital, newer),
        *plaintext(forms),
        *by_a_key_holder(forms),
    ]
    for name in ("forms", "blocks", "newer", "negative"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for version in (forms, blocks, newer):
        save(folder / version.name, version)
    vector = {
        "format": "heartify.dataset/2",
        "versions": {
            "forms": facts(forms, MASTER_KEY, values),
            "blocks": facts(blocks, MASTER_KEY, None),
            "newer": facts(newer, bytes(range(32)), None),
        },
        "planes": {"multiplier": MULTIPLIER, "widths": planes()},
        "negative": [save_case(folder, number, case) for number, case in enumerate(cases)],
    }
    (folder / "vector.json").write_text(json.dumps(vector, indent=1) + "\n", encoding="utf-8")


def facts(version: Version, master_key: bytes, values: dict[str, list[Any]] | None) -> dict[str, Any]:
    columns = {}
    for name, key in version.keys.items():
        form = stored_form(version.dictionary.column(name))
        columns[name] = {"key": key.hex(), "form": form.tag.decode(), "width": form.width_bits}
        if values is not None:
            columns[name]["values"] = values[name]
    return {"version_id": version.manifest.version_id(), "master_key": master_key.hex(), "columns": columns}


def save(folder: Path, version: Version) -> None:
    (folder / "objects").mkdir(parents=True)
    (folder / "manifest.json").write_bytes(encode_canonical(version.manifest))
    (folder / "dictionary.json").write_bytes(encode_canonical(version.dictionary))
    for name, data in version.objects.items():
        # A newer version is there for its manifest alone.
        if version.name != "newer":
            (folder / "objects" / name).write_bytes(data)


def save_case(folder: Path, number: int, case: Case) -> dict[str, Any]:
    place = folder / "negative"
    place.mkdir(exist_ok=True)
    saved: dict[str, Any] = {
        "name": case.name,
        "code": case.code,
        "version": case.version.name,
        "columns": case.columns,
        "keys": {name: key.hex() for name, key in case.keys.items()},
        "objects": {},
    }

    def save_document(name: str, document: Any) -> str:
        return _save(place / f"{number:02}-{name}", encode_canonical(document))

    if case.manifest is not None:
        saved["manifest"] = save_document("manifest.json", case.manifest)
        saved["version_id"] = case.manifest.version_id()
    if case.version_id is not None:
        saved["version_id"] = case.version_id
    if case.dictionary is not None:
        saved["dictionary"] = save_document("dictionary.json", case.dictionary)
    for at, (name, data) in enumerate(case.objects.items()):
        saved["objects"][name] = _save(place / f"{number:02}-{at}.bin", data)
    return saved


def _save(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return f"{path.parent.name}/{path.name}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
