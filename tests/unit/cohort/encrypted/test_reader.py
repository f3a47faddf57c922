from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from heartify.cohort.encrypted.column_crypto import file_aad_prefix
from heartify.cohort.encrypted.reader import iterate_parts, read_columns
from heartify.cohort.encrypted.stored_form import ROWS_FIELD
from heartify.cohort.storage.version_files import load_stored_dictionary
from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.dictionary import DataDictionary
from heartify.protocol.manifest import ColumnFile, Manifest

ALL = ("chol", "count", "smoker", "cp", "visit")


def digest(data: bytes) -> str:
    return "0x" + hashlib.sha256(data).hexdigest()


def with_file(manifest: Manifest, index: int, data: bytes, **changes: Any) -> Manifest:
    """A manifest that declares `data` in place of a file: what a cheating publisher could register."""
    entry = msgspec.structs.replace(manifest.columns[index], size=len(data), digest=digest(data), **changes)
    columns = (*manifest.columns[:index], entry, *manifest.columns[index + 1 :])
    return msgspec.structs.replace(manifest, columns=columns)


def forge(published: Any, column: str, table: pa.Table, *, rows: bytes | None = None, **options: Any) -> bytes:
    """Write a file under the right key and binding, but not in the stored form."""
    manifest = published.version.manifest
    prefix = file_aad_prefix(
        dataset=to_bytes(manifest.dataset), version_nonce=to_bytes(manifest.version_nonce), column=column, part=0
    )
    properties = pe.create_encryption_properties(published.keys[column], aad_prefix=prefix, store_aad_prefix=False)
    sink = io.BytesIO()
    fields: dict[str, Any] = {"compression": "NONE", "use_dictionary": False, "write_statistics": False}
    with pq.ParquetWriter(
        sink, table.schema, store_schema=False, encryption_properties=properties, **(fields | options)
    ) as writer:
        writer.write_table(table)
        if rows is not None:
            writer.add_key_value_metadata({ROWS_FIELD: rows})
    return sink.getvalue()


def stored_table(values: Any, name: str = "chol", kind: pa.DataType | None = None) -> pa.Table:
    schema = pa.schema([pa.field(name, kind or pa.float64(), nullable=False)])
    return pa.Table.from_arrays([pa.array(values, kind or pa.float64())], schema=schema)


FOUR = str(4).zfill(20).encode()
PADDED = [233.5, 199.0, 250.25, 100.0] + [float("nan")] * 508


def test_all_types_come_back_with_missing_values(published: Any) -> None:
    columns = published.read(*ALL)

    np.testing.assert_array_equal(columns["chol"], [233.5, np.nan, 199.0, 250.25])
    np.testing.assert_array_equal(columns["count"], [3, np.nan, -7, 3])
    np.testing.assert_array_equal(columns["smoker"], [1, np.nan, 0, 1])
    np.testing.assert_array_equal(columns["cp"], [0, -1, 2, 2])
    np.testing.assert_array_equal(columns["visit"], [18690, np.nan, -1, 18321])
    assert columns["cp"].dtype == np.int32
    assert columns["chol"].dtype == np.float64


def test_parts_are_read_in_lockstep_and_joined(publish: Callable[..., Any], long_table: pa.Table) -> None:
    version = publish(long_table, part_rows=512)
    parts = list(
        iterate_parts(
            version.version.manifest, _dictionary(version), ["chol", "cp"], version.keys, version.files.__getitem__
        )
    )

    joined = version.read("chol", "cp")

    assert [len(part["cp"]) for part in parts] == [512, 512, 276]
    np.testing.assert_array_equal(joined["chol"], long_table.column("chol").to_numpy())
    assert [("1", "2", "4")[code] for code in joined["cp"]] == long_table.column("cp").to_pylist()


def _dictionary(published: Any) -> DataDictionary:

    return load_stored_dictionary(published.store, published.version.version_id, published.version.manifest)


def test_the_keys_of_some_columns_open_those_and_nothing_else(published: Any, small_dictionary: DataDictionary) -> None:
    manifest = published.version.manifest
    granted = {name: published.keys[name] for name in ("chol", "cp", "smoker")}

    columns = read_columns(manifest, small_dictionary, list(granted), granted, published.files.__getitem__)

    assert set(columns) == set(granted)
    for name in ("count", "visit"):
        with pytest.raises(IntegrityError, match="key-missing"):
            read_columns(manifest, small_dictionary, [name], granted, published.files.__getitem__)
        for key in granted.values():
            with pytest.raises(IntegrityError, match="file-decryption"):
                read_columns(manifest, small_dictionary, [name], {name: key}, published.files.__getitem__)


