from __future__ import annotations

from typing import Any

import pytest

from heartify.cohort.encrypted.column_file import block_count, block_offset, block_rows, file_bytes
from heartify.cohort.encrypted.stored_form import stored_form
from heartify.protocol.manifest import MAX_PART_ROWS


@pytest.mark.parametrize(
    ("padded_rows", "width", "blocks", "size"),
    [
        (512, 2, 1, 8 + 32 + 24 + 128 + 16),
        (65_536, 64, 1, 8 + 32 + 24 + 524_288 + 16),
        (66_048, 13, 2, 8 + 32 + 24 + 66_048 * 13 // 8 + 32),
        (MAX_PART_ROWS, 1, 256, 8 + 32 + 24 + 2**21 + 256 * 16),
    ],
)
def test_sizes_follow_from_rows_and_width(padded_rows: int, width: int, blocks: int, size: int) -> None:
    last = blocks - 1

    assert block_count(padded_rows) == blocks
    assert file_bytes(padded_rows, width) == size
    assert block_offset(last, width) + block_rows(padded_rows, last) * width // 8 + 16 == size


def test_a_file_has_the_size_that_its_form_says(version: Any, forms: Any) -> None:
    for column in forms.dictionary.published_columns:
        (entry,) = version.manifest.files_of(column.name)

        assert len(version.file_of(column.name)) == entry.size == file_bytes(512, stored_form(column).width_bits)


def test_a_file_shows_nothing_but_its_magic_outside_of_the_encryption(new_version: Any) -> None:
    """Two files of the same rows under the same column key share their first eight bytes and no other run."""
    first, second = (new_version().file_of("level") for _ in range(2))

    assert first[:8] == second[:8] == b"HFYCOL2\0"
    assert not any(first[i : i + 8] in second for i in range(8, len(first) - 8))
