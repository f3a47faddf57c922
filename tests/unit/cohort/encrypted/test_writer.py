from __future__ import annotations

import hashlib
import os
import signal
import struct
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.storage.store import Store, open_store
from heartify.cohort.storage.version_files import build_fetch, list_versions, load_manifest, load_stored_dictionary
from heartify.errors import InputError, IntegrityError, ServiceError, UsageError
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.dictionary import DataDictionary

DATASET = "0x" + "11" * 32


def test_a_version_is_a_folder_of_documents_and_objects_named_by_their_digests(published: Any) -> None:
    objects = sorted(entry.object_name for entry in published.version.manifest.columns)

    assert published.store.list(published.version.folder) == ("dictionary.json", "manifest.json")
    assert published.store.list("objects") == tuple(objects)
    assert all(hashlib.sha256(published.files[name]).hexdigest() == name for name in objects)


def test_public_documents_are_stored_and_listed_by_their_digests(
    publish: Callable[..., Any], small_table: pa.Table
) -> None:
    documents = {"statistics.json": b"{}", "catalogue.jsonld": b"[]"}

    version = publish(small_table, documents=documents)

    listed = version.version.manifest.documents
    assert [(d.name, d.size) for d in listed] == [("catalogue.jsonld", 2), ("statistics.json", 2)]
    assert listed[0].digest == "0x" + hashlib.sha256(b"[]").hexdigest()
    for name, data in documents.items():
        assert version.store.get(f"{version.version.folder}/{name}", max_bytes=10) == data


def test_a_document_of_another_name_is_refused(publish: Callable[..., Any], small_table: pa.Table) -> None:
    with pytest.raises(UsageError, match="documents are of"):
        publish(small_table, documents={"rows.csv": b"1,2"})


def test_the_stored_documents_load_by_the_version_id(published: Any, small_dictionary: DataDictionary) -> None:
    version_id = published.version.version_id

    manifest = load_manifest(published.store, version_id)

    assert manifest == published.version.manifest
    assert load_stored_dictionary(published.store, version_id, manifest) == small_dictionary
    assert list_versions(published.store) == (version_id,)


def test_ids_are_not_written(published: Any) -> None:
    assert "patient" not in published.version.manifest.column_names
    assert not any(b"p1" in data and b"p3" in data for data in published.files.values())


def test_every_version_has_its_own_nonce_and_master_key(publish: Callable[..., Any], small_table: pa.Table) -> None:
    first, second = publish(small_table).version, publish(small_table).version

    assert first.master_key != second.master_key
    assert first.manifest.version_nonce != second.manifest.version_nonce
    assert first.version_id != second.version_id


def test_the_master_key_is_not_in_the_representation(published: Any) -> None:
    shown = repr(published.version)

    assert repr(published.version.master_key) not in shown
    assert published.version.master_key.hex() not in shown
    assert "reason" not in shown


def test_no_plaintext_stands_in_any_stored_byte(publish: Callable[..., Any], small_table: pa.Table) -> None:
    canary = 598.7654321
    table = small_table.set_column(1, "chol", pa.chunked_array([pa.array([canary] * 4)]))

    version = publish(table)

    stored = b"".join(
        version.store.get(f"{folder}/{name}", max_bytes=10**6)
        for folder in (version.version.folder, "objects")
        for name in version.store.list(folder)
    )

    assert struct.pack("<d", canary) not in stored
    assert str(canary).encode() not in stored
    assert version.version.master_key not in stored


def test_the_reason_for_accepting_a_finding_stays_in_the_hospital(published: Any) -> None:
    manifest = published.store.get(f"{published.version.folder}/manifest.json", max_bytes=10**6)

    assert published.version.report.accepted[0].name == "full-date:visit"
    assert b"full-date" not in manifest
    assert published.version.report.digest() == published.version.manifest.report_digest


def test_findings_stop_publication_before_anything_is_stored(
    small_table: pa.Table, small_dictionary: DataDictionary, memory_store: Store
) -> None:
    with pytest.raises(InputError, match="full-date:visit"):
        write_version(small_table, small_dictionary, dataset=DATASET, previous=None, store=memory_store)

    assert memory_store.list() == ()


