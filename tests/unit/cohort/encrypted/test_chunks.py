from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from heartify.cohort.encrypted.chunks import open_encrypted_rows
from heartify.cohort.encrypted.column_crypto import column_keys
from heartify.cohort.encrypted.reader import read_columns
from heartify.cohort.encrypted.stored_form import stored_form
from heartify.cohort.encrypted.version_writer import VersionWriter
from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_hex
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import ROW_GROUP_ROWS, Manifest, round_rows
from heartify.stats import CohortBlock, SeparationError, fit_pooled_logistic
from heartify.stats.streaming import fit_streamed_logistic

COLUMNS = ("double", "single", "decimal", "long", "short", "yes", "level", "day")


def as_stored(columns: Mapping[str, np.ndarray]) -> Any:
    """Terms: everything but the first column, which stands for the outcome."""
    first, *rest = columns.values()
    return rest, first


def open_rows(
    version: Any,
    columns: tuple[str, ...] = COLUMNS,
    *,
    manifest: Manifest | None = None,
    files: Mapping[str, Any] | None = None,
    keys: Mapping[str, bytes] | None = None,
    dictionary: DataDictionary | None = None,
    encode: Any = as_stored,
    **options: Any,
) -> Any:
    return open_encrypted_rows(
        "elm",
        manifest or version.manifest,
        dictionary or version.dictionary,
        columns,
        version.keys if keys is None else keys,
        (version.files if files is None else files).__getitem__,
        encode,
        **options,
    )


def load_all(rows: Any) -> list[Any]:
    return [rows.load(index) for index in range(rows.chunks)]


@pytest.fixture
def forged(version: Any, forms: Any) -> Callable[..., bytes]:
    """Forge the file of `short`, whose ages are 18 and so many years."""
    form = stored_form(forms.dictionary.column("short"))

    def make(*codes: int, **options: Any) -> bytes:
        return forms.forge(version, "short", forms.raw_values(form, *codes), **options)

    return make


def test_complete_cases_come_in_types_that_hold_all_that_the_dictionary_allows(version: Any) -> None:
    with open_rows(version) as rows:
        (terms, y) = rows.load(0)

    assert (rows.name, rows.rows, rows.chunks) == ("elm", 4, 1)
    np.testing.assert_array_equal(y, [233.5, -1.0, 600.0])
    read = [list(column) for column in terms]
    assert read[1:] == [
        [-1.5, 0.07, 60.25], [-7, 2**53, 0], [18, 89, 40], [1, 0, 1], [0, 2, 1], [18690, -719162, 2932896]
    ]  # fmt: skip
    assert [str(column.dtype) for column in terms] == [
        "float64", "float64", "int64", "int8", "int8", "int8", "int32"
    ]  # fmt: skip


def test_numbers_come_in_single_precision_when_asked_for(version: Any) -> None:
    with open_rows(version, ("double", "single", "decimal", "short"), real_type=np.float32) as rows:
        (terms, y) = rows.load(0)

    assert [str(column.dtype) for column in (y, *terms)] == ["float32", "float32", "float32", "int8"]
    np.testing.assert_array_equal(terms[1], np.array([-1.5, 0.07, 60.25], np.float32))


def test_a_row_counts_as_complete_by_the_columns_asked_for(new_version: Any, forms: Any) -> None:
    holes = {name: list(values) for name, values in forms.values.items()}
    holes["day"][0] = None
    version = new_version(forms.table_of(holes))

    with open_rows(version, ("short",)) as rows:
        alone = [rows.load(0)[1].tolist() for _ in range(3)]
    with open_rows(version, ("short", "day")) as rows:
        together = rows.load(0)[1].tolist()

    assert alone == [[18, 89, 40]] * 3
    assert together == [89, 40]


def test_parts_are_chunks_in_order(new_version: Any, forms: Any, long_values: Any) -> None:
    version = new_version(forms.table_of(long_values), part_rows=512)

    with open_rows(version, ("long",)) as rows:
        loaded = np.concatenate([y for _, y in load_all(rows)])

    assert rows.rows == 1300
    assert rows.chunks == 3
    assert loaded.tolist() == [value for value in long_values["long"] if value is not None]


