"""Files come into a store whole, under their own digest, once; a version is there when its manifest is."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from heartify.cohort.storage.names import object_name
from heartify.cohort.storage.objects import check_stored_version, publish_version, put_object, stored_size
from heartify.cohort.storage.store import Store, open_store
from heartify.cohort.storage.version_files import list_versions, load_manifest
from heartify.errors import InputError, IntegrityError, ServiceError, UsageError
from heartify.protocol.canonical import encode_canonical

Source = tuple[Path, str, int]


def test_a_file_lies_under_its_digest(store: Store, source: Source) -> None:
    path, digest, size = source
    told: list[int] = []

    put_object(store, path, digest, size, report=told.append)

    assert store.get(object_name(digest), max_bytes=size) == path.read_bytes()
    assert store.list("objects") == (digest.removeprefix("0x"),)
    assert sum(told) == size


def test_a_file_that_is_there_is_kept(folder_store: Store, source: Source) -> None:
    path, digest, size = source
    told: list[int] = []
    put_object(folder_store, path, digest, size)
    stored = Path(folder_store.path_of(object_name(digest)))
    os.utime(stored, (1, 1))
    identity = stored.stat().st_ino

    put_object(folder_store, path, digest, size, report=told.append)

    assert stored.stat().st_ino == identity
    assert stored.stat().st_mtime > 1, "a cleaning must see that it is wanted again"
    assert told == [size]


def test_a_stored_file_of_another_size_is_replaced(store: Store, source: Source) -> None:
    path, digest, size = source
    store.put(object_name(digest), b"half of it")

    put_object(store, path, digest, size)

    assert stored_size(store, object_name(digest)) == size


def test_a_file_that_is_not_what_its_digest_says_is_not_stored(store: Store, source: Source) -> None:
    path, digest, size = source
    path.write_bytes(bytes(size))

    with pytest.raises(IntegrityError, match="file-digest"):
        put_object(store, path, digest, size)

    assert stored_size(store, object_name(digest)) is None
    assert store.list("objects") == ()


def test_a_file_of_another_size_than_stated_is_refused(store: Store, source: Source) -> None:
    path, digest, size = source

    with pytest.raises(IntegrityError, match="file-size"):
        put_object(store, path, digest, size - 1)


def test_a_file_that_cannot_be_read_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't be read"):
        put_object(store, tmp_path / "absent", "0x" + "00" * 32, 1)


@pytest.mark.parametrize("digest", ["../../etc", "0x12", "AB" * 32, "0x" + "g" * 64, "ab" * 32 + "\n"])
def test_a_name_that_is_no_digest_is_refused(digest: str, store: Store, source: Source) -> None:
    with pytest.raises(UsageError, match="named by its SHA-256"):
        put_object(store, source[0], digest, source[2])


def test_a_published_version_is_listed_and_reads_back(store: Store, make_version: Callable) -> None:
    version = make_version(1000, 20)

    version_id = version.publish(store)

    assert list_versions(store) == (version_id,)
    assert load_manifest(store, version_id) == version.manifest
    told: list[int] = []
    check_stored_version(store, version.manifest, report=told.append)
    assert told == [1000, 20]


def test_publishing_the_same_version_again_changes_nothing(folder_store: Store, make_version: Callable) -> None:
    version = make_version(1000)
    version_id = version.publish(folder_store)

    again = version.publish(folder_store)

    assert again == version_id
    assert list_versions(folder_store) == (version_id,)


def test_the_manifest_comes_last(store: Store, make_version: Callable) -> None:
    version, put_names = make_version(10), []
    version.put_files(store)

    class RecordingStore(Store):
        def put(self, name: str, data: bytes) -> None:
            put_names.append(name.rpartition("/")[2])
            super().put(name, data)

    recording = RecordingStore(**{field.name: getattr(store, field.name) for field in dataclasses.fields(store)})

    publish_version(recording, version.manifest_bytes, version.documents)

    assert put_names == ["dictionary.json", "synthetic-twin.csv", "manifest.json"]


def test_a_version_whose_files_are_not_all_there_is_not_published(store: Store, make_version: Callable) -> None:
    version = make_version(10, 20)
    first = version.manifest.columns[0]
    put_object(store, version.files[0], first.digest, first.size)

    with pytest.raises(UsageError, match="does not have all files"):
        publish_version(store, version.manifest_bytes, version.documents)

    assert list_versions(store) == ()


def test_another_manifest_in_the_versions_place_is_not_overwritten(store: Store, make_version: Callable) -> None:
    version = make_version(10)
    version.put_files(store)
    name = f"{version.manifest.version_id().removeprefix('0x')}/manifest.json"
    store.put(name, b"somebody else's")

    with pytest.raises(UsageError, match="another manifest"):
        publish_version(store, version.manifest_bytes, version.documents)

    assert store.get(name, max_bytes=100) == b"somebody else's"


def test_documents_that_are_not_the_manifests_are_refused(store: Store, make_version: Callable) -> None:
    version = make_version(10)
    version.put_files(store)
    changed = {**version.documents, "dictionary.json": b"{}"}
    missing = {"dictionary.json": version.documents["dictionary.json"]}
    extra = {**version.documents, "statistics.json": b"{}"}

    with pytest.raises(IntegrityError, match=r"'dictionary\.json'"):
        publish_version(store, version.manifest_bytes, changed)
    for documents in (missing, extra):
        with pytest.raises(UsageError, match="documents must be"):
            publish_version(store, version.manifest_bytes, documents)
    assert list_versions(store) == ()


def test_a_store_that_kept_other_bytes_than_it_said_is_found_out(store: Store, make_version: Callable) -> None:
    version = make_version(100, 200)
    version.publish(store)
    entry = version.manifest.columns[1]

    for bad in (bytes(entry.size), b"short", os.urandom(entry.size + 1)):
        store.put(object_name(entry.digest), bad)
        with pytest.raises(IntegrityError, match="file-digest"):
            check_stored_version(store, version.manifest)


def test_a_manifest_of_another_form_is_refused(store: Store, make_version: Callable) -> None:
    version = make_version(10)
    changed = msgspec.to_builtins(version.manifest) | {"extra": 1}

    with pytest.raises(InputError):
        publish_version(store, encode_canonical(changed), version.documents)


def test_a_full_folder_is_a_service_error(tmp_path: Path, source: Source) -> None:
    (tmp_path / "file").write_bytes(b"")
    path, digest, size = source

    with pytest.raises(ServiceError, match="Not a directory"):
        put_object(open_store(str(tmp_path / "file")), path, digest, size)