def test_a_table_in_another_form_is_refused(
    small_table: pa.Table, small_dictionary: DataDictionary, memory_store: Store, accepted: dict[str, str]
) -> None:
    wrong_levels = pa.chunked_array([pa.DictionaryArray.from_arrays(pa.array([0, 0, 0, 0], pa.int32()), ["4"])])
    tables = {
        "not those of the dictionary": small_table.drop_columns(["chol"]),
        "'chol': the table has type": small_table.set_column(1, "chol", pa.chunked_array([pa.array([1, 2, 3, 4])])),
        "'cp': the table's levels": small_table.set_column(4, "cp", wrong_levels),
        "'chol': a value is outside": small_table.set_column(1, "chol", pa.chunked_array([pa.array([601.0] * 4)])),
        "'count': a value is outside": small_table.set_column(
            2, "count", pa.chunked_array([pa.array([-(2**63), 1, 2, 3])])
        ),
    }

    for said, table in tables.items():
        with pytest.raises(InputError, match=said):
            write_version(
                table, small_dictionary, dataset=DATASET, previous=None, store=memory_store, accepted_findings=accepted
            )
    assert memory_store.list() == ()


@pytest.mark.parametrize("part_rows", [0, 100, 513, 2**25])
def test_parts_of_another_size_are_refused(part_rows: int, publish: Callable[..., Any], small_table: pa.Table) -> None:
    with pytest.raises(UsageError, match="multiple of 512"):
        publish(small_table, part_rows=part_rows)


def test_an_error_while_writing_leaves_nothing(
    tmp_path: Path, small_table: pa.Table, small_dictionary: DataDictionary, accepted: dict[str, str]
) -> None:
    store = open_store(str(tmp_path / "store"))

    for url in (str(tmp_path / "store"), "memory://writer-fails"):
        failing = FailingStore(**{**_fields(store), **_fields(open_store(url))})
        with pytest.raises(ServiceError, match="disk full"):
            write_version(
                small_table, small_dictionary, dataset=DATASET, previous=None, store=failing, accepted_findings=accepted
            )
        assert list_versions(failing) == ()
        assert failing.list("objects") == ()
        assert failing.list() in ((), ("objects",))


def _fields(store: Store) -> dict[str, Any]:
    return {"url": store.url, "filesystem": store.filesystem, "root": store.root}


class FailingStore(Store):
    """A store whose disk is full when the documents come."""

    def put(self, name: str, data: bytes) -> None:
        if name.endswith("dictionary.json"):
            raise ServiceError("cannot write: disk full")
        super().put(name, data)


def test_a_killed_writer_leaves_no_version_and_the_next_one_cleans_up(
    tmp_path: Path, small_table: pa.Table, small_dictionary: DataDictionary, accepted: dict[str, str]
) -> None:
    root = tmp_path / "store"
    script = textwrap.dedent("""
        import sys, time
        from heartify.cohort.storage.store import open_store
        store = open_store(sys.argv[1])
        with store.staging() as staging:
            store.put(f"{staging}/dictionary.json", b"half")
            print("ready", flush=True)
            time.sleep(60)
    """)
    process = subprocess.Popen([sys.executable, "-c", script, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    store = open_store(str(root))
    with pytest.raises(UsageError, match="another process is publishing"), store.staging():
        pytest.fail("two writers at once")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(store.list()) == 1
    assert list_versions(store) == ()

    version = write_version(
        small_table, small_dictionary, dataset=DATASET, previous=None, store=store, accepted_findings=accepted
    )

    assert set(store.list()) == {version.folder, "objects"}


def test_a_fetch_refuses_names_that_are_not_in_the_manifest_and_larger_files(published: Any) -> None:
    name = published.version.manifest.columns[0].object_name
    fetch = build_fetch(published.store, published.version.manifest)
    published.store.put(f"objects/{name}", published.files[name] + b"x")

    with pytest.raises(IntegrityError, match="file-unknown"):
        fetch("manifest.json")
    with pytest.raises(IntegrityError, match="larger"):
        fetch(name)


def test_a_changed_stored_dictionary_is_refused(published: Any) -> None:
    manifest = published.version.manifest
    published.store.put(f"{published.version.folder}/dictionary.json", b"{}")

    with pytest.raises(IntegrityError, match="dictionary-digest"):
        load_stored_dictionary(published.store, published.version.version_id, manifest)


def test_a_changed_stored_manifest_is_refused(published: Any) -> None:
    other = msgspec.structs.replace(published.version.manifest, previous=DATASET)

    published.store.put(f"{published.version.folder}/manifest.json", encode_canonical(other))

    with pytest.raises(IntegrityError, match="manifest-digest"):
        load_manifest(published.store, published.version.version_id)
