from __future__ import annotations

import stat
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from heartify.cohort.encrypted.version_writer import VersionWriter, WrittenPart
from heartify.errors import InputError, ServiceError, UsageError
from heartify.protocol.manifest import ROW_GROUP_ROWS

GIVEN: dict[str, Any] = {"dataset": b"\1" * 32, "version_nonce": b"\2" * 32, "master_key": b"\3" * 32}


@pytest.fixture
def table(forms: Any, long_values: dict[str, list[Any]]) -> pa.Table:
    table: pa.Table = forms.table_of(long_values)
    return table


def new_writer(forms: Any, folder: Path, **options: Any) -> VersionWriter:
    return VersionWriter(forms.dictionary, folder=folder, **(GIVEN | {"part_rows": 512} | options))


def append(writer: VersionWriter, table: pa.Table, *cuts: int) -> None:
    for first, after in zip((0, *cuts), (*cuts, len(table)), strict=True):
        for batch in table.slice(first, after - first).to_batches():
            writer.append(batch)


def test_parts_are_complete_while_rows_still_come(forms: Any, table: pa.Table, tmp_path: Path) -> None:
    writer = new_writer(forms, tmp_path)

    append(writer, table.slice(0, 1030))
    parts = writer.completed_parts()

    assert [(part.part, part.first_row, part.rows) for part in parts] == [(0, 0, 512), (1, 512, 512)]
    assert writer.rows == 1030
    for part in parts:
        assert [entry.column for entry in part.files] == [c.name for c in forms.dictionary.published_columns]
        assert all(part.path(entry).stat().st_size == entry.size for entry in part.files)


def test_only_the_owner_may_read_what_is_written(forms: Any, table: pa.Table, tmp_path: Path) -> None:
    writer = new_writer(forms, tmp_path)

    append(writer, table)

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}
    assert len(list(tmp_path.glob("unfinished-*"))) == 8


def test_the_same_rows_in_other_batches_are_the_same_version(forms: Any, table: pa.Table, tmp_path: Path) -> None:
    written = []
    for number, cuts in enumerate([(), (1,), (511, 512, 513), (0, 700, 700, 1299)]):
        (tmp_path / str(number)).mkdir()
        writer = new_writer(forms, tmp_path / str(number), random_bytes=lambda n: b"\7" * n)
        append(writer, table, *cuts)
        written.append(writer.finish())

    assert all(files == written[0] for files in written)


def test_an_exact_number_of_parts_has_no_empty_part_behind(forms: Any, table: pa.Table, tmp_path: Path) -> None:
    writer = new_writer(forms, tmp_path)

    append(writer, table.slice(0, 1024))
    files = writer.finish()

    assert sorted({(entry.part, entry.first_row) for entry in files}) == [(0, 0), (1, 512)]


def test_a_block_that_ends_with_the_rows_is_the_last_one(new_version: Callable[..., Any], forms: Any) -> None:
    values = {name: [forms.values[name][0]] * ROW_GROUP_ROWS for name in forms.values}

    version = new_version(forms.table_of(values))

    assert version.read("short")["short"].tolist() == [18] * ROW_GROUP_ROWS


def test_resuming_behind_complete_parts_gives_the_whole_version(
    new_version: Callable[..., Any], forms: Any, table: pa.Table, tmp_path: Path
) -> None:
    expected = new_version(table, part_rows=512).read("double", "level")
    killed = new_writer(forms, tmp_path)
    append(killed, table.slice(0, 1200))
    journal = killed.completed_parts()
    salt_of_the_half_part = (tmp_path / "unfinished-00000").read_bytes()[8:40]

    resumed = VersionWriter.resume(forms.dictionary, folder=tmp_path, parts=journal, part_rows=512, **GIVEN)
    assert resumed.rows == 1024
    append(resumed, table.slice(resumed.rows))
    files = resumed.finish()

    objects = {entry.object_name: (tmp_path / entry.object_name).read_bytes() for entry in files}
    assert salt_of_the_half_part not in [data[8:40] for data in objects.values()]
    version = new_version(table, part_rows=512)
    manifest = type(version.manifest)(
        **{f: getattr(version.manifest, f) for f in version.manifest.__struct_fields__ if f != "columns"}, columns=files
    )
    read = version.read("double", "level", manifest=manifest, files=objects)
    for name in ("double", "level"):
        np.testing.assert_array_equal(read[name], expected[name])


def test_file_sizes_depend_on_rows_and_dictionary_but_not_on_values(
    new_version: Callable[..., Any], forms: Any, long_values: dict[str, list[Any]]
) -> None:
    """All different, all missing, or all equal: an outsider sees the same sizes."""
    nothing_known = {name: [None] * 1300 for name in long_values}
    all_equal = {name: [forms.values[name][0]] * 1300 for name in long_values}

    sizes = [
        [entry.size for entry in new_version(forms.table_of(values), part_rows=512).manifest.columns]
        for values in (long_values, nothing_known, all_equal)
    ]

    assert sizes[0] == sizes[1] == sizes[2]


