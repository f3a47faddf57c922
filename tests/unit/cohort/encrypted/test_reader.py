from __future__ import annotations

import itertools
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest

from heartify.cohort.encrypted.column_crypto import column_key
from heartify.cohort.encrypted.column_file import block_offset
from heartify.cohort.encrypted.reader import iterate_parts, read_columns
from heartify.cohort.encrypted.stored_form import stored_form
from heartify.errors import IntegrityError
from heartify.protocol.canonical import to_bytes
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import ROW_GROUP_ROWS, ColumnFile, Manifest

ALL = ("double", "single", "decimal", "long", "short", "yes", "level", "day")


def test_all_forms_come_back_with_missing_values(version: Any, forms: Any) -> None:
    columns = version.read(*ALL)

    for name in ALL:
        np.testing.assert_array_equal(columns[name], forms.read[name])
    assert {name: str(array.dtype) for name, array in columns.items()} == {
        **dict.fromkeys(ALL, "float64"),
        "level": "int32",
    }


def test_parts_are_read_in_lockstep_and_joined(new_version: Any, forms: Any, long_values: Any) -> None:
    version = new_version(forms.table_of(long_values), part_rows=512)
    fetch = version.files.__getitem__

    parts = list(iterate_parts(version.manifest, forms.dictionary, ["double", "level"], version.keys, fetch))
    joined = version.read("double", "level")

    assert [len(part["level"]) for part in parts] == [512, 512, 276]
    np.testing.assert_array_equal(joined["double"], np.array(long_values["double"], float))
    for name in ("double", "level"):
        np.testing.assert_array_equal(joined[name], np.concatenate([part[name] for part in parts]))


def test_a_part_of_several_blocks_comes_back(new_version: Any, forms: Any) -> None:
    rows = 2 * ROW_GROUP_ROWS + 700
    rng = np.random.default_rng(2)
    values = {name: [forms.values[name][i] for i in rng.integers(0, 4, rows)] for name in forms.values}

    columns = new_version(forms.table_of(values)).read("decimal", "short", "yes")

    for name in columns:
        expected = np.array([np.nan if v is None else float(v) for v in values[name]])
        np.testing.assert_array_equal(columns[name], expected)


def test_the_keys_of_three_columns_open_those_and_nothing_else(version: Any) -> None:
    granted = {name: version.keys[name] for name in ("double", "level", "yes")}

    columns = version.read(*granted, keys=granted)

    assert set(columns) == set(granted)
    for name in set(ALL) - set(granted):
        with pytest.raises(IntegrityError, match="key-missing"):
            version.read(name, keys=granted)
        for key in granted.values():
            with pytest.raises(IntegrityError, match="file-decryption"):
                version.read(name, keys={name: key})


def test_a_column_key_is_no_way_to_another_column_key(version: Any) -> None:
    """Whoever takes a column's key for the master key gets nowhere, and no two columns share a key."""
    dataset, nonce = to_bytes(version.manifest.dataset), to_bytes(version.manifest.version_nonce)

    derived = {
        column_key(key, dataset=dataset, version_nonce=nonce, column=name)
        for key in version.keys.values()
        for name in ALL
    }

    assert len(set(version.keys.values())) == len(ALL)
    assert derived.isdisjoint(version.keys.values())


def test_only_the_objects_of_the_columns_asked_for_are_fetched(version: Any, forms: Any) -> None:
    fetched: list[str] = []

    def fetch(name: str) -> bytes:
        fetched.append(name)
        return bytes(version.files[name])

    read_columns(version.manifest, forms.dictionary, ["level", "yes"], version.keys, fetch)

    assert fetched == [version.manifest.files_of(name)[0].object_name for name in ("level", "yes")]


def test_the_manifest_is_the_same_whatever_the_other_columns_hold(new_version: Any, forms: Any) -> None:
    """But for digests of ciphertext under fresh salts, which tell nothing: no statistic of a column stands in it."""
    poor = {name: [None] * 4 for name in forms.values}

    shapes = [
        [(e.column, e.part, e.first_row, e.padded_rows, e.size) for e in version.manifest.columns]
        for version in (new_version(), new_version(forms.table_of(poor)))
    ]

    assert shapes[0] == shapes[1]


