"""A store on IPFS behind a gateway on loopback: the gateway serves paths, our digests decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from heartify.cohort.storage.objects import put_object
from heartify.cohort.storage.store import open_registered_store, open_store
from heartify.cohort.storage.store_access import StoreAccess
from heartify.cohort.storage.verified_cache import VerifiedCache
from heartify.cohort.storage.version_files import load_manifest
from heartify.errors import IntegrityError, ServiceError, UsageError

CID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


def test_the_same_version_is_read_from_ipfs_as_from_the_folder_that_was_added(
    plain_web: SimpleNamespace, make_version: Callable, tmp_path: Path
) -> None:
    version, folder = make_version(1_000, 2_000), tmp_path / "store"
    version_id = version.publish(open_store(str(folder)))
    added = {f"/ipfs/{CID}/{path.relative_to(folder)}": path for path in folder.rglob("*") if path.is_file()}
    plain_web.answers.files |= {name: path.read_bytes() for name, path in added.items()}
    access = StoreAccess(ipfs_gateway=f"http://127.0.0.1:{plain_web.port}")
    cache = VerifiedCache(tmp_path / "cache", 10_000)

    store = open_registered_store(f"ipfs://{CID}", access)
    manifest = load_manifest(store, version_id)
    found = [cache.read_object(store, entry.digest, entry.size) for entry in manifest.columns]

    assert found == [path.read_bytes() for path in version.files]
    assert plain_web.answers.hosts == {f"127.0.0.1:{plain_web.port}"}


def test_a_folder_below_the_cid_and_a_base_of_the_gateway_are_kept(plain_web: SimpleNamespace) -> None:
    plain_web.answers.files[f"/base/ipfs/{CID}/stores/aspen/x"] = b"found"
    gateway = f"http://127.0.0.1:{plain_web.port}/base"

    assert open_store(f"ipfs://{CID}/stores/aspen", ipfs_gateway=gateway).get("x", max_bytes=9) == b"found"


def test_a_gateway_that_lies_is_refused(plain_web: SimpleNamespace, make_version: Callable, tmp_path: Path) -> None:
    version = make_version(1_000)
    (entry,) = version.manifest.columns
    plain_web.answers.files |= version.served(f"/ipfs/{CID}")
    plain_web.answers.behaviours[f"/ipfs/{CID}/objects/{entry.object_name}"] = ["lie"]
    folder = version.manifest.version_id().removeprefix("0x")
    plain_web.answers.behaviours[f"/ipfs/{CID}/{folder}/manifest.json"] = ["lie"]
    store = open_store(f"ipfs://{CID}", ipfs_gateway=f"http://127.0.0.1:{plain_web.port}")

    with pytest.raises(IntegrityError, match="manifest-digest"):
        load_manifest(store, version.manifest.version_id())
    with pytest.raises(IntegrityError, match="file-digest"):
        VerifiedCache(tmp_path / "cache", 10_000).read_object(store, entry.digest, entry.size)


def test_a_gateway_that_redirects_to_a_subdomain_is_not_followed(plain_web: SimpleNamespace) -> None:
    plain_web.answers.behaviours[f"/ipfs/{CID}/x"] = ["redirect"]
    plain_web.answers.redirect_to = f"http://{CID}.ipfs.localhost:{plain_web.port}/x"
    store = open_store(f"ipfs://{CID}", ipfs_gateway=f"http://127.0.0.1:{plain_web.port}")

    with pytest.raises(ServiceError, match="redirects to another place"):
        store.get("x", max_bytes=9)


def test_nothing_is_written_to_ipfs(make_version: Callable) -> None:
    version = make_version(10)
    (entry,) = version.manifest.columns

    with pytest.raises(UsageError, match="only be read"):
        put_object(open_store(f"ipfs://{CID}", ipfs_gateway="http://127.0.0.1:1"), version.files[0], entry.digest, 10)