def test_chunks_load_again_in_any_order_and_from_many_threads(new_version: Any, forms: Any, long_values: Any) -> None:
    version = new_version(forms.table_of(long_values), part_rows=512)
    with open_rows(version, ("double", "short")) as rows:
        expected = [y for _, y in load_all(rows)]
    wrong: list[int] = []

    def run(rows: Any, seed: int) -> None:
        indices = np.random.default_rng(seed).integers(0, 3, 40)
        wrong.extend(i for i in indices if not np.array_equal(rows.load(int(i))[1], expected[i]))

    with open_rows(version, ("double", "short")) as rows:
        threads = [threading.Thread(target=run, args=(rows, seed)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert not wrong
    assert [len(y) for y in expected] != [512, 512, 276]


def cohort_of(precision: Any) -> tuple[DataDictionary, pa.Table]:
    """Two blocks and a bit, with missing values in the second only."""
    rng, rows = np.random.default_rng(3), 2 * ROW_GROUP_ROWS + 1000
    sbp, smoker = rng.normal(130, 18, rows), rng.random(rows) < 0.3
    y = rng.random(rows) < 1 / (1 + np.exp(-(0.02 * (sbp - 130) + 0.6 * smoker - 1)))
    missing = np.zeros(rows, bool)
    missing[ROW_GROUP_ROWS + 7 : ROW_GROUP_ROWS + 5000 : 3] = True
    dictionary = DataDictionary(
        title="Generated",
        description="No patient exists behind it",
        columns=(
            Column(name="sbp", title="Pressure", datatype="number", role="factor", unit="mm[Hg]", precision=precision),
            Column(name="smoker", title="Smokes", datatype="boolean", role="factor"),
            Column(name="cvd", title="Disease", datatype="boolean", role="outcome"),
        ),
    )
    arrays = {"sbp": pa.array(sbp, mask=missing), "smoker": pa.array(smoker), "cvd": pa.array(y)}
    return dictionary, pa.table(arrays)


class Encrypted:
    def __init__(self, cohort: Any, folder: Path) -> None:
        self.dictionary, table = cohort
        given = {"dataset": b"\1" * 32, "version_nonce": b"\2" * 32, "master_key": b"\3" * 32}
        writer = VersionWriter(self.dictionary, folder=folder, **given)
        for batch in table.to_batches():
            writer.append(batch)
        self.manifest = Manifest(
            dataset=to_hex(given["dataset"]),
            previous=None,
            version_nonce=to_hex(given["version_nonce"]),
            dictionary_digest=self.dictionary.digest(),
            report_digest="0x" + "00" * 32,
            rows_rounded=round_rows(table.num_rows),
            columns=writer.finish(),
        )
        self.keys = column_keys(given["master_key"], self.manifest)
        self.files = {e.object_name: (folder / e.object_name).read_bytes() for e in self.manifest.columns}

    def open(self, **options: Any) -> Any:
        def encode(columns: Any) -> Any:
            return [columns["sbp"], columns["smoker"]], columns["cvd"]

        return open_rows(self, ("sbp", "smoker", "cvd"), encode=encode, **options)


@pytest.mark.parametrize(
    ("precision", "stored", "real_type", "tolerance"),
    [
        ("float64", "double", np.float64, 1e-6),
        ("float32", "double", np.float64, 1e-3),
        ("float32", "double", np.float32, 1e-3),
        ("float32", "single", np.float32, 1e-3),
    ],
)
def test_a_fit_streamed_from_the_encrypted_files_is_the_fit_in_memory(
    precision: Any, stored: str, real_type: Any, tolerance: float, tmp_path: Path
) -> None:
    encrypted = Encrypted(cohort_of(stored), tmp_path)
    columns = read_columns(
        encrypted.manifest,
        encrypted.dictionary,
        ["sbp", "smoker", "cvd"],
        encrypted.keys,
        encrypted.files.__getitem__,
    )
    table = np.column_stack(list(columns.values()))
    table = table[~np.isnan(table).any(axis=1)]
    reference = fit_pooled_logistic([CohortBlock("elm", table[:, :2], table[:, 2])], ("sbp", "smoker"))

    with encrypted.open(real_type=real_type) as rows:
        fit = fit_streamed_logistic([rows], ("sbp", "smoker"), precision=precision)

    assert rows.chunks == 3
    assert fit.n == reference.n == 2 * ROW_GROUP_ROWS + 1000 - 1665
    assert np.abs((fit.coef - reference.coef) / reference.se).max() < tolerance


@pytest.mark.parametrize("buffering", [0, -1], ids=["raw", "buffered"])
def test_files_may_be_opened_from_a_disk_and_are_closed(buffering: int, version: Any, tmp_path: Path) -> None:
    opened: list[Any] = []

    class Folder:
        def __getitem__(self, name: str) -> Any:
            opened.append((tmp_path / name).open("rb", buffering=buffering))
            return opened[-1]

    for name, data in version.files.items():
        (tmp_path / name).write_bytes(data)
    with open_rows(version, files=Folder()) as rows:
        on_disk = load_all(rows)
    with open_rows(version) as rows:
        in_memory = load_all(rows)

    np.testing.assert_array_equal(on_disk[0][1], in_memory[0][1])
    assert opened
    assert all(file.closed for file in opened)


def test_files_are_closed_when_one_of_them_is_refused(version: Any) -> None:
    opened: list[io.BytesIO] = []

    class Files:
        def __getitem__(self, name: str) -> Any:
            opened.append(io.BytesIO(version.files[name]))
            return opened[-1]

    with (
        pytest.raises(IntegrityError, match="file-decryption"),
        open_rows(version, ("short", "yes"), files=Files(), keys={**version.keys, "yes": b"x" * 32}) as rows,
    ):
        rows.load(0)

    assert all(file.closed for file in opened)


def test_a_file_that_comes_in_small_pieces_is_read_to_its_end(version: Any) -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 7))

    class Files:
        def __getitem__(self, name: str) -> Any:
            return Slow(version.files[name])

    with open_rows(version, ("short",), files=Files()) as rows:
        assert rows.load(0)[1].tolist() == [18, 89, 40]


