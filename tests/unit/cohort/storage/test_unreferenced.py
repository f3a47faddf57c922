"""Only what no version names goes, and only when it is old enough to belong to no running publication."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from heartify.cohort.storage.names import object_name
from heartify.cohort.storage.objects import check_stored_version, put_object
from heartify.cohort.storage.store import Store, open_store
from heartify.cohort.storage.unreferenced import find_unreferenced, remove_unreferenced, remove_version
from heartify.cohort.storage.version_files import list_versions
from heartify.errors import HeartifyError, UsageError

DAY = 86_400
LATER = time.time() + 30 * DAY


def names(leftovers: tuple) -> set[str]:
    return {leftover.name for leftover in leftovers}


def test_files_of_an_aborted_publication_are_found_and_removed(
    store: Store, make_version: Callable, source: tuple[Path, str, int]
) -> None:
    version = make_version(100, 200)
    version.publish(store)
    path, digest, size = source
    put_object(store, path, digest, size)

    listed = find_unreferenced(store, LATER)
    still_there = store.exists(object_name(digest))
    removed = remove_unreferenced(store, LATER)

    assert still_there, "listing removes nothing"
    assert names(listed) == names(removed) == {object_name(digest)}
    assert listed[0].size == size
    assert not store.exists(object_name(digest))
    check_stored_version(store, version.manifest)


def test_what_is_younger_than_the_grace_period_is_left_alone(store: Store, source: tuple[Path, str, int]) -> None:
    path, digest, size = source
    put_object(store, path, digest, size)

    assert remove_unreferenced(store, time.time() + DAY) == ()
    assert store.exists(object_name(digest))
    assert names(remove_unreferenced(store, time.time() + DAY, grace_seconds=DAY / 2)) == {object_name(digest)}


def test_what_a_killed_local_upload_left_is_removed(folder_store: Store, source: tuple[Path, str, int]) -> None:
    path, digest, size = source
    put_object(folder_store, path, digest, size)
    half = Path(folder_store.path_of("objects")) / f".{digest}.0011223344556677"
    half.write_bytes(b"half")

    remove_unreferenced(folder_store, LATER)

    assert not half.exists()


def test_a_store_without_files_has_none_too_many(store: Store) -> None:
    assert find_unreferenced(store, LATER) == ()


def test_nothing_is_removed_when_a_manifest_cannot_be_read(
    store: Store, make_version: Callable, source: tuple[Path, str, int]
) -> None:
    version_id = make_version(10).publish(store)
    path, digest, size = source
    put_object(store, path, digest, size)
    store.put(f"{version_id.removeprefix('0x')}/manifest.json", b"damaged")

    with pytest.raises(HeartifyError, match="manifest-digest"):
        remove_unreferenced(store, LATER)

    assert store.exists(object_name(digest))


def test_nothing_is_removed_while_another_process_publishes(folder_store: Store, source: tuple[Path, str, int]) -> None:
    path, digest, size = source
    put_object(folder_store, path, digest, size)

    with folder_store.staging(), pytest.raises(UsageError, match="another process is publishing"):
        remove_unreferenced(folder_store, LATER)

    assert folder_store.exists(object_name(digest))


def test_a_grace_period_that_a_running_publication_may_outlast_is_refused(store: Store) -> None:
    with pytest.raises(UsageError, match="at least 3600"):
        find_unreferenced(store, LATER, grace_seconds=60)


def test_a_store_that_can_only_be_read_is_not_cleaned() -> None:
    with pytest.raises(UsageError, match="can't be listed"):
        find_unreferenced(open_store("https://store.example"), LATER)


def test_a_withdrawn_version_goes_and_takes_no_file_of_another(store: Store, make_version: Callable) -> None:
    shared = b"a file that two versions name"
    withdrawn, kept = make_version(100, 200, shared=shared), make_version(300, shared=shared)
    withdrawn_id, kept_id = withdrawn.publish(store), kept.publish(store)
    store.put(f"{withdrawn_id.removeprefix('0x')}/grants/{'ab' * 32}.json", b"{}")

    removed = remove_version(store, withdrawn_id)

    assert removed == 2
    assert list_versions(store) == (kept_id,)
    assert not store.list(withdrawn_id.removeprefix("0x"))
    check_stored_version(store, kept.manifest)
    assert remove_version(store, withdrawn_id) == 0


def test_a_removal_that_was_interrupted_goes_on(store: Store, make_version: Callable) -> None:
    version = make_version(100, 200)
    version_id = version.publish(store)
    store.remove(object_name(version.manifest.columns[0].digest))

    assert remove_version(store, version_id) == 1
    assert store.list("objects") == ()
    assert list_versions(store) == ()
