"""What comes from the cache has its digest, whatever the store, the network and the disk did."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from heartify.cohort.storage.failures import Patience
from heartify.cohort.storage.names import object_name
from heartify.cohort.storage.objects import put_object
from heartify.cohort.storage.store import Store
from heartify.cohort.storage.verified_cache import VerifiedCache
from heartify.cohort.storage.version_files import build_fetch
from heartify.errors import IntegrityError, ServiceError, UsageError

from .failing_store import breaks_after, ends_after, scripted, sends

MIB = 1024 * 1024


@pytest.fixture
def cache(tmp_path: Path, impatient: Patience) -> VerifiedCache:
    return VerifiedCache(tmp_path / "cache", 100 * MIB, impatient)


@pytest.fixture
def stored(store: Store, source: tuple[Path, str, int]) -> tuple[Store, str, bytes]:
    """A store with one file, its digest and its bytes."""
    path, digest, size = source
    put_object(store, path, digest, size)
    return store, digest, path.read_bytes()


def cached_file(cache: VerifiedCache, digest: str) -> Path:
    return cache.folder / "files" / digest.removeprefix("0x")


def partial_file(cache: VerifiedCache, digest: str) -> Path:
    return cache.folder / "partial" / digest.removeprefix("0x")


def put_files(store: Store, folder: Path, *sizes: int) -> list[tuple[str, int]]:
    made = []
    for size in sizes:
        data = os.urandom(size)
        digest = hashlib.sha256(data).hexdigest()
        (folder / digest).write_bytes(data)
        put_object(store, folder / digest, digest, size)
        made.append((digest, size))
    return made


def test_a_file_is_fetched_once_and_read_from_any_place(stored: tuple[Store, str, bytes], cache: VerifiedCache) -> None:
    store, digest, data = stored
    counting = scripted(store)

    first = cache.read_object(counting, digest, len(data))
    with cache.open_object(counting, digest, len(data)) as file:
        file.seek(MIB)
        middle = file.read(10)

    assert first == data
    assert middle == data[MIB : MIB + 10]
    assert counting.starts == [0]


def test_an_empty_file_is_a_file(store: Store, tmp_path: Path, cache: VerifiedCache) -> None:
    ((digest, size),) = put_files(store, tmp_path, 0)

    assert cache.read_object(store, digest, size) == b""


def test_a_broken_connection_goes_on_where_it_stopped(stored: tuple[Store, str, bytes], cache: VerifiedCache) -> None:
    store, digest, data = stored
    flaky = scripted(store, breaks_after(MIB), ends_after(10), breaks_after(0))

    found = cache.read_object(flaky, digest, len(data))

    assert found == data
    assert flaky.starts == [0, MIB, MIB + 10, MIB + 10]


def test_a_download_that_is_given_up_is_continued_by_the_next_call(
    stored: tuple[Store, str, bytes], cache: VerifiedCache
) -> None:
    store, digest, data = stored
    dead = scripted(store, breaks_after(500), *[breaks_after(0)] * 50)

    with pytest.raises(ServiceError, match="cannot fetch a file"):
        cache.open_object(dead, digest, len(data))
    assert not cached_file(cache, digest).exists()
    assert partial_file(cache, digest).stat().st_size == 500
    revived = scripted(store)
    found = cache.read_object(revived, digest, len(data))

    assert found == data
    assert revived.starts == [500]
    assert not partial_file(cache, digest).exists()


def test_failures_in_a_row_are_bounded_and_waited_for(stored: tuple[Store, str, bytes], tmp_path: Path) -> None:
    store, digest, data = stored
    waits: list[float] = []
    patience = Patience(attempts=4, sleep=waits.append, chance=lambda: 1.0)
    cache = VerifiedCache(tmp_path / "cache", MIB, patience)
    dead = scripted(store, *[breaks_after(0)] * 50)

    with pytest.raises(ServiceError):
        cache.open_object(dead, digest, len(data))

    assert len(dead.starts) == 4
    assert waits == [0.5, 1.0, 2.0]


def test_an_unfinished_download_with_wrong_bytes_is_fetched_anew(
    stored: tuple[Store, str, bytes], cache: VerifiedCache
) -> None:
    store, digest, data = stored
    partial_file(cache, digest).parent.mkdir(parents=True)
    partial_file(cache, digest).write_bytes(bytes(1000))
    counting = scripted(store)

    assert cache.read_object(counting, digest, len(data)) == data
    assert counting.starts == [1000, 0]


def test_an_unfinished_download_that_is_too_long_is_cut(stored: tuple[Store, str, bytes], cache: VerifiedCache) -> None:
    store, digest, data = stored
    partial_file(cache, digest).parent.mkdir(parents=True)
    partial_file(cache, digest).write_bytes(data + b"more")

    assert cache.read_object(store, digest, len(data)) == data


def test_a_store_that_sends_other_bytes_is_refused(stored: tuple[Store, str, bytes], cache: VerifiedCache) -> None:
    store, digest, data = stored
    flipped = bytes([data[0] ^ 1]) + data[1:]

    with pytest.raises(IntegrityError, match="file-digest"):
        cache.open_object(scripted(store, sends(flipped)), digest, len(data))

    assert not cached_file(cache, digest).exists()
    assert not partial_file(cache, digest).exists()
    assert cache.read_object(store, digest, len(data)) == data


def test_a_store_that_sends_more_is_refused(stored: tuple[Store, str, bytes], cache: VerifiedCache) -> None:
    store, digest, data = stored

    with pytest.raises(IntegrityError, match=r"file-size: .* longer"):
        cache.open_object(scripted(store, sends(data + b"x")), digest, len(data))


def test_a_store_whose_file_is_shorter_is_refused(stored: tuple[Store, str, bytes], cache: VerifiedCache) -> None:
    store, digest, data = stored
    store.put(object_name(digest), data[:-1])

    with pytest.raises(IntegrityError, match=r"file-size: .* shorter"):
        cache.open_object(store, digest, len(data))


def test_a_store_that_drips_is_given_up(stored: tuple[Store, str, bytes], tmp_path: Path) -> None:
    store, digest, data = stored
    times = iter(range(0, 10_000, 50))
    cache = VerifiedCache(tmp_path / "cache", MIB, Patience(sleep=lambda _: None, clock=lambda: next(times)))
    dripping = scripted(store, lambda blocks: (bytes([byte]) for byte in b"".join(blocks)))

    with pytest.raises(ServiceError, match="too slowly"):
        cache.open_object(dripping, digest, len(data))


@pytest.mark.parametrize("damage", ["flip", "cut", "empty"])
def test_a_cached_file_that_changed_on_the_disk_is_fetched_again(
    damage: str, stored: tuple[Store, str, bytes], cache: VerifiedCache
) -> None:
    store, digest, data = stored
    cache.read_object(store, digest, len(data))
    damaged = {"flip": data[:-1] + bytes([data[-1] ^ 1]), "cut": data[:-1], "empty": b""}[damage]
    cached_file(cache, digest).write_bytes(damaged)
    counting = scripted(store)

    found = cache.read_object(counting, digest, len(data))

    assert found == data
    assert counting.starts == [0]
    assert cached_file(cache, digest).read_bytes() == data


def test_what_was_not_used_for_longest_goes_first(store: Store, tmp_path: Path) -> None:
    cache = VerifiedCache(tmp_path / "cache", 250)
    first, second, third = put_files(store, tmp_path, 100, 101, 102)
    cache.read_object(store, *first)
    cache.read_object(store, *second)
    for (digest, _), used in zip((first, second), (1_000, 2_000), strict=True):
        os.utime(cached_file(cache, digest), (used, used))
    cache.read_object(store, *first)

    cache.read_object(store, *third)

    assert cached_file(cache, first[0]).exists()
    assert not cached_file(cache, second[0]).exists()
    assert cached_file(cache, third[0]).exists()
    assert time.time() - cached_file(cache, first[0]).stat().st_mtime < 1_000


def test_the_cache_never_keeps_more_than_its_limit(store: Store, tmp_path: Path) -> None:
    cache = VerifiedCache(tmp_path / "cache", 1_000)
    files = put_files(store, tmp_path, *range(300, 330))

    for digest, size in files:
        cache.read_object(store, digest, size)
        kept = sum(path.stat().st_size for path in (tmp_path / "cache" / "files").iterdir())
        assert kept <= 1_000

    assert kept > 0


def test_abandoned_downloads_count_and_are_evicted(store: Store, tmp_path: Path) -> None:
    cache = VerifiedCache(tmp_path / "cache", 1_000)
    ((digest, size),) = put_files(store, tmp_path, 600)
    abandoned = partial_file(cache, "ab" * 32)
    abandoned.parent.mkdir(parents=True)
    abandoned.write_bytes(bytes(900))
    os.utime(abandoned, (1, 1))

    cache.read_object(store, digest, size)

    assert not abandoned.exists()


def test_a_file_larger_than_the_cache_is_fetched_and_not_kept(store: Store, tmp_path: Path) -> None:
    cache = VerifiedCache(tmp_path / "cache", 50)
    ((digest, size),) = put_files(store, tmp_path, 100)

    found = cache.read_object(store, digest, size)

    assert found == (tmp_path / digest).read_bytes()
    assert not cached_file(cache, digest).exists()
    assert not partial_file(cache, digest).exists()


def test_an_evicted_file_stays_readable_while_it_is_open(store: Store, tmp_path: Path) -> None:
    cache = VerifiedCache(tmp_path / "cache", 150)
    first, second = put_files(store, tmp_path, 100, 101)

    with cache.open_object(store, *first) as file:
        cache.read_object(store, *second)
        found = file.read()

    assert found == (tmp_path / first[0]).read_bytes()
    assert not cached_file(cache, first[0]).exists()


def test_a_cache_on_a_broken_disk_is_a_service_error(stored: tuple[Store, str, bytes], tmp_path: Path) -> None:
    store, digest, data = stored
    (tmp_path / "no-folder").write_bytes(b"")

    with pytest.raises(ServiceError, match="cannot use the cache"):
        VerifiedCache(tmp_path / "no-folder", MIB).open_object(store, digest, len(data))


def test_a_cache_of_negative_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        VerifiedCache(tmp_path, -1)


def test_files_of_a_version_come_through_the_cache(make_version: Callable, tmp_path: Path, store: Store) -> None:
    version = make_version(100)
    version.publish(store)
    cache = VerifiedCache(tmp_path / "cache", MIB)
    (entry,) = version.manifest.columns

    found = build_fetch(store, version.manifest, cache)(entry.object_name)

    assert found == version.files[0].read_bytes()
    assert cached_file(cache, entry.digest).exists() is not store.is_local, "a folder needs no second copy"
    with pytest.raises(IntegrityError, match="file-unknown"):
        build_fetch(store, version.manifest, cache)("ab" * 32)
