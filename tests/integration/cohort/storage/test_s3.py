"""The whole life of a version on real S3 servers: publish, read, break, resume, clean; and servers that misbehave."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from heartify.cohort.storage.failures import Patience
from heartify.cohort.storage.names import object_name
from heartify.cohort.storage.objects import check_stored_version, put_object, stored_size
from heartify.cohort.storage.s3_client import open_s3
from heartify.cohort.storage.s3_upload import PART_BYTES
from heartify.cohort.storage.store import Store, open_registered_store, open_store
from heartify.cohort.storage.store_access import StoreAccess
from heartify.cohort.storage.store_url import parse_store_url
from heartify.cohort.storage.unreferenced import find_unreferenced, remove_unreferenced, remove_version
from heartify.cohort.storage.verified_cache import VerifiedCache
from heartify.cohort.storage.version_files import list_versions, load_manifest, load_stored_dictionary
from heartify.errors import IntegrityError, ServiceError, UsageError

# botocore, aiobotocore and moto use calls of Python and werkzeug that these deprecate: theirs to change.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:botocore"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:aiobotocore"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:moto"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:werkzeug"),
]

PARTS = 5
BIG_BYTES = (PARTS - 1) * PART_BYTES + 12_345
LATER = time.time() + 30 * 86_400


@pytest.fixture(scope="module")
def big_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, int]:
    """A file of five parts, each with other bytes."""
    path = tmp_path_factory.mktemp("big") / "file"
    path.write_bytes(os.urandom(BIG_BYTES))
    return path, hashlib.sha256(path.read_bytes()).hexdigest(), BIG_BYTES


@pytest.fixture
def store(s3: SimpleNamespace) -> Iterator[Store]:
    opened = open_store(s3.url)
    yield opened
    close(opened)


def close(store: Store) -> None:
    store.filesystem.close_session(store.filesystem.loop, store.filesystem.s3)


def unfinished(s3: SimpleNamespace) -> list[str]:
    return [upload["UploadId"] for upload in s3.client.list_multipart_uploads(Bucket=s3.bucket).get("Uploads", [])]


def test_a_version_is_published_read_and_withdrawn(
    store: Store, make_version: Callable, tmp_path: Path, s3: SimpleNamespace
) -> None:
    version = make_version(3_000_000, 77)
    cache = VerifiedCache(tmp_path / "cache", 10_000_000)

    version_id = version.publish(store)
    again = version.publish(store)
    manifest = load_manifest(store, version_id)
    found = [cache.read_object(store, entry.digest, entry.size) for entry in manifest.columns]

    assert again == version_id
    assert list_versions(store) == (version_id,)
    assert load_stored_dictionary(store, version_id, manifest).title == "Small"
    assert found == [path.read_bytes() for path in version.files]
    check_stored_version(store, manifest)
    assert remove_version(store, version_id) == 2
    assert "Contents" not in s3.client.list_objects_v2(Bucket=s3.bucket)


def test_the_operators_calls_work_as_on_a_folder(store: Store) -> None:
    store.put("a/one.json", b"1")
    store.put("a/one.json", b"22")

    assert store.get("a/one.json", max_bytes=2) == b"22"
    assert store.exists("a/one.json")
    assert not store.exists("a/two.json")
    assert store.list() == ("a",)
    assert store.list("a") == ("one.json",)
    with pytest.raises(IntegrityError, match="larger than the 1 bytes"):
        store.get("a/one.json", max_bytes=1)
    with pytest.raises(ServiceError, match="cannot read 'absent'"):
        store.get("absent", max_bytes=1)
    with store.staging() as staging:
        store.put(f"{staging}/manifest.json", b"m")
        store.publish(staging, "final")
    assert store.list("final") == ("manifest.json",)
    store.remove("final")
    assert store.list() == ("a",)


def test_a_stream_starts_anywhere(store: Store) -> None:
    store.put("x", bytes(range(200)))

    def read(start: int) -> bytes:
        with store.open_stream("x", start) as blocks:
            return b"".join(blocks)

    assert read(0) == bytes(range(200))
    assert read(150) == bytes(range(150, 200))
    assert read(200) == b""


def test_a_large_file_is_uploaded_in_parts(store: Store, big_file: tuple[Path, str, int], s3: SimpleNamespace) -> None:
    path, digest, size = big_file
    told: list[int] = []

    put_object(store, path, digest, size, report=told.append)

    assert stored_size(store, object_name(digest)) == size
    assert sum(told) == size
    assert len(told) == PARTS
    assert unfinished(s3) == []
    with store.open_stream(object_name(digest)) as blocks:
        assert hashlib.sha256(b"".join(blocks)).hexdigest() == digest


def test_an_upload_whose_process_is_killed_goes_on_where_it_was(
    s3: SimpleNamespace, big_file: tuple[Path, str, int], wire: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, digest, size = big_file
    line = wire(s3.server.port)
    line.stall_after(3 * PART_BYTES + PART_BYTES // 2)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{line.port}")
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from heartify.cohort.storage.objects import put_object
        from heartify.cohort.storage.store import open_store
        put_object(open_store(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    """)
    process = subprocess.Popen([sys.executable, "-c", script, s3.url, str(path), digest, str(size)])
    assert line.reached.wait(60)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    line.mend()
    left = unfinished(s3)
    store = open_store(s3.url)
    seen_before = stored_size(store, object_name(digest))
    told: list[int] = []

    put_object(store, path, digest, size, report=told.append)

    assert len(left) == 1, "the killed upload left its parts"
    assert seen_before is None, "nothing is visible before it is whole"
    assert stored_size(store, object_name(digest)) == size
    assert line.sent < size - 3 * PART_BYTES + 100_000, "the three parts that were there are not sent again"
    assert unfinished(s3) == []
    assert sum(told) == size
    close(store)