def test_every_flipped_byte_is_refused_by_the_digest(version: Any) -> None:
    (entry,) = version.manifest.files_of("yes")
    data = version.file_of("yes")

    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 0x40]) + data[position + 1 :]
        with pytest.raises(IntegrityError, match=r"^file-digest:"):
            version.read("yes", files={entry.object_name: changed})


def test_every_flipped_bit_is_refused_by_magic_or_encryption_too(version: Any) -> None:
    """With a manifest that agrees with the damaged file, they are the second line."""
    data = version.file_of("yes")

    for bit in range(8 * len(data)):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        said = "^file-magic:" if bit < 64 else "^file-decryption:"
        with pytest.raises(IntegrityError, match=said):
            version.read("yes", **version.with_data("yes", bytes(changed)))


@pytest.mark.parametrize("length", [0, 3, 8, 39, 40, 63, 64, 100, -17, -16, -1])
def test_a_truncated_file_is_refused(length: int, version: Any) -> None:
    short = version.file_of("yes")[:length]
    (entry,) = version.manifest.files_of("yes")
    declared = version.with_data("yes", short)

    with pytest.raises(IntegrityError, match=r"^file-size:"):
        version.read("yes", files={entry.object_name: short})
    with pytest.raises(IntegrityError, match=r"^file-size:"):
        version.read("yes", **declared)


@pytest.mark.parametrize("more", [b"\0", b"\0" * 16, b"\0" * 1000])
def test_a_prolonged_file_is_refused(more: bytes, version: Any) -> None:
    with pytest.raises(IntegrityError, match=r"^file-size:"):
        version.read("yes", **version.with_data("yes", version.file_of("yes") + more))


def test_swapped_columns_are_refused_even_by_an_agreeing_manifest_and_the_other_key(version: Any, forms: Any) -> None:
    """`yes` and `level` have one width, so only key and binding tell them apart."""
    manifest = forms.with_files_swapped(version.manifest, ("yes", 0), ("level", 0))

    for key in (version.keys["yes"], version.keys["level"]):
        with pytest.raises(IntegrityError, match=r"^file-decryption:"):
            version.read("yes", manifest=manifest, keys={"yes": key})


def test_swapped_parts_are_refused_even_by_an_agreeing_manifest(new_version: Any, forms: Any, long_values: Any) -> None:
    version = new_version(forms.table_of(long_values), part_rows=512)
    manifest = forms.with_files_swapped(version.manifest, ("double", 0), ("double", 1))

    with pytest.raises(IntegrityError, match=r"^file-decryption:"):
        version.read("double", manifest=manifest)


def test_swapped_blocks_are_refused_even_by_an_agreeing_manifest(new_version: Any, forms: Any) -> None:
    rows = 3 * ROW_GROUP_ROWS
    version = new_version(forms.table_of({name: [None] * rows for name in forms.values}))
    data = version.file_of("yes")
    cut = [0, *(block_offset(block, 2) for block in range(4))]
    header, *blocks = [data[a:b] for a, b in itertools.pairwise(cut)]

    read = version.read("yes")
    with pytest.raises(IntegrityError, match=r"^file-decryption:"):
        version.read("yes", **version.with_data("yes", header + blocks[1] + blocks[0] + blocks[2]))

    assert len(read["yes"]) == rows


@pytest.mark.parametrize("other", [{"version_nonce": b"\4" * 32}, {"dataset": b"\5" * 32}], ids=["version", "hospital"])
def test_files_of_another_version_or_hospital_are_refused(other: dict[str, bytes], new_version: Any) -> None:
    """Both with the same master key: only the binding separates them."""
    ours, theirs = new_version(), new_version(**other)
    mixed = ours.with_data("yes", theirs.file_of("yes"))

    for key in (ours.keys["yes"], theirs.keys["yes"]):
        with pytest.raises(IntegrityError, match=r"^file-decryption:"):
            ours.read("yes", keys={"yes": key}, **mixed)


