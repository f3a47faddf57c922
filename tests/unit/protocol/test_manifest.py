from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.manifest import ColumnFile, Manifest, padded_row_count, parse_manifest, round_rows

D = "0x" + "ab" * 32


def entry(**changes: Any) -> ColumnFile:
    fields: dict[str, Any] = {
        "column": "age", "part": 0, "first_row": 0, "padded_rows": 512, "file": "00000.parquet", "size": 4373,
        "digest": D,
    }  # fmt: skip
    return ColumnFile(**(fields | changes))


def manifest(*columns: ColumnFile, rows_rounded: int = 300) -> Manifest:
    return Manifest(
        dataset=D,
        previous=None,
        version_nonce=D,
        dictionary_digest=D,
        report_digest=D,
        rows_rounded=rows_rounded,
        columns=columns or (entry(),),
    )


TWO_PARTS = (
    entry(),
    entry(part=1, first_row=512, file="00001.parquet"),
    entry(column="sex", file="00002.parquet"),
    entry(column="sex", part=1, first_row=512, file="00003.parquet"),
)


def test_the_version_id_is_the_digest_of_the_canonical_bytes() -> None:
    original = manifest(*TWO_PARTS, rows_rounded=1000)

    parsed = parse_manifest(encode_canonical(original), original.version_id())

    assert parsed == original
    assert parsed.column_names == ("age", "sex")
    assert [part.file for part in parsed.files_of("sex")] == ["00002.parquet", "00003.parquet"]
    assert parsed.files_of("bmi") == ()


def test_every_changed_byte_of_a_manifest_is_refused() -> None:
    original = manifest()
    data = encode_canonical(original)

    for position in range(len(data)):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        with pytest.raises(IntegrityError, match="manifest-digest"):
            parse_manifest(changed, original.version_id())


def test_an_older_manifest_is_not_the_newer_version() -> None:
    old = manifest()
    new = msgspec.structs.replace(old, previous=old.version_id(), version_nonce="0x" + "cd" * 32)

    with pytest.raises(IntegrityError, match="manifest-digest"):
        parse_manifest(encode_canonical(old), new.version_id())


@pytest.mark.parametrize(
    ("columns", "rows", "said"),
    [
        ((entry(),), 303, "rounded"),
        ((entry(),), 5, "rounded"),
        ((entry(file="../x.parquet"),), 300, "file names"),
        ((entry(file="age.parquet"),), 300, "file names"),
        ((entry(), entry(column="sex")), 300, "file names"),
        ((entry(), entry(column="sex", part=1, file="00001.parquet")), 300, "same parts"),
        ((*TWO_PARTS[:3],), 1000, "same parts"),
        ((entry(part=1),), 300, "not numbered from 0"),
        ((entry(first_row=512),), 300, "gaps"),
        ((entry(), entry(part=1, first_row=1024, file="00001.parquet")), 1000, "gaps"),
        ((entry(), entry(part=1, first_row=0, file="00001.parquet")), 1000, "overlap"),
        ((entry(padded_rows=500),), 300, "steps of 512"),
        ((entry(padded_rows=0),), 0, "steps of 512"),
        ((entry(padded_rows=2**25),), 300, "up to"),
        ((entry(),), 10_000, "does not fit"),
        (TWO_PARTS, 100, "does not fit"),
    ],
)
def test_files_that_form_no_table_are_refused(columns: tuple[ColumnFile, ...], rows: int, said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        manifest(*columns, rows_rounded=rows)


def test_a_manifest_without_files_is_refused() -> None:
    with pytest.raises(DocumentError, match="1 to"):
        msgspec.structs.replace(manifest(), columns=())


def test_row_counts_are_rounded_to_five_and_hidden_under_ten() -> None:
    rounded = [round_rows(rows) for rows in (0, 1, 9, 10, 12, 13, 303, 294, 123, 200)]

    assert rounded == [0, 0, 0, 10, 10, 15, 305, 295, 125, 200]


def test_rows_are_padded_to_steps_of_512() -> None:
    padded = [padded_row_count(rows) for rows in (0, 1, 512, 513, 1024)]

    assert padded == [512, 512, 512, 1024, 1024]