def test_only_the_files_of_the_columns_asked_for_are_fetched(published: Any, small_dictionary: DataDictionary) -> None:
    fetched: list[str] = []

    def fetch(file: str) -> bytes:
        fetched.append(file)
        return published.files[file]

    read_columns(published.version.manifest, small_dictionary, ["cp"], published.keys, fetch)

    assert fetched == [entry.object_name for entry in published.version.manifest.files_of("cp")]


def test_every_flipped_byte_of_a_file_is_refused_by_its_digest(published: Any) -> None:
    entry = published.version.manifest.files_of("smoker")[0]
    data = published.files[entry.object_name]

    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 0x40]) + data[position + 1 :]
        with pytest.raises(IntegrityError, match="file-digest"):
            published.read("smoker", files=published.files | {entry.object_name: changed})


def test_flipped_bytes_are_refused_by_the_encryption_too(published: Any, small_dictionary: DataDictionary) -> None:
    """With a manifest that agrees with the damaged file, AES-GCM and the shape checks are the second line."""
    manifest = published.version.manifest
    index = next(i for i, entry in enumerate(manifest.columns) if entry.column == "smoker")
    file = manifest.columns[index].object_name
    data = published.files[file]

    for position in range(0, len(data), 7):
        changed = data[:position] + bytes([data[position] ^ 0x40]) + data[position + 1 :]
        with pytest.raises(IntegrityError, match=r"file-(decryption|plaintext)"):
            read_columns(
                with_file(manifest, index, changed),
                small_dictionary,
                ["smoker"],
                published.keys,
                {file: changed}.__getitem__,
            )


@pytest.mark.parametrize("length", [0, 3, 4, 100, -1])
def test_a_truncated_file_is_refused(length: int, published: Any, small_dictionary: DataDictionary) -> None:
    manifest = published.version.manifest
    file = manifest.columns[0].object_name
    short = published.files[file][:length]

    with pytest.raises(IntegrityError, match="file-size"):
        published.read("chol", files={file: short})
    with pytest.raises(IntegrityError, match=r"file-(plaintext|decryption)"):
        read_columns(
            with_file(manifest, 0, short), small_dictionary, ["chol"], published.keys, {file: short}.__getitem__
        )


def test_swapped_columns_are_refused_even_by_an_agreeing_manifest(
    published: Any, small_dictionary: DataDictionary
) -> None:
    manifest = published.version.manifest
    chol, count = (manifest.files_of(name)[0] for name in ("chol", "count"))
    swapped = published.files | {chol.object_name: published.files[count.object_name], count.object_name: published.files[chol.object_name]}
    agreeing = with_file(with_file(manifest, 0, swapped[chol.object_name]), 1, swapped[count.object_name])

    with pytest.raises(IntegrityError, match=r"file-(digest|size)"):
        published.read("chol", files=swapped)
    with pytest.raises(IntegrityError, match="file-decryption"):
        read_columns(agreeing, small_dictionary, ["chol"], published.keys, swapped.__getitem__)
    # Even when the courier also gives the other column's key, the binding refuses.
    keys = published.keys | {"chol": published.keys["count"]}
    with pytest.raises(IntegrityError, match="file-decryption"):
        read_columns(agreeing, small_dictionary, ["chol"], keys, swapped.__getitem__)


def test_swapped_parts_are_refused_even_by_an_agreeing_manifest(
    publish: Callable[..., Any], long_table: pa.Table, small_dictionary: DataDictionary
) -> None:
    version = publish(long_table, part_rows=512)
    manifest = version.version.manifest
    first, second = manifest.files_of("chol")[:2]
    swapped = version.files | {first.object_name: version.files[second.object_name], second.object_name: version.files[first.object_name]}
    agreeing = with_file(with_file(manifest, 0, swapped[first.object_name]), 1, swapped[second.object_name])

    with pytest.raises(IntegrityError, match="file-digest"):
        version.read("chol", files=swapped)
    with pytest.raises(IntegrityError, match="file-decryption"):
        read_columns(agreeing, small_dictionary, ["chol"], version.keys, swapped.__getitem__)