def test_rolling_a_file_back_is_refused_by_its_digest_and_by_its_key(new_version: Any) -> None:
    old, new = new_version(), new_version(version_nonce=b"\4" * 32, master_key=b"\6" * 32)
    (entry,) = new.manifest.files_of("yes")

    with pytest.raises(IntegrityError, match=r"^file-digest:"):
        new.read("yes", files={entry.object_name: old.file_of("yes")})
    with pytest.raises(IntegrityError, match=r"^file-decryption:"):
        new.read("yes", **new.with_data("yes", old.file_of("yes")))


@pytest.mark.parametrize("start", [b"PAR1", b"PARE", b"HFYCOL1\0", b"\0" * 8, b"id,chol\n"])
def test_a_file_of_another_kind_is_refused_even_by_an_agreeing_manifest(start: bytes, version: Any) -> None:
    data = start + version.file_of("double")[len(start) :]

    with pytest.raises(IntegrityError, match=r"^file-magic:"):
        version.read("double", **version.with_data("double", data))


@pytest.mark.parametrize(
    ("codes", "options", "said"),
    [
        ([0, 1, 2, 3], {"rows": 513}, "file-rows"),
        ([0, 1, 2, 3], {"rows": 2**64 - 1}, "file-rows"),
        ([0, 1, 2, 3], {"rows": 3}, "file-padding"),
        ([0, 1, 2, 3], {"last": [False]}, "file-decryption"),
        ([0, 1, 2, 3], {"magic": b"HFYCOL3\0"}, "file-magic"),
        ([0, 1, 2, 3], {"row_count": b"\4"}, "file-size"),
        ([0, 1, 2, 73], {}, "file-values"),
    ],
)
def test_a_publisher_who_holds_the_key_cannot_leave_the_format(
    codes: list[int], options: dict[str, Any], said: str, version: Any, forms: Any
) -> None:
    form = stored_form(forms.dictionary.column("short"))
    data = forms.forge(version, "short", forms.raw_values(form, *codes), **options)

    with pytest.raises(IntegrityError, match=f"^{said}:"):
        version.read("short", **version.with_data("short", data))


def test_a_number_of_rows_that_is_not_the_manifests_is_refused(version: Any, forms: Any) -> None:
    values = forms.raw_values(stored_form(forms.dictionary.column("short")), *[0] * 100)
    data = forms.forge(version, "short", values, rows=100)

    with pytest.raises(IntegrityError, match=r"^row-count:"):
        version.read("short", **version.with_data("short", data))


def test_a_file_in_the_form_of_another_dictionary_is_refused(version: Any, forms: Any) -> None:
    """One width, other limits: read in the wrong form, every value would be another one."""
    other = stored_form(Column(name="x", title="x", datatype="integer", role="factor", minimum=0, maximum=71))
    data = forms.forge(version, "short", forms.raw_values(other, 1, 2, 3, 4), form=other)

    with pytest.raises(IntegrityError, match=r"^file-decryption:"):
        version.read("short", **version.with_data("short", data))


def test_columns_with_different_row_counts_are_refused(version: Any, forms: Any) -> None:
    values = forms.raw_values(stored_form(forms.dictionary.column("short")), 0, 1, 2, 3, 4)
    declared = version.with_data("short", forms.forge(version, "short", values, rows=5))

    with pytest.raises(IntegrityError, match=r"^row-alignment:"):
        version.read("short", "level", **declared)


def test_a_part_before_the_last_has_no_padding(new_version: Any, forms: Any, long_values: Any) -> None:
    version = new_version(forms.table_of(long_values), part_rows=512)
    values = forms.raw_values(stored_form(forms.dictionary.column("short")), *[0] * 511)
    declared = version.with_data("short", forms.forge(version, "short", values, rows=511), 0)

    with pytest.raises(IntegrityError, match=r"^file-rows:"):
        version.read("short", **declared)


def test_a_file_declared_in_another_size_than_its_rows_have_is_never_fetched(version: Any, forms: Any) -> None:
    def fetch(name: str) -> bytes:
        pytest.fail(f"fetched {name}")

    (honest,) = version.manifest.files_of("double")
    for size in (2**30, honest.size + 1, honest.size - 1, 0):
        bomb: ColumnFile = msgspec.structs.replace(version.manifest.columns[0], size=size)
        declared = msgspec.structs.replace(version.manifest, columns=(bomb, *version.manifest.columns[1:]))
        with pytest.raises(IntegrityError, match=r"^file-size:"):
            read_columns(declared, forms.dictionary, ["double"], version.keys, fetch)


