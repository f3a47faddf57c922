"""Names and URLs of stores: whatever is accepted stays in its place and has one meaning; all else is refused."""

from __future__ import annotations

import posixpath
from pathlib import Path
from urllib.parse import unquote

from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.cohort.storage.https_client import is_public_address
from heartify.cohort.storage.names import check_name, digest_hex
from heartify.cohort.storage.store import open_registered_store, open_store
from heartify.cohort.storage.store_access import StoreAccess
from heartify.cohort.storage.store_url import STORE_KINDS, StoreUrl, parse_store_url
from heartify.errors import HeartifyError, PolicyError, UsageError

MARKS = (".. . / // \\ %2e %2F %5c %00 %25 :: : @ ? # ~ $ :80 ://", "a x-1 file s3 https ipfs memory http localhost")
HOSTS = "10.0.0.1 [::1] QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG é"
PIECES = st.sampled_from([*" ".join((*MARKS, HOSTS)).split(), " ", "\n", "\x00"])
ADDRESSES = st.one_of(
    st.text(max_size=60),
    st.lists(PIECES, max_size=10).map("".join),
    st.builds(
        lambda kind, rest: f"{kind}://{''.join(rest)}",
        st.sampled_from(sorted(STORE_KINDS | {"http"})),
        st.lists(PIECES, max_size=8),
    ),
)


@given(st.one_of(st.text(max_size=40), st.lists(PIECES, max_size=8).map("".join)))
def test_a_name_that_is_accepted_stays_inside_the_store(name: str) -> None:
    try:
        accepted = check_name(name)
    except UsageError:
        return

    joined = posixpath.normpath(posixpath.join("/base/store", accepted))
    assert joined == f"/base/store/{name}"
    assert "%" not in name
    assert "\\" not in name


@given(st.text(max_size=70))
def test_only_a_digest_names_a_file(text: str) -> None:
    try:
        found = digest_hex(text)
    except UsageError:
        return

    assert len(found) == 64
    assert set(found) <= set("0123456789abcdef")


@given(ADDRESSES)
def test_an_address_is_understood_or_refused_and_has_no_second_meaning(text: str) -> None:
    try:
        url = parse_store_url(text)
    except UsageError:
        return

    assert url.kind in STORE_KINDS
    if url.kind in {"s3", "https", "ipfs"}:
        plain = unquote(url.path)
        assert "@" not in url.host
        assert posixpath.normpath(f"/r{plain}") == f"/r{plain}"
        assert not set("?#\\\n\x00") & set(plain)
        assert parse_store_url(_spelt(url)) == url
    if url.kind == "memory":
        assert posixpath.normpath(url.path).lstrip("/") == posixpath.normpath(url.path.lstrip("/"))


@settings(deadline=None)
@given(ADDRESSES.filter(lambda text: "s3://" not in text))
def test_an_address_of_the_chain_never_opens_a_folder(text: str) -> None:
    try:
        store = open_registered_store(text, StoreAccess(ipfs_gateway="http://127.0.0.1:1"))
    except (UsageError, PolicyError):
        return

    assert not store.is_local


@settings(deadline=None)
@given(ADDRESSES.filter(lambda text: "s3://" not in text), st.lists(PIECES, max_size=8).map("".join))
def test_an_opened_store_joins_only_names_below_its_root(text: str, name: str) -> None:
    try:
        store = open_store(text, ipfs_gateway="http://127.0.0.1:1")
        path = store.path_of(name)
    except HeartifyError:
        return

    assert path == f"{store.root.rstrip('/')}/{name}"
    if store.is_local:
        assert Path(path).is_relative_to(store.root)


@given(st.one_of(st.text(max_size=20), st.ip_addresses().map(str)))
def test_an_address_that_is_public_is_one_of_the_internet(text: str) -> None:
    if is_public_address(text):
        assert not text.startswith(("10.", "127.", "192.168.", "169.254.", "0.", "fe80", "fc", "fd", "::1"))


def _spelt(url: StoreUrl) -> str:
    if url.kind != "https":
        return f"{url.kind}://{url.host}{url.path}"
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"https://{host}:{url.port}{url.path}"