@pytest.mark.parametrize("other", ["version", "hospital"])
def test_files_of_another_version_or_hospital_are_refused(
    other: str, publish: Callable[..., Any], small_table: pa.Table, small_dictionary: DataDictionary
) -> None:
    """Both with the same master key: only the binding separates them."""
    ours = publish(small_table, random_bytes=lambda n: b"\1" * n)
    dataset = "0x" + ("11" if other == "version" else "22") * 32
    theirs = publish(small_table, dataset=dataset, random_bytes=_nonces(b"\2" if other == "version" else b"\1"))
    file = ours.version.manifest.columns[0].object_name
    mixed = {file: theirs.files[file]}
    agreeing = with_file(ours.version.manifest, 0, mixed[file])

    with pytest.raises(IntegrityError, match="file-digest"):
        ours.read("chol", files=mixed)
    for key in (ours.keys["chol"], theirs.keys["chol"]):
        with pytest.raises(IntegrityError, match="file-decryption"):
            read_columns(agreeing, small_dictionary, ["chol"], {"chol": key}, mixed.__getitem__)


def _nonces(nonce: bytes) -> Callable[[int], bytes]:
    """Random bytes in the writer's order: report salt, version nonce, master key."""
    values = iter((b"\1", nonce, b"\1"))
    return lambda n: next(values) * n


def test_rolling_back_to_an_older_version_is_refused(publish: Callable[..., Any], small_table: pa.Table) -> None:
    old = publish(small_table)
    new = publish(small_table, previous=old.version.version_id)

    with pytest.raises(IntegrityError, match="file-digest"):
        new.read("chol", files=old.files)


def test_plaintext_parquet_is_refused_even_by_an_agreeing_manifest(
    published: Any, small_dictionary: DataDictionary
) -> None:
    sink = io.BytesIO()
    pq.write_table(stored_table(PADDED), sink, compression="NONE", use_dictionary=False)
    plain = sink.getvalue()
    manifest = published.version.manifest
    file = manifest.columns[0].object_name

    for data in (plain, b"PARE" + plain[4:], plain[:-4] + b"PARE", b"PARE" + plain[4:-4] + b"PARE"):
        with pytest.raises(IntegrityError, match=r"file-(plaintext|decryption)"):
            read_columns(
                with_file(manifest, 0, data), small_dictionary, ["chol"], published.keys, {file: data}.__getitem__
            )


@pytest.mark.parametrize(
    ("table", "rows", "options", "said"),
    [
        (stored_table(PADDED, name="ldl"), FOUR, {}, "file-schema"),
        (stored_table([1] * 512, kind=pa.int64()), FOUR, {}, "file-schema"),
        (pa.table({"chol": PADDED}), FOUR, {}, "file-schema"),
        (pa.table({"chol": PADDED, "more": PADDED}), FOUR, {}, "file-schema"),
        (stored_table(PADDED), FOUR, {"compression": "ZSTD"}, "file-encoding"),
        (stored_table(PADDED), FOUR, {"use_dictionary": True}, "file-encoding"),
        (stored_table(PADDED), FOUR, {"write_statistics": True}, "file-encoding"),
        (stored_table(PADDED), FOUR, {"use_byte_stream_split": True}, "file-encoding"),
        (stored_table([1.0] * 100_000), FOUR, {"compression": "ZSTD", "use_dictionary": True}, "file-rows"),
        (stored_table(PADDED[:511]), FOUR, {}, "file-rows"),
        (stored_table(PADDED), None, {}, "file-rows"),
        (stored_table(PADDED), b"4", {}, "file-rows"),
        (stored_table(PADDED), b"-000000000000000000%d" % 4, {}, "file-rows"),
        (stored_table(PADDED), str(513).zfill(20).encode(), {}, "file-rows"),
        (stored_table([1.0] * 512), FOUR, {}, "file-padding"),
        (stored_table([601.0, *PADDED[1:]]), FOUR, {}, "file-values"),
        (stored_table([float("inf"), *PADDED[1:]]), FOUR, {}, "file-values"),
        (stored_table([1.0] * 100 + PADDED[100:]), str(100).zfill(20).encode(), {}, "row-count"),
    ],
)
def test_a_publisher_who_holds_the_key_cannot_leave_the_stored_form(
    table: pa.Table,
    rows: bytes | None,
    options: dict[str, Any],
    said: str,
    published: Any,
    small_dictionary: DataDictionary,
) -> None:
    data = forge(published, "chol", table, rows=rows, **options)
    manifest = with_file(published.version.manifest, 0, data)
    file = manifest.columns[0].object_name

    with pytest.raises(IntegrityError, match=said):
        read_columns(manifest, small_dictionary, ["chol"], published.keys, {file: data}.__getitem__)