def test_a_row_more_or_less_does_not_change_file_sizes(new_version: Callable[..., Any], table: pa.Table) -> None:
    sizes = {
        tuple(entry.size for entry in new_version(table.slice(0, rows)).manifest.columns) for rows in (1025, 1100, 1300)
    }

    assert len(sizes) == 1


def test_no_rows_are_a_version_without_rows(new_version: Callable[..., Any], table: pa.Table) -> None:
    version = new_version(table.slice(0, 0))

    assert len(version.read("double")["double"]) == 0
    assert version.manifest.rows_rounded == 0
    assert [entry.padded_rows for entry in version.manifest.files_of("double")] == [512]


def test_a_journal_whose_parts_do_not_follow_each_other_is_refused(forms: Any, table: pa.Table, tmp_path: Path) -> None:
    writer = new_writer(forms, tmp_path)
    append(writer, table)
    first, second = writer.completed_parts()
    shorter = WrittenPart(0, 0, 511, first.files, tmp_path)
    missing = WrittenPart(0, 0, 512, first.files[1:], tmp_path)

    for journal in ((second,), (second, first), (first, first), (shorter,), (missing,)):
        with pytest.raises(UsageError, match="journal"):
            VersionWriter.resume(forms.dictionary, folder=tmp_path, parts=journal, part_rows=512, **GIVEN)


def test_a_batch_in_another_form_is_refused(forms: Any, table: pa.Table, tmp_path: Path) -> None:
    wrong = table.drop_columns(["double"]).to_batches()[0]

    with pytest.raises(InputError, match="not those of the dictionary"):
        new_writer(forms, tmp_path).append(wrong)


def test_a_folder_that_is_not_there_is_told_without_a_path(forms: Any, table: pa.Table, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="cannot write a part") as caught:
        append(new_writer(forms, tmp_path / "absent"), table)

    assert str(tmp_path) not in caught.value.message


def test_a_part_that_somebody_removed_is_no_part(forms: Any, table: pa.Table, tmp_path: Path) -> None:
    writer = new_writer(forms, tmp_path)
    append(writer, table.slice(0, 100))
    (tmp_path / "unfinished-00000").unlink()

    with pytest.raises(ServiceError, match="cannot write a part"):
        writer.finish()

    assert writer.completed_parts() == ()


def test_a_finished_part_that_cannot_get_its_name_is_no_part(forms: Any, table: pa.Table, tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    writers = [new_writer(forms, tmp_path / name, random_bytes=lambda n: b"\7" * n) for name in ("first", "second")]
    for writer in writers:
        append(writer, table.slice(0, 100))
    in_the_way = writers[0].finish()[0].object_name
    (tmp_path / "second" / in_the_way).mkdir()

    with pytest.raises(ServiceError, match="cannot write a part"):
        writers[1].finish()

    assert writers[1].completed_parts() == ()


@pytest.mark.parametrize("part_rows", [0, 100, 513, 2**25])
def test_parts_of_another_size_are_refused(part_rows: int, forms: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="multiple of 512"):
        new_writer(forms, tmp_path, part_rows=part_rows)


def test_a_full_disk_is_told_and_leaves_no_object(tmp_path: Path) -> None:
    """In a process whose files may have 100 KB: a real error of the system; no object is named by its digest."""
    script = textwrap.dedent("""
        import resource, signal, sys
        from pathlib import Path
        import numpy as np, pyarrow as pa
        from heartify.cohort.encrypted.version_writer import VersionWriter
        from heartify.errors import ServiceError
        from heartify.protocol.dictionary import Column, DataDictionary
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        column = Column(name="x", title="x", datatype="number", role="factor")
        dictionary = DataDictionary(title="t", description="", columns=(column,))
        writer = VersionWriter(dictionary, dataset=b"1" * 32, version_nonce=b"2" * 32, master_key=b"3" * 32,
                               folder=Path(sys.argv[1]))
        try:
            writer.append(pa.record_batch({"x": np.zeros(65_536)}))
            writer.finish()
        except ServiceError as exc:
            print(exc.message)
    """)

    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)

    assert "cannot write a part of the version" in ran.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["unfinished-00000"]


def test_more_columns_than_open_files_can_be_written(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        import numpy as np, pyarrow as pa
        from heartify.cohort.encrypted.version_writer import VersionWriter
        from heartify.protocol.dictionary import Column, DataDictionary
        names = [f"c{j}" for j in range(80)]
        columns = tuple(Column(name=n, title=n, datatype="boolean", role="factor") for n in names)
        dictionary = DataDictionary(title="t", description="", columns=columns)
        writer = VersionWriter(dictionary, dataset=b"1" * 32, version_nonce=b"2" * 32, master_key=b"3" * 32,
                               folder=Path(sys.argv[1]))
        batch = pa.record_batch({n: pa.array([True, None]) for n in names})
        resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
        writer.append(batch)
        print(len(writer.finish()))
    """)

    ran = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)

    assert ran.stdout == "80\n"
