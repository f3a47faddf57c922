from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from heartify.cohort.encrypted.chunks import open_encrypted_rows
from heartify.cohort.encrypted.column_crypto import column_keys, file_aad_prefix
from heartify.cohort.encrypted.reader import read_columns
from heartify.cohort.encrypted.stored_form import ROWS_FIELD
from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.storage.version_files import load_stored_dictionary
from heartify.errors import IntegrityError
from heartify.protocol.canonical import sha256_digest, to_bytes
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import ROW_GROUP_ROWS, Manifest
from heartify.stats import CohortBlock, SeparationError, fit_pooled_logistic
from heartify.stats.streaming import fit_streamed_logistic

COLUMNS = ("chol", "count", "smoker", "cp", "visit")
FOUR = str(4).zfill(20).encode()
PADDED = [233.5, 199.0, 250.25, 100.0] + [float("nan")] * 508


def as_stored(columns: Mapping[str, np.ndarray]) -> Any:
    """Terms: everything but the first column, which stands for the outcome."""
    first, *rest = columns.values()
    return rest, first


def open_rows(
    published: Any,
    columns: tuple[str, ...] = COLUMNS,
    *,
    manifest: Manifest | None = None,
    files: Mapping[str, Any] | None = None,
    keys: Mapping[str, bytes] | None = None,
    dictionary: DataDictionary | None = None,
    encode: Any = as_stored,
) -> Any:
    return open_encrypted_rows(
        "elm",
        manifest or published.version.manifest,
        dictionary or load_stored_dictionary(published.store, published.version.version_id, published.version.manifest),
        columns,
        published.keys if keys is None else keys,
        (files or published.files).__getitem__,
        encode,
    )


def load_all(rows: Any) -> list[Any]:
    return [rows.load(index) for index in range(rows.chunks)]


def with_file(manifest: Manifest, index: int, data: bytes) -> Manifest:
    """A manifest that declares `data` in place of a file: what a cheating publisher could register."""
    entry = msgspec.structs.replace(manifest.columns[index], size=len(data), digest=sha256_digest(data))
    columns = (*manifest.columns[:index], entry, *manifest.columns[index + 1 :])
    return msgspec.structs.replace(manifest, columns=columns)


def forge(published: Any, values: Any, *, rows: bytes | None = FOUR, name: str = "chol", **options: Any) -> bytes:
    """Write a file of `chol` under the right key and binding, but not in the stored form."""
    manifest = published.version.manifest
    prefix = file_aad_prefix(
        dataset=to_bytes(manifest.dataset), version_nonce=to_bytes(manifest.version_nonce), column="chol", part=0
    )
    properties = pe.create_encryption_properties(published.keys["chol"], aad_prefix=prefix, store_aad_prefix=False)
    sink = pa.BufferOutputStream()
    fields: dict[str, Any] = {"compression": "NONE", "use_dictionary": False, "write_statistics": False}
    schema = pa.schema([pa.field(name, pa.float64(), nullable=False)])
    with pq.ParquetWriter(
        sink, schema, store_schema=False, encryption_properties=properties, **(fields | options)
    ) as w:
        w.write_table(pa.Table.from_arrays([pa.array(values, pa.float64())], schema=schema))
        if rows is not None:
            w.add_key_value_metadata({ROWS_FIELD: rows})
    return sink.getvalue().to_pybytes()


def test_complete_cases_come_as_they_are_stored(published: Any) -> None:
    with open_rows(published) as rows:
        (terms, y) = rows.load(0)

    assert (rows.name, rows.rows, rows.chunks) == ("elm", 4, 1)
    np.testing.assert_array_equal(y, [233.5, 199.0, 250.25])
    assert [list(column) for column in terms] == [[3, -7, 3], [1, 0, 1], [0, 2, 2], [18690, -1, 18321]]
    assert [column.dtype for column in terms] == [np.int64, np.int32, np.int32, np.int32]


def test_a_row_counts_as_complete_by_the_columns_asked_for(published: Any) -> None:
    with open_rows(published, ("visit",)) as rows:
        loaded = [rows.load(0)[1] for _ in range(3)]

    for y in loaded:
        np.testing.assert_array_equal(y, [18690, -1, 18321])