@pytest.mark.parametrize(
    ("column", "index", "kind", "value"),
    [
        ("cp", 3, pa.int32(), 3),
        ("cp", 3, pa.int32(), -2),
        ("smoker", 2, pa.int32(), 2),
        ("count", 1, pa.int64(), 2**60),
    ],
)
def test_an_impossible_code_is_refused(
    column: str, index: int, kind: pa.DataType, value: int, published: Any, small_dictionary: DataDictionary
) -> None:
    missing = -(2**63) if kind == pa.int64() else -1
    data = forge(published, column, stored_table([0, 1, 1, value] + [missing] * 508, column, kind), rows=FOUR)
    manifest = with_file(published.version.manifest, index, data)
    file = manifest.columns[index].object_name

    with pytest.raises(IntegrityError, match="file-values") as caught:
        read_columns(manifest, small_dictionary, [column], published.keys, {file: data}.__getitem__)

    assert str(value) not in caught.value.message


def test_columns_with_different_row_counts_are_refused(published: Any, small_dictionary: DataDictionary) -> None:
    five = str(5).zfill(20).encode()
    data = forge(published, "chol", stored_table([1.0] * 5 + PADDED[5:]), rows=five)
    manifest = with_file(published.version.manifest, 0, data)
    files = published.files | {manifest.columns[0].object_name: data}

    with pytest.raises(IntegrityError, match="row-alignment"):
        read_columns(manifest, small_dictionary, ["chol", "cp"], published.keys, files.__getitem__)


def test_a_file_declared_larger_than_its_rows_is_never_fetched(
    published: Any, small_dictionary: DataDictionary
) -> None:
    manifest = published.version.manifest
    bomb: ColumnFile = msgspec.structs.replace(manifest.columns[0], size=2**30)
    declared = msgspec.structs.replace(manifest, columns=(bomb, *manifest.columns[1:]))

    def fetch(file: str) -> bytes:
        pytest.fail(f"fetched {file}")

    with pytest.raises(IntegrityError, match="file-size"):
        read_columns(declared, small_dictionary, ["chol"], published.keys, fetch)


def test_another_dictionary_is_refused(published: Any, small_dictionary: DataDictionary) -> None:
    other = msgspec.structs.replace(small_dictionary, title="Other")

    with pytest.raises(IntegrityError, match="dictionary-digest"):
        read_columns(published.version.manifest, other, ["chol"], published.keys, published.files.__getitem__)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((), "column-request"),
        (("chol", "chol"), "column-request"),
        (("bmi",), "column-unknown"),
        (("patient",), "column-unknown"),
    ],
)
def test_a_senseless_request_is_refused(columns: tuple[str, ...], said: str, published: Any) -> None:
    with pytest.raises(IntegrityError, match=said):
        published.read(*columns)


@pytest.mark.parametrize("key", [b"", b"\0" * 16, b"\0" * 31, b"\0" * 33])
def test_a_key_of_another_length_is_refused(key: bytes, published: Any, small_dictionary: DataDictionary) -> None:
    with pytest.raises(IntegrityError, match="key-missing"):
        read_columns(published.version.manifest, small_dictionary, ["chol"], {"chol": key}, published.files.__getitem__)


def test_columns_that_are_too_large_together_are_never_fetched(
    published: Any, small_dictionary: DataDictionary
) -> None:
    manifest = published.version.manifest
    rows = 2**24
    size = rows * 8
    parts = [
        msgspec.structs.replace(
            manifest.columns[0],
            part=part,
            first_row=part * rows,
            padded_rows=rows,
            file=f"{part:05}.parquet",
            size=size,
        )
        for part in range(65)
    ]
    huge = msgspec.structs.replace(manifest, columns=tuple(parts), rows_rounded=65 * rows // 5 * 5)

    def fetch(file: str) -> bytes:
        pytest.fail(f"fetched {file}")

    with pytest.raises(IntegrityError, match="read-size"):
        read_columns(huge, small_dictionary, ["chol"], published.keys, fetch)


def test_the_reader_brings_no_input_output_library_into_the_enclave() -> None:
    script = (
        "import sys, heartify.cohort.encrypted.reader; "
        "print(*sorted(m for m in sys.modules if m.startswith('heartify.cohort.') or m in ('fsspec', 'httpx', 'web3')))"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    room = "heartify.cohort.encrypted"
    modules = {room, f"{room}.column_crypto", f"{room}.reader", f"{room}.stored_form"}
    assert set(ran.stdout.split()) == modules
