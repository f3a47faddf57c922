"""An address from the chain is followed only where the operator lets it lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from heartify.cohort.storage.https_client import HttpsHost, is_public_address
from heartify.cohort.storage.store import open_registered_store, open_store
from heartify.cohort.storage.store_access import StoreAccess, read_store_access
from heartify.errors import PolicyError, UsageError

CID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"


@pytest.mark.parametrize("address", ["{folder}/x", "file://{folder}/x"])
def test_a_folder_of_this_machine_is_followed_only_where_that_is_allowed(address: str, tmp_path: Path) -> None:
    url = address.format(folder=tmp_path)

    with pytest.raises(PolicyError, match="a folder of this machine"):
        open_registered_store(url, StoreAccess())
    with pytest.raises(PolicyError):
        open_registered_store(url, StoreAccess(local_folders=(tmp_path / "other",)))
    assert open_registered_store(url, StoreAccess(local_folders=(tmp_path,))).is_local


def test_a_link_or_dots_do_not_lead_out_of_an_allowed_folder(tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "link").symlink_to("/etc")
    access = StoreAccess(local_folders=(allowed,))

    for url in (f"{allowed}/link", f"{allowed}/../x", "/etc", "relative/x"):
        with pytest.raises(PolicyError):
            open_registered_store(url, access)


def test_memory_names_nothing_outside_of_the_process_and_is_followed() -> None:
    assert open_registered_store("memory://somewhere", StoreAccess()).list() == ()


def test_the_settings_come_from_the_environment(tmp_path: Path) -> None:
    environment = {
        "HEARTIFY_STORE_FOLDERS": f"{tmp_path}:/srv",
        "HEARTIFY_STORE_PRIVATE_HOSTS": "Store.lan, 10.0.0.7",
        "HEARTIFY_IPFS_GATEWAY": "http://127.0.0.1:8080",
        "HEARTIFY_STORE_SIGNED_S3": "1",
    }

    access = read_store_access(environment)

    assert access == StoreAccess(
        local_folders=(tmp_path.resolve(), Path("/srv")),
        private_hosts=frozenset({"store.lan", "10.0.0.7"}),
        ipfs_gateway="http://127.0.0.1:8080",
        signed_s3=True,
    )
    assert read_store_access({}) == StoreAccess()
    assert read_store_access({}, embedded=True) == StoreAccess(local_folders=(Path("/"),))


@pytest.mark.parametrize(
    "environment", [{"HEARTIFY_STORE_FOLDERS": "relative"}, {"HEARTIFY_STORE_SIGNED_S3": "yes"}], ids=str
)
def test_a_setting_that_makes_no_sense_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        read_store_access(environment)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104 - nothing is bound to it
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "64:ff9b::a00:1",
        "not an address",
    ],
)
def test_an_address_inside_a_network_is_not_public(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_that_everybody_reaches_is_public(address: str) -> None:
    assert is_public_address(address)


def test_a_host_with_one_address_that_is_not_public_is_refused_unless_allowed() -> None:
    def mixed(_: str, __: int) -> list[str]:
        return ["8.8.8.8", "10.0.0.1"]

    with pytest.raises(PolicyError, match="not public"):
        HttpsHost("store.example", 443, may_be_private=False, resolve=mixed).addresses()

    assert HttpsHost("store.example", 443, may_be_private=True, resolve=mixed).addresses() == mixed("", 0)


def test_a_host_without_any_address_fails() -> None:
    with pytest.raises(OSError, match="no address"):
        HttpsHost("store.example", 443, may_be_private=False, resolve=lambda _, __: []).addresses()


def test_a_private_host_of_the_chain_is_allowed_by_its_name_only() -> None:
    access = StoreAccess(private_hosts=frozenset({"127.0.0.1"}))

    allowed = open_registered_store("https://127.0.0.1:1/x", access)
    other = open_registered_store("https://127.0.0.2:1/x", access)

    assert allowed.filesystem.host.addresses() == ["127.0.0.1"]
    with pytest.raises(PolicyError):
        other.filesystem.host.addresses()


@pytest.mark.parametrize(
    "gateway",
    [
        None,
        "",
        "http://gateway.example",
        "http://10.0.0.1:8080",
        "ftp://127.0.0.1",
        "https://u:p@gateway.example",
        "/srv",
    ],
)
def test_ipfs_without_a_usable_gateway_is_refused(gateway: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HEARTIFY_IPFS_GATEWAY", raising=False)

    with pytest.raises(UsageError):
        open_store(f"ipfs://{CID}", ipfs_gateway=gateway)


@pytest.mark.parametrize(
    ("gateway", "root"),
    [
        ("https://gateway.example/base", f"/base/ipfs/{CID}/x"),
        ("http://127.0.0.1:8080", f"/ipfs/{CID}/x"),
        ("http://localhost", f"/ipfs/{CID}/x"),
        ("http://[::1]:8080", f"/ipfs/{CID}/x"),
    ],
)
def test_an_ipfs_address_is_read_below_the_gateway(gateway: str, root: str) -> None:
    store = open_store(f"ipfs://{CID}/x", ipfs_gateway=gateway)

    assert store.root == root
    assert store.is_read_only


def test_a_gateway_comes_from_the_environment_of_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTIFY_IPFS_GATEWAY", "http://127.0.0.1:5")

    assert open_store(f"ipfs://{CID}").filesystem.host.port == 5
    with pytest.raises(UsageError, match="needs a gateway"):
        open_registered_store(f"ipfs://{CID}", StoreAccess())


def test_a_store_that_can_only_be_read_takes_nothing() -> None:
    store = open_store("https://store.example/x")

    for write in (lambda: store.put("a", b""), lambda: store.remove("a"), lambda: store.staging().__enter__()):
        with pytest.raises(UsageError, match="only be read"):
            write()
    with pytest.raises(UsageError, match="can't be listed"):
        store.list()
