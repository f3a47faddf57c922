"""A store over https, with a test CA on loopback: read, resumed, redirected, lied to, and never led elsewhere."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from heartify.cohort.storage.failures import Patience
from heartify.cohort.storage.https_client import HttpsFiles, HttpsHost
from heartify.cohort.storage.store import Store, open_registered_store, open_store
from heartify.cohort.storage.store_access import StoreAccess
from heartify.cohort.storage.verified_cache import VerifiedCache
from heartify.cohort.storage.version_files import load_manifest, load_stored_dictionary
from heartify.errors import IntegrityError, PolicyError, ServiceError


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def store(web: SimpleNamespace, waits: list[float]) -> Store:
    """A store at https://store.test, which resolves to loopback; three attempts, one second for each read."""
    host = HttpsHost("store.test", web.port, may_be_private=True, resolve=lambda _, __: ["127.0.0.1"])
    files = HttpsFiles(host, web.client_side, read_seconds=1)
    return Store("https://store.test/v", files, "/v", Patience(attempts=3, sleep=waits.append))


@pytest.fixture
def cache(tmp_path: Path) -> VerifiedCache:
    return VerifiedCache(tmp_path / "cache", 10_000_000)


def object_path(version) -> str:
    return f"/v/objects/{version.manifest.columns[0].object_name}"


def test_a_version_is_read(store: Store, web: SimpleNamespace, make_version: Callable, cache: VerifiedCache) -> None:
    version = make_version(2_000_000, 77)
    web.answers.files |= version.served("/v")
    version_id = version.manifest.version_id()

    manifest = load_manifest(store, version_id)
    found = [cache.read_object(store, entry.digest, entry.size) for entry in manifest.columns]

    assert found == [path.read_bytes() for path in version.files]
    assert load_stored_dictionary(store, version_id, manifest).title == "Small"
    assert web.answers.hosts == {f"store.test:{web.port}"}
    assert {path for _, path, _ in web.answers.requests} <= set(version.served("/v"))