def test_a_flipped_byte_is_refused_in_or_on_leaving_the_block(version: Any) -> None:
    (entry,) = version.manifest.files_of("short")
    data = version.file_of("short")

    # The magic is outside of what the encryption authenticates, the middle inside: the digest covers both.
    for position in (0, 7, 8, 39, 40, len(data) // 2, len(data) - 1):
        flipped = bytearray(data)
        flipped[position] ^= 1
        with (
            pytest.raises(IntegrityError, match=r"^file-"),
            open_rows(version, ("short",), files={entry.object_name: bytes(flipped)}) as rows,
        ):
            rows.load(0)


def test_another_file_of_the_same_key_and_place_is_refused_on_leaving_by_its_digest(version: Any, forged: Any) -> None:
    """A file that opens under key and binding, but is not the one of the manifest: only its digest tells."""
    (entry,) = version.manifest.files_of("short")
    loaded = []

    with (
        pytest.raises(IntegrityError, match="file-digest"),
        open_rows(version, ("short",), files={entry.object_name: forged(1, 2, 3, 4)}) as rows,
    ):
        loaded.append(rows.load(0))

    assert loaded[0][1].tolist() == [19, 20, 21, 22]


def test_a_wrong_digest_is_told_in_place_of_what_a_computation_made_of_it(version: Any, forged: Any) -> None:
    (entry,) = version.manifest.files_of("short")

    with (
        pytest.raises(IntegrityError, match="file-digest") as caught,
        open_rows(version, ("short",), files={entry.object_name: forged(1, 2, 3, 4)}),
    ):
        raise SeparationError

    assert isinstance(caught.value.__context__, SeparationError)


def test_an_interrupt_passes_at_once(version: Any) -> None:
    with pytest.raises(KeyboardInterrupt), open_rows(version):
        raise KeyboardInterrupt


def test_an_error_of_the_computation_passes_when_the_files_are_right(version: Any) -> None:
    with pytest.raises(SeparationError), open_rows(version):
        raise SeparationError


@pytest.mark.parametrize(
    ("codes", "options", "said"),
    [
        ((1, 2, 3, 4), {"rows": 513}, "file-rows"),
        ((1, 2, 3, 4), {"rows": 100}, "row-count"),
        ((1, 2, 3, 4), {"rows": 3}, "file-padding"),
        ((1, 2, 3, 4), {"last": [False]}, "file-decryption"),
        ((1, 2, 3, 73), {}, "file-values"),
        ((72, 127, 3, 4), {}, "file-values"),
        ((1, 2, 3, 4), {"magic": b"PAR1\0\0\0\0"}, "file-magic"),
    ],
)
def test_a_publisher_who_holds_the_key_cannot_leave_the_format(
    codes: tuple[int, ...], options: dict[str, Any], said: str, version: Any, forged: Any
) -> None:
    declared = version.with_data("short", forged(*codes, **options))

    with pytest.raises(IntegrityError, match=f"^{said}:"), open_rows(version, ("short",), **declared) as opened:
        load_all(opened)


def test_columns_with_different_row_counts_are_refused(version: Any, forged: Any) -> None:
    declared = version.with_data("short", forged(1, 2, 3, 4, 5, rows=5))

    with (
        pytest.raises(IntegrityError, match="row-alignment"),
        open_rows(version, ("level", "short"), **declared) as rows,
    ):
        rows.load(0)


def test_swapped_columns_wrong_keys_and_truncated_files_are_refused(version: Any, forms: Any) -> None:
    yes, level = (version.manifest.files_of(name)[0].object_name for name in ("yes", "level"))
    swapped = forms.with_files_swapped(version.manifest, ("yes", 0), ("level", 0))

    cases = [
        ({"files": {yes: version.files[level]}}, "file-decryption"),
        ({"manifest": swapped}, "file-decryption"),
        ({"keys": {"yes": version.keys["level"]}}, "file-decryption"),
        ({"keys": {"yes": b"\0" * 31}}, "key-missing"),
        ({"keys": {}}, "key-missing"),
        ({"files": {yes: version.files[yes][:-1]}}, "file-size"),
        ({"files": {yes: version.files[yes] + b"\0"}}, "file-size"),
    ]
    for changes, said in cases:
        with pytest.raises(IntegrityError, match=f"^{said}:"), open_rows(version, ("yes",), **changes) as rows:
            rows.load(0)


def test_a_file_that_cannot_be_opened_or_read_is_refused(version: Any, tmp_path: Path) -> None:
    class Absent:
        def __getitem__(self, name: str) -> Any:
            return (tmp_path / name).open("rb")

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError("no such sector")

    class Damaged:
        def __getitem__(self, name: str) -> Any:
            return Broken(version.files[name])

    for files, said in ((Absent(), "file-size"), (Damaged(), "file-digest")):
        with pytest.raises(IntegrityError, match=f"^{said}:"), open_rows(version, files=files) as rows:
            rows.load(0)


@pytest.mark.parametrize(
    ("columns", "said"),
    [((), "column-request"), (("short", "short"), "column-request"), (("bmi",), "column-unknown")],
)
def test_a_senseless_request_is_refused(columns: tuple[str, ...], said: str, version: Any) -> None:
    with pytest.raises(IntegrityError, match=said), open_rows(version, columns):
        pass


def test_another_dictionary_is_refused(version: Any, forms: Any) -> None:
    other = msgspec.structs.replace(forms.dictionary, title="Other")

    with pytest.raises(IntegrityError, match="dictionary-digest"), open_rows(version, dictionary=other):
        pass


def test_streaming_brings_neither_storage_nor_arrow_into_the_enclave() -> None:
    script = (
        "import sys, heartify.cohort.encrypted.chunks; "
        "print(*sorted(m for m in sys.modules if m.startswith('heartify.cohort.') "
        "or m in ('fsspec', 'pandas', 'pyarrow', 'ssl')))"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    expected = (
        "bit_planes", "chunks", "column_crypto", "column_file", "decoding", "encrypted_parts", "reader", "stored_form"
    )  # fmt: skip
    room = "heartify.cohort.encrypted"
    assert set(ran.stdout.split()) == {room, *(f"{room}.{name}" for name in expected)}
