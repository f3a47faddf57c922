from __future__ import annotations

import itertools
from typing import Any

import msgspec
import pytest

from heartify.errors import DocumentError, IntegrityError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.manifest import (
    DOCUMENT_NAMES,
    ColumnFile,
    Document,
    Manifest,
    padded_row_count,
    parse_manifest,
    round_rows,
)

D = "0x" + "ab" * 32
_NUMBERS = itertools.count()


def entry(**changes: Any) -> ColumnFile:
    fields: dict[str, Any] = {
        "column": "age", "part": 0, "first_row": 0, "padded_rows": 512, "size": 528,
        "digest": f"0x{next(_NUMBERS):064x}",
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
    entry(part=1, first_row=512),
    entry(column="sex"),
    entry(column="sex", part=1, first_row=512),
)


def test_the_version_id_is_the_digest_of_the_canonical_bytes() -> None:
    original = manifest(*TWO_PARTS, rows_rounded=1000)

    parsed = parse_manifest(encode_canonical(original), original.version_id())

    assert parsed == original
    assert parsed.column_names == ("age", "sex")
    assert parsed.files_of("sex") == TWO_PARTS[2:]
    assert parsed.files_of("bmi") == ()
    assert parsed.files() == {"age": TWO_PARTS[:2], "sex": TWO_PARTS[2:]}


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
        ((entry(digest=D), entry(column="sex", digest=D)), 300, "lists a file twice"),
        ((entry(), entry(column="sex", part=1)), 300, "same parts"),
        ((*TWO_PARTS[:3],), 1000, "same parts"),
        ((entry(part=1),), 300, "not numbered from 0"),
        ((entry(first_row=512),), 300, "gaps"),
        ((entry(), entry(part=1, first_row=1024)), 1000, "gaps"),
        ((entry(), entry(part=1, first_row=0)), 1000, "overlap"),
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


def test_a_file_is_named_by_its_digest() -> None:
    name = entry(digest=D).object_name

    assert name == "ab" * 32


def test_documents_are_of_the_closed_list_once_and_in_its_order() -> None:
    documents = tuple(Document(name=name, size=7, digest=D) for name in DOCUMENT_NAMES)

    accepted = msgspec.structs.replace(manifest(), documents=documents[1:])

    assert accepted.documents == documents[1:]
    unknown = Document(name="rows.csv", size=7, digest=D)
    for wrong in (documents[::-1], (documents[0], documents[0]), (unknown,), (*documents, unknown)):
        with pytest.raises(DocumentError, match="documents must be of"):
            msgspec.structs.replace(manifest(), documents=wrong)


def test_a_manifest_without_files_is_refused() -> None:
    with pytest.raises(DocumentError, match="1 to"):
        msgspec.structs.replace(manifest(), columns=())


def test_row_counts_are_rounded_to_five_and_hidden_under_ten() -> None:
    rounded = [round_rows(rows) for rows in (0, 1, 9, 10, 12, 13, 303, 294, 123, 200)]

    assert rounded == [0, 0, 0, 10, 10, 15, 305, 295, 125, 200]


def test_rows_are_padded_to_steps_of_512() -> None:
    padded = [padded_row_count(rows) for rows in (0, 1, 512, 513, 1024)]

    assert padded == [512, 512, 512, 1024, 1024]