def test_parts_are_chunks_in_order(publish: Callable[..., Any], long_table: pa.Table) -> None:
    version = publish(long_table, part_rows=512)

    with open_rows(version, ("chol", "cp")) as rows:
        loaded = load_all(rows)

    assert rows.rows == 1300
    assert [len(y) for _, y in loaded] == [512, 512, 276]
    np.testing.assert_array_equal(np.concatenate([y for _, y in loaded]), long_table.column("chol").to_numpy())


def test_chunks_load_again_in_any_order_and_from_many_threads(
    publish: Callable[..., Any], long_table: pa.Table
) -> None:
    version = publish(long_table, part_rows=512)
    expected = version.read("chol")["chol"]
    wrong: list[int] = []

    def run(rows: Any, seed: int) -> None:
        indices = np.random.default_rng(seed).integers(0, 3, 40)
        wrong.extend(i for i in indices if not np.array_equal(rows.load(int(i))[1], expected[i * 512 : (i + 1) * 512]))

    with open_rows(version, ("chol",)) as rows:
        threads = [threading.Thread(target=run, args=(rows, seed)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert not wrong


@pytest.fixture(scope="module")
def cohort() -> tuple[DataDictionary, pa.Table]:
    """Two row groups and a bit, with missing values in the second only."""
    rng, rows = np.random.default_rng(3), 2 * ROW_GROUP_ROWS + 1000
    sbp, smoker = rng.normal(130, 18, rows), rng.random(rows) < 0.3
    y = rng.random(rows) < 1 / (1 + np.exp(-(0.02 * (sbp - 130) + 0.6 * smoker - 1)))
    missing = np.zeros(rows, bool)
    missing[ROW_GROUP_ROWS + 7 : ROW_GROUP_ROWS + 5000 : 3] = True
    dictionary = DataDictionary(
        title="Generated",
        description="No patient exists behind it",
        columns=(
            Column(name="sbp", title="Pressure", datatype="number", role="factor", unit="mm[Hg]"),
            Column(name="smoker", title="Smokes", datatype="boolean", role="factor"),
            Column(name="cvd", title="Disease", datatype="boolean", role="outcome"),
        ),
    )
    arrays = {"sbp": pa.array(sbp, mask=missing), "smoker": pa.array(smoker), "cvd": pa.array(y)}
    return dictionary, pa.table(arrays)


class Encrypted:
    def __init__(self, cohort: Any, store: Any) -> None:
        self.dictionary, table = cohort
        self.version = write_version(table, self.dictionary, dataset="0x" + "11" * 32, previous=None, store=store)
        self.keys = column_keys(self.version.master_key, self.version.manifest)
        self.store = store
        folder = self.version.folder
        self.files = {e.file: store.get(f"{folder}/{e.file}", max_bytes=e.size) for e in self.version.manifest.columns}

    def open(self, **options: Any) -> Any:
        def encode(columns: Any) -> Any:
            return [columns["sbp"], columns["smoker"]], columns["cvd"]

        return open_rows(self, ("sbp", "smoker", "cvd"), dictionary=self.dictionary, encode=encode, **options)


@pytest.mark.parametrize(("precision", "tolerance"), [("float64", 1e-6), ("float32", 1e-3)])
def test_a_fit_streamed_from_the_encrypted_files_is_the_fit_in_memory(
    precision: Any, tolerance: float, cohort: Any, memory_store: Any
) -> None:
    encrypted = Encrypted(cohort, memory_store)
    columns = read_columns(
        encrypted.version.manifest,
        encrypted.dictionary,
        ["sbp", "smoker", "cvd"],
        encrypted.keys,
        encrypted.files.__getitem__,
    )
    table = np.column_stack(list(columns.values()))
    table = table[~np.isnan(table).any(axis=1)]
    reference = fit_pooled_logistic([CohortBlock("elm", table[:, :2], table[:, 2])], ("sbp", "smoker"))

    with encrypted.open() as rows:
        fit = fit_streamed_logistic([rows], ("sbp", "smoker"), precision=precision)

    assert rows.chunks == 3
    assert fit.n == reference.n == 2 * ROW_GROUP_ROWS + 1000 - 1665
    assert np.abs((fit.coef - reference.coef) / reference.se).max() < tolerance


def test_files_may_be_opened_from_a_disk(cohort: Any, memory_store: Any, tmp_path: Any) -> None:
    encrypted = Encrypted(cohort, memory_store)
    for name, data in encrypted.files.items():
        (tmp_path / name).write_bytes(data)

    class Folder:
        def __getitem__(self, name: str) -> Any:
            return pa.OSFile(str(tmp_path / name))

    with encrypted.open(files=Folder()) as rows:
        on_disk = load_all(rows)
    with encrypted.open() as rows:
        in_memory = load_all(rows)

    for ours, theirs in zip(on_disk, in_memory, strict=True):
        np.testing.assert_array_equal(ours[1], theirs[1])
        np.testing.assert_array_equal(ours[0][0], theirs[0][0])


def test_a_flipped_byte_is_refused_in_or_on_leaving_the_block(published: Any) -> None:
    entry = published.version.manifest.files_of("chol")[0]
    data = published.files[entry.object_name]

    # The magic is outside of what the encryption authenticates, the middle inside: the digest covers both.
    for position in (0, 3, 4, len(data) // 2, len(data) - 1):
        flipped = bytearray(data)
        flipped[position] ^= 1
        with (
            pytest.raises(IntegrityError, match=r"^file-"),
            open_rows(published, ("chol",), files={entry.object_name: bytes(flipped)}) as rows,
        ):
            rows.load(0)


def test_another_version_of_the_same_bytes_is_refused_on_leaving_by_its_digest(published: Any) -> None:
    """A file that opens under key and binding, but is not the one of the manifest: only its digest tells."""
    entry = published.version.manifest.files_of("chol")[0]
    honest = forge(published, PADDED)
    other = forge(published, [1.0, *PADDED[1:]])
    manifest = with_file(published.version.manifest, published.version.manifest.columns.index(entry), honest)
    loaded = []

    with (
        pytest.raises(IntegrityError, match="file-digest"),
        open_rows(published, ("chol",), manifest=manifest, files={entry.object_name: other}) as rows,
    ):
        loaded.append(rows.load(0))

    assert len(other) == len(honest)
    assert loaded


def test_a_wrong_digest_is_told_in_place_of_what_a_computation_made_of_it(published: Any) -> None:
    entry = published.version.manifest.files_of("chol")[0]
    manifest = with_file(published.version.manifest, 0, forge(published, PADDED))

    with (
        pytest.raises(IntegrityError, match="file-digest") as caught,
        open_rows(published, ("chol",), manifest=manifest, files={entry.object_name: forge(published, [1.0, *PADDED[1:]])}),
    ):
        raise SeparationError

    assert isinstance(caught.value.__context__, SeparationError)


def test_an_error_of_the_computation_passes_when_the_files_are_right(published: Any) -> None:
    with pytest.raises(SeparationError), open_rows(published):
        raise SeparationError


@pytest.mark.parametrize(
    ("values", "rows", "options", "said"),
    [
        (PADDED, FOUR, {"name": "ldl"}, "file-schema"),
        (PADDED, FOUR, {"compression": "ZSTD"}, "file-encoding"),
        (PADDED, FOUR, {"use_dictionary": True}, "file-encoding"),
        (PADDED, FOUR, {"write_statistics": True}, "file-encoding"),
        ([1.0] * 100_000, FOUR, {"compression": "ZSTD", "use_dictionary": True}, "file-rows"),
        (PADDED[:511], FOUR, {}, "file-rows"),
        (PADDED, None, {}, "file-rows"),
        (PADDED, b"4", {}, "file-rows"),
        (PADDED, str(513).zfill(20).encode(), {}, "file-rows"),
        ([1.0] * 100 + PADDED[100:], str(100).zfill(20).encode(), {}, "row-count"),
        ([1.0] * 512, FOUR, {}, "file-padding"),
        ([601.0, *PADDED[1:]], FOUR, {}, "file-values"),
        ([*PADDED[:3], 601.0, *PADDED[4:]], FOUR, {}, "file-values"),
        ([float("nan"), 601.0, *PADDED[2:]], FOUR, {}, "file-values"),
        ([float("inf"), *PADDED[1:]], FOUR, {}, "file-values"),
    ],
)
def test_a_publisher_who_holds_the_key_cannot_leave_the_stored_form(
    values: Any, rows: bytes | None, options: dict[str, Any], said: str, published: Any
) -> None:
    data = forge(published, values, rows=rows, **options)
    manifest = with_file(published.version.manifest, 0, data)
    files = {manifest.columns[0].object_name: data}

    with (
        pytest.raises(IntegrityError, match=said),
        open_rows(published, ("chol",), manifest=manifest, files=files) as opened,
    ):
        load_all(opened)


def test_plaintext_parquet_is_refused_even_by_an_agreeing_manifest(published: Any) -> None:
    sink = pa.BufferOutputStream()
    schema = pa.schema([pa.field("chol", pa.float64(), nullable=False)])
    pq.write_table(pa.Table.from_arrays([pa.array(PADDED)], schema=schema), sink, compression="NONE")
    plain = sink.getvalue().to_pybytes()

    for data in (plain, b"PARE" + plain[4:], b"PARE" + plain[4:-4] + b"PARE"):
        manifest = with_file(published.version.manifest, 0, data)
        with (
            pytest.raises(IntegrityError, match=r"file-(plaintext|decryption)"),
            open_rows(published, ("chol",), manifest=manifest, files={manifest.columns[0].object_name: data}) as rows,
        ):
            rows.load(0)


def test_columns_with_different_row_counts_are_refused(published: Any) -> None:
    data = forge(published, [1.0] * 5 + PADDED[5:], rows=str(5).zfill(20).encode())
    manifest = with_file(published.version.manifest, 0, data)
    files = {**published.files, manifest.columns[0].object_name: data}

    with (
        pytest.raises(IntegrityError, match="row-alignment"),
        open_rows(published, ("cp", "chol"), manifest=manifest, files=files) as rows,
    ):
        rows.load(0)


def test_swapped_columns_wrong_keys_and_truncated_files_are_refused(published: Any) -> None:
    manifest = published.version.manifest
    chol, count = (manifest.files_of(name)[0].object_name for name in ("chol", "count"))
    swapped = with_file(manifest, 0, published.files[count])

    cases = [
        ({"files": {chol: published.files[count]}}, r"file-(size|decryption|digest)"),
        ({"files": {chol: published.files[count]}, "manifest": swapped}, "file-decryption"),
        ({"keys": {"chol": published.keys["count"]}}, "file-decryption"),
        ({"keys": {"chol": b"\0" * 31}}, "key-missing"),
        ({"keys": {}}, "key-missing"),
        ({"files": {chol: published.files[chol][:-1]}}, "file-size"),
    ]
    for changes, said in cases:
        with pytest.raises(IntegrityError, match=said), open_rows(published, ("chol",), **changes) as rows:
            rows.load(0)


def test_a_file_that_cannot_be_read_is_refused(published: Any, tmp_path: Any) -> None:
    class Absent:
        def __getitem__(self, name: str) -> Any:
            return pa.OSFile(str(tmp_path / name))

    with pytest.raises(IntegrityError, match=r"^file-"), open_rows(published, files=Absent()) as rows:
        rows.load(0)


@pytest.mark.parametrize(
    ("columns", "said"),
    [((), "column-request"), (("chol", "chol"), "column-request"), (("bmi",), "column-unknown")],
)
def test_a_senseless_request_is_refused(columns: tuple[str, ...], said: str, published: Any) -> None:
    with pytest.raises(IntegrityError, match=said), open_rows(published, columns):
        pass


def test_another_dictionary_is_refused(published: Any, small_dictionary: DataDictionary) -> None:
    other = msgspec.structs.replace(small_dictionary, title="Other")

    with pytest.raises(IntegrityError, match="dictionary-digest"), open_rows(published, dictionary=other):
        pass


def test_streaming_brings_neither_storage_nor_pandas_into_the_enclave() -> None:
    script = (
        "import sys, heartify.cohort.encrypted.chunks; "
        "print(*sorted(m for m in sys.modules if m.startswith('heartify.cohort.') or m in ('fsspec', 'pandas')))"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    expected = ("chunks", "column_crypto", "encrypted_parts", "reader", "stored_form")
    room = "heartify.cohort.encrypted"
    assert set(ran.stdout.split()) == {room, *(f"{room}.{name}" for name in expected)}