def test_another_dictionary_is_refused(version: Any, forms: Any) -> None:
    other = msgspec.structs.replace(forms.dictionary, title="Other")

    with pytest.raises(IntegrityError, match=r"^dictionary-digest:"):
        read_columns(version.manifest, other, ["double"], version.keys, version.files.__getitem__)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ((), "column-request"),
        (("double", "double"), "column-request"),
        (("bmi",), "column-unknown"),
        (("patient",), "column-unknown"),
    ],
)
def test_a_senseless_request_is_refused(columns: tuple[str, ...], said: str, version: Any) -> None:
    with pytest.raises(IntegrityError, match=said):
        version.read(*columns)


@pytest.mark.parametrize("key", [b"", b"\0" * 16, b"\0" * 31, b"\0" * 33])
def test_a_key_of_another_length_is_refused(key: bytes, version: Any) -> None:
    with pytest.raises(IntegrityError, match="key-missing"):
        version.read("double", keys={"double": key})


def test_columns_that_are_too_large_together_are_never_fetched(version: Any, forms: Any) -> None:
    """A bit a row on disk is eight bytes a row in memory: the arrays count, not the files."""
    rows, size = 2**24, block_offset(256, 2)
    parts = [
        msgspec.structs.replace(
            version.manifest.files_of("yes")[0],
            part=part,
            first_row=part * rows,
            padded_rows=rows,
            size=size,
            digest=f"0x{part:064x}",
        )
        for part in range(129)
    ]
    huge = msgspec.structs.replace(version.manifest, columns=tuple(parts), rows_rounded=129 * rows // 5 * 5)

    def fetch(name: str) -> bytes:
        pytest.fail(f"fetched {name}")

    with pytest.raises(IntegrityError, match=r"^read-size:"):
        read_columns(huge, forms.dictionary, ["yes"], version.keys, fetch)


def test_thousands_of_columns_are_checked_in_one_pass_over_the_manifest(version: Any) -> None:
    """The dictionary's digest is taken once, and the manifest's files are sorted out once."""
    columns = tuple(Column(name=f"c{j}", title="x", datatype="boolean", role="factor") for j in range(3000))
    dictionary = CountingDictionary(title="x", description="", columns=columns)
    files = tuple(
        ColumnFile(column=c.name, part=0, first_row=0, padded_rows=512, size=208, digest=f"0x{j:064x}")
        for j, c in enumerate(columns)
    )
    manifest = msgspec.structs.replace(version.manifest, dictionary_digest="0x" + "77" * 32, columns=files)
    counting = CountingManifest(**{f: getattr(manifest, f) for f in manifest.__struct_fields__})
    CALLS.clear()

    names = [column.name for column in columns]
    with pytest.raises(KeyError):
        read_columns(counting, dictionary, names, dict.fromkeys(names, b"k" * 32), {}.__getitem__)

    assert CALLS == ["digest", "files"]


CALLS: list[str] = []


class CountingDictionary(DataDictionary, frozen=True, kw_only=True):
    def digest(self) -> str:
        CALLS.append("digest")
        return "0x" + "77" * 32


class CountingManifest(Manifest, frozen=True, kw_only=True):
    def files(self) -> dict[str, tuple[ColumnFile, ...]]:
        CALLS.append("files")
        return super().files()


def test_the_reader_brings_no_input_output_library_into_the_enclave() -> None:
    script = (
        "import sys, heartify.cohort.encrypted.reader; "
        "print(*sorted(m for m in sys.modules if m.startswith('heartify.cohort.') "
        "or m in ('fsspec', 'pandas', 'pyarrow', 'ssl')))"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    expected = ("bit_planes", "column_crypto", "column_file", "decoding", "reader", "stored_form")
    room = "heartify.cohort.encrypted"
    assert set(ran.stdout.split()) == {room, *(f"{room}.{name}" for name in expected)}
