from __future__ import annotations

from pathlib import Path

import pytest

from heartify.cohort.storage.store import Store, open_store
from heartify.errors import IntegrityError, ServiceError, UsageError


def test_what_is_put_is_got_and_listed(store: Store) -> None:
    store.put("a/one.json", b"1")
    store.put("a/one.json", b"22")

    assert store.get("a/one.json", max_bytes=2) == b"22"
    assert store.exists("a/one.json")
    assert not store.exists("a/two.json")
    assert store.list() == ("a",)
    assert store.list("a") == ("one.json",)
    assert store.list("b") == ()


def test_a_file_larger_than_expected_is_refused(store: Store) -> None:
    store.put("big", b"123")

    with pytest.raises(IntegrityError, match="larger than the 2 bytes"):
        store.get("big", max_bytes=2)


def test_an_absent_file_is_a_service_error(store: Store) -> None:
    with pytest.raises(ServiceError, match="cannot read 'absent'"):
        store.get("absent", max_bytes=2)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../b", "", ".hidden", "a//b", "a\n", "a/b/c/d/e"])
def test_a_name_that_leaves_the_store_is_refused(name: str, store: Store) -> None:
    with pytest.raises(UsageError, match="a name in the store"):
        store.put(name, b"x")


def test_a_published_staging_folder_takes_its_name(store: Store) -> None:
    with store.staging() as staging:
        store.put(f"{staging}/manifest.json", b"m")
        store.put(f"{staging}/00000.parquet", b"d")
        store.publish(staging, "final")

    assert store.list() == ("final",)
    assert store.list("final") == ("00000.parquet", "manifest.json")


def test_a_published_name_is_never_replaced(store: Store) -> None:
    store.put("final/manifest.json", b"old")

    with store.staging() as staging:
        store.put(f"{staging}/manifest.json", b"new")
        with pytest.raises(UsageError, match="already has"):
            store.publish(staging, "final")

    assert store.get("final/manifest.json", max_bytes=3) == b"old"
    assert store.list() == ("final",)


def test_a_staging_folder_that_is_not_published_disappears(store: Store) -> None:
    def fail() -> None:
        with store.staging() as staging:
            store.put(f"{staging}/x", b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert store.list() == ()


def test_an_unknown_kind_of_url_is_refused() -> None:
    with pytest.raises(UsageError, match="not supported"):
        open_store("gopher://somewhere/x")


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/x",
        "ftp://h/x",
        "github://o:r@/x",
        "reference://x",
        "zip://a::https://h/x.zip",
        "simplecache::file://x",
    ],
)
def test_store_addresses_that_would_send_a_reader_elsewhere_are_refused(url: str) -> None:
    with pytest.raises(UsageError, match="kind of store URL"):
        open_store(url)


def test_a_store_that_cannot_be_written_is_a_service_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = open_store(str(tmp_path / "file" / "below"))

    with pytest.raises(ServiceError):
        store.put("x", b"x")