def test_a_connection_that_breaks_midway_is_taken_up_again(
    s3: SimpleNamespace, big_file: tuple[Path, str, int], wire: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, digest, size = big_file
    line = wire(s3.server.port)
    line.cut_after(PART_BYTES + PART_BYTES // 2, times=3)  # once more than the driver's own second try
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{line.port}")
    store = open_store(s3.url)
    waits: list[float] = []
    patient = Store(store.url, store.filesystem, store.root, Patience(sleep=waits.append))

    put_object(patient, path, digest, size)

    assert line.reached.is_set()
    assert waits
    assert stored_size(store, object_name(digest)) == size
    close(store)


def test_parts_of_other_bytes_in_an_unfinished_upload_are_sent_again(
    s3: SimpleNamespace, store: Store, big_file: tuple[Path, str, int]
) -> None:
    path, digest, size = big_file
    key = f"stores/aspen/{object_name(digest)}"
    upload = s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)["UploadId"]
    place = {"Bucket": s3.bucket, "Key": key, "UploadId": upload}
    s3.client.upload_part(**place, PartNumber=1, Body=bytes(PART_BYTES))
    s3.client.upload_part(**place, PartNumber=2, Body=path.read_bytes()[PART_BYTES : 2 * PART_BYTES])

    put_object(store, path, digest, size)

    with store.open_stream(object_name(digest)) as blocks:
        assert hashlib.sha256(b"".join(blocks)).hexdigest() == digest
    assert unfinished(s3) == []


def test_a_file_that_is_not_what_its_digest_says_leaves_nothing(
    s3: SimpleNamespace, store: Store, big_file: tuple[Path, str, int], tmp_path: Path
) -> None:
    for size in (100, BIG_BYTES):
        (tmp_path / "other").write_bytes(bytes(size))
        with pytest.raises(IntegrityError, match="file-digest"):
            put_object(store, tmp_path / "other", big_file[1], size)

    assert stored_size(store, object_name(big_file[1])) is None
    assert unfinished(s3) == []


def test_what_an_aborted_publication_left_is_removed(
    s3: SimpleNamespace, store: Store, make_version: Callable, tmp_path: Path
) -> None:
    version = make_version(100)
    version.publish(store)
    (tmp_path / "extra").write_bytes(b"extra")
    extra = hashlib.sha256(b"extra").hexdigest()
    put_object(store, tmp_path / "extra", extra, 5)
    s3.client.create_multipart_upload(Bucket=s3.bucket, Key=f"stores/aspen/objects/{'ab' * 32}")

    young = find_unreferenced(store, time.time())
    removed = remove_unreferenced(store, LATER)

    assert [item.name for item in young if item.upload is None] == [], "moto gives every upload a date in 2010"
    assert {item.name for item in removed} == {f"objects/{extra}", f"objects/{'ab' * 32}"}
    assert unfinished(s3) == []
    assert not store.exists(f"objects/{extra}")
    check_stored_version(store, version.manifest)


def test_wrong_credentials_are_a_service_error_without_them(
    s3: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, make_version: Callable
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    if s3.server.key_id == "test-key":
        pytest.skip("moto accepts any credentials")
    store = open_store(s3.url)

    with pytest.raises(ServiceError) as caught:
        make_version(10).publish(store)

    assert "secret" not in f"{caught.value.message} {caught.value.hint}"
    close(store)


def test_a_bucket_that_the_chain_names_is_read_without_our_credentials(
    s3: SimpleNamespace, store: Store, make_version: Callable
) -> None:
    version_id = make_version(10).publish(store)
    anonymous = open_registered_store(s3.url, StoreAccess())
    signed = open_registered_store(s3.url, StoreAccess(signed_s3=True))

    assert anonymous.filesystem.anon
    assert load_manifest(signed, version_id).version_id() == version_id
    if s3.server.key_id != "test-key":  # moto gives everything to everybody
        with pytest.raises(ServiceError):
            load_manifest(anonymous, version_id)
    close(signed)
    close(anonymous)


def test_another_servers_lies_are_found_out(store: Store, make_version: Callable, tmp_path: Path) -> None:
    version = make_version(1_000)
    version.publish(store)
    (entry,) = version.manifest.columns
    cache = VerifiedCache(tmp_path / "cache", 10_000)

    for said, bad in (("longer", bytes(1_001)), ("file-digest", bytes(1_000)), ("shorter", bytes(999))):
        store.put(object_name(entry.digest), bad)
        with pytest.raises(IntegrityError, match=said):
            VerifiedCache(cache.folder, 10_000, Patience(sleep=lambda _: None)).read_object(store, entry.digest, 1_000)
        with pytest.raises(IntegrityError, match="file-digest"):
            check_stored_version(store, version.manifest)


def test_a_server_that_fails_and_recovers_is_waited_for(plain_web: SimpleNamespace, monkeypatch) -> None:
    store, waits = against_fake(plain_web, monkeypatch)
    plain_web.answers.files["/bucket/x"] = b"found"
    plain_web.answers.behaviours["/bucket/x"] = ["500", "503", "truncate"]

    found = store.get("x", max_bytes=5)

    assert found == b"found"
    assert len(waits) == 3
    close(store)


def test_a_server_that_stalls_is_given_up(plain_web: SimpleNamespace, monkeypatch) -> None:
    store, waits = against_fake(plain_web, monkeypatch)
    plain_web.answers.files["/bucket/x"] = b"found"
    plain_web.answers.behaviours["/bucket/x"] = ["stall"] * 10

    with pytest.raises(ServiceError, match="cannot read 'x'"):
        store.get("x", max_bytes=5)

    assert len(waits) == 3
    close(store)


def test_a_server_without_ranges_or_with_more_than_asked_is_read_right(plain_web: SimpleNamespace, monkeypatch) -> None:
    store, _ = against_fake(plain_web, monkeypatch)
    plain_web.answers.files["/bucket/x"] = b"0123456789"
    plain_web.answers.knows_ranges = False
    plain_web.answers.behaviours["/bucket/x"] = ["", "more"]

    with store.open_stream("x", 4) as blocks:
        assert b"".join(blocks) == b"456789"
    with pytest.raises(IntegrityError, match="larger than the 10"):
        store.get("x", max_bytes=10)
    close(store)


def against_fake(web: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> tuple[Store, list[float]]:
    """Return a store of a server that does as told, with four attempts and one second for each answer."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{web.port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    filesystem, root = open_s3(parse_store_url("s3://bucket"), signed=False, read_seconds=1)
    waits: list[float] = []
    return Store("s3://bucket", filesystem, root, Patience(attempts=4, sleep=waits.append)), waits


def test_credentials_in_an_s3_url_are_refused() -> None:
    with pytest.raises(UsageError, match="must not hold credentials"):
        open_store("s3://key:secret@bucket/x")