def test_the_operators_own_ca_is_that_of_the_environment(
    web: SimpleNamespace, make_version: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = make_version(10)
    web.answers.files |= version.served("/v")
    url = f"https://localhost:{web.port}/v"

    with pytest.raises(ServiceError, match="ConnectError"):
        load_manifest(_unretried(open_store(url)), version.manifest.version_id())
    monkeypatch.setenv("SSL_CERT_FILE", str(web.ca_file))
    found = load_manifest(open_store(url), version.manifest.version_id())

    assert found == version.manifest


def _unretried(store: Store) -> Store:
    return Store(store.url, store.filesystem, store.root, Patience(attempts=1))


def test_a_certificate_for_another_name_is_refused(web: SimpleNamespace) -> None:
    host = HttpsHost("other.test", web.port, may_be_private=True, resolve=lambda _, __: ["127.0.0.1"])
    store = Store("https://other.test", HttpsFiles(host, web.client_side), "", Patience(attempts=1))
    web.answers.files["/x"] = b"1"

    with pytest.raises(ServiceError, match="ConnectError"):
        store.get("x", max_bytes=1)

    assert web.answers.requests == []


def test_presence_is_asked_by_head_or_where_that_fails_by_one_byte(store: Store, web: SimpleNamespace) -> None:
    web.answers.files |= {"/v/there": b"123", "/v/empty": b""}

    def look() -> list[bool]:
        return [store.exists(name) for name in ("there", "empty", "absent")]

    by_head = look()
    web.answers.knows_head = False
    by_byte = look()

    assert by_head == by_byte == [True, True, False]
    assert ("GET", "/v/there", "bytes=0-0") in web.answers.requests


def test_an_absent_file_is_a_service_error(store: Store, waits: list[float]) -> None:
    with pytest.raises(ServiceError, match="cannot read 'absent': No such file"):
        store.get("absent", max_bytes=10)

    assert waits == []


def test_a_file_larger_than_expected_is_refused(store: Store, web: SimpleNamespace) -> None:
    web.answers.files["/v/big"] = bytes(3_000_000)

    with pytest.raises(IntegrityError, match="larger than the 10 bytes"):
        store.get("big", max_bytes=10)


@pytest.mark.parametrize("status", ["500", "503", "429"])
def test_a_server_that_fails_and_recovers_is_waited_for(
    status: str, store: Store, web: SimpleNamespace, waits: list[float]
) -> None:
    web.answers.files["/v/x"] = b"found"
    web.answers.behaviours["/v/x"] = [status, "truncate"]

    found = store.get("x", max_bytes=10)

    assert found == b"found"
    assert len(waits) == 2


def test_a_server_that_keeps_failing_is_given_up_in_our_own_words(
    store: Store, web: SimpleNamespace, waits: list[float]
) -> None:
    web.answers.behaviours["/v/x"] = ["500"] * 5

    with pytest.raises(ServiceError, match="status 500") as caught:
        store.get("x", max_bytes=10)

    assert len(waits) == 2
    assert "own words" not in str(caught.value)


def test_a_server_that_forbids_is_not_asked_again(store: Store, web: SimpleNamespace, waits: list[float]) -> None:
    web.answers.behaviours["/v/x"] = ["403"] * 5

    with pytest.raises(ServiceError, match="status 403"):
        store.get("x", max_bytes=10)

    assert waits == []


def test_a_broken_download_goes_on_by_range(
    store: Store, web: SimpleNamespace, make_version: Callable, cache: VerifiedCache
) -> None:
    version = make_version(4_000_000)
    (entry,) = version.manifest.columns
    web.answers.files |= version.served("/v")
    web.answers.behaviours[object_path(version)] = ["truncate", "500", "stall"]

    found = cache.read_object(store, entry.digest, entry.size)

    assert found == version.files[0].read_bytes()
    starts = [asked for _, _, asked in web.answers.requests]
    assert starts[0] is None
    # Only whole blocks of what came before the break are kept; nothing before them is asked for again.
    assert all(asked is not None and int(asked[6:-1]) >= 1_000_000 for asked in starts[1:])


def test_a_server_without_ranges_is_read_from_the_beginning(
    store: Store, web: SimpleNamespace, make_version: Callable, cache: VerifiedCache
) -> None:
    version = make_version(4_000_000)
    (entry,) = version.manifest.columns
    web.answers.files |= version.served("/v")
    web.answers.knows_ranges = False
    web.answers.behaviours[object_path(version)] = ["truncate"]

    assert cache.read_object(store, entry.digest, entry.size) == version.files[0].read_bytes()


@pytest.mark.parametrize(("behaviour", "said"), [("lie", "file-digest"), ("more", "file-size")])
def test_a_server_that_lies_is_refused(
    behaviour: str, said: str, store: Store, web: SimpleNamespace, make_version: Callable, cache: VerifiedCache
) -> None:
    version = make_version(1_000)
    (entry,) = version.manifest.columns
    web.answers.files |= version.served("/v")
    web.answers.behaviours[object_path(version)] = [behaviour] * 9

    with pytest.raises(IntegrityError, match=said):
        cache.open_object(store, entry.digest, entry.size)

    assert list((cache.folder / "files").iterdir()) == []


def test_another_range_than_asked_for_is_refused(store: Store, web: SimpleNamespace) -> None:
    web.answers.files["/v/x"] = b"0123456789"
    web.answers.behaviours["/v/x"] = ["wrong-range"]

    with pytest.raises(ServiceError, match="another range"), store.open_stream("x", 4) as blocks:
        list(blocks)


def test_a_stream_past_the_end_is_empty(store: Store, web: SimpleNamespace) -> None:
    web.answers.files["/v/x"] = b"0123456789"

    with store.open_stream("x", 10) as blocks:
        assert list(blocks) == []


def test_a_server_that_stalls_is_given_up(store: Store, web: SimpleNamespace, waits: list[float]) -> None:
    web.answers.files["/v/x"] = b"found"
    web.answers.behaviours["/v/x"] = ["stall"] * 5

    with pytest.raises(ServiceError, match="ReadTimeout"):
        store.get("x", max_bytes=10)

    assert len(waits) == 2


def test_a_redirect_on_the_same_host_is_followed(store: Store, web: SimpleNamespace) -> None:
    web.answers.files["/elsewhere/x"] = b"found"
    web.answers.behaviours["/v/x"] = ["redirect"]
    web.answers.redirect_to = "/elsewhere/x"

    assert store.get("x", max_bytes=10) == b"found"


@pytest.mark.parametrize(
    "target",
    [
        "http://store.test:{port}/x",
        "https://127.0.0.1:{port}/x",
        "https://store.test/x",
        "//other/x",
        "ftp://store.test/x",
    ],
)
def test_a_redirect_to_another_place_is_not_followed(target: str, store: Store, web: SimpleNamespace) -> None:
    web.answers.files["/x"] = b"found"
    web.answers.behaviours["/v/x"] = ["redirect"]
    web.answers.redirect_to = target.format(port=web.port)

    with pytest.raises(ServiceError, match="redirects to another place"):
        store.get("x", max_bytes=10)

    assert len(web.answers.requests) == 1


def test_redirects_without_end_are_given_up(store: Store, web: SimpleNamespace) -> None:
    web.answers.behaviours["/v/x"] = ["redirect"] * 20
    web.answers.redirect_to = "/v/x"

    with pytest.raises(ServiceError, match="more than 3 times"):
        store.get("x", max_bytes=10)


def test_a_name_that_changes_its_address_after_the_check_leads_nowhere_else(web: SimpleNamespace) -> None:
    """DNS rebinding: what was checked is what is connected to, and every request is checked anew."""
    answers = iter([["203.0.113.1", "8.8.8.8"], ["127.0.0.1"]])
    host = HttpsHost("store.test", web.port, may_be_private=False, resolve=lambda _, __: next(answers))
    store = Store("https://store.test", HttpsFiles(host, web.client_side), "", Patience(attempts=1))
    web.answers.files["/x"] = b"inside"

    for _ in range(2):
        with pytest.raises(PolicyError, match="not public"):
            store.get("x", max_bytes=10)

    assert web.answers.requests == []


def test_an_address_of_the_chain_does_not_lead_to_this_machine(
    web: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(web.ca_file))
    web.answers.files["/v/x"] = b"inside"

    for host in ("127.0.0.1", "localhost"):
        url = f"https://{host}:{web.port}/v"
        with pytest.raises(PolicyError, match="not public"):
            open_registered_store(url, StoreAccess()).get("x", max_bytes=10)
        allowed = open_registered_store(url, StoreAccess(private_hosts=frozenset({host})))
        assert allowed.get("x", max_bytes=10) == b"inside"


def test_the_next_address_is_tried_when_one_does_not_answer(web: SimpleNamespace) -> None:
    host = HttpsHost("store.test", web.port, may_be_private=True, resolve=lambda _, __: ["127.0.0.2", "127.0.0.1"])
    store = Store("https://store.test", HttpsFiles(host, web.client_side), "", Patience(attempts=1))
    web.answers.files["/x"] = b"found"

    assert store.get("x", max_bytes=10) == b"found"


def test_a_proxy_of_the_environment_is_not_used(
    store: Store, web: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    web.answers.files["/v/x"] = b"found"

    assert store.get("x", max_bytes=10) == b"found"


def test_the_usual_context_verifies_certificates() -> None:
    store = open_store("https://store.example")

    assert store.filesystem.tls.verify_mode is ssl.CERT_REQUIRED
    assert store.filesystem.tls.check_hostname
