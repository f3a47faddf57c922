"""A store's URL is one of five kinds, holds no secret, and leads to one place."""

from __future__ import annotations

import pytest

from heartify.cohort.storage.store_url import StoreUrl, parse_store_url
from heartify.errors import UsageError

CID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
CID_0 = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/stores/aspen/", StoreUrl("file", "/srv/stores/aspen")),
        ("stores/my aspen", StoreUrl("file", "stores/my aspen")),
        ("file:///srv/a#b", StoreUrl("file", "/srv/a#b")),
        ("memory://x/y/", StoreUrl("memory", "/x/y")),
        ("s3://hospital-bucket", StoreUrl("s3", "", host="hospital-bucket")),
        ("s3://hospital-bucket/a/b_c/", StoreUrl("s3", "/a/b_c", host="hospital-bucket")),
        ("https://Store.Example/v1/", StoreUrl("https", "/v1", host="store.example")),
        ("https://store.example:8443", StoreUrl("https", "", host="store.example", port=8443)),
        ("https://[2001:db8::1]/a%20b", StoreUrl("https", "/a%20b", host="2001:db8::1")),
        (f"ipfs://{CID}", StoreUrl("ipfs", "", host=CID)),
        (f"ipfs://{CID_0}/stores/aspen", StoreUrl("ipfs", "/stores/aspen", host=CID_0)),
    ],
)
def test_each_kind_of_url_is_understood(text: str, expected: StoreUrl) -> None:
    assert parse_store_url(text) == expected


def test_the_root_of_a_bucket_and_a_prefix_are_the_drivers_paths() -> None:
    assert parse_store_url("s3://bucket/a/b").s3_root == "bucket/a/b"
    assert parse_store_url("s3://bucket/").s3_root == "bucket"


@pytest.mark.parametrize(
    "text",
    ["s3://AKIA:secret@bucket/x", "https://user:secret@host/x", "https://secret@host/x", f"ipfs://u:secret@{CID}/x"],
)
def test_credentials_in_a_url_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="must not hold credentials") as caught:
        parse_store_url(text)

    assert "secret" not in f"{caught.value.message} {caught.value.hint}".replace("hold a secret", "")


@pytest.mark.parametrize(
    "text", ["https://h.example/x?X-Amz-Signature=ab", "s3://bucket/x?versionId=1", "https://h.example/#a"]
)
def test_a_query_or_a_fragment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="query or a fragment"):
        parse_store_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "https://h.example/a/../b",
        "https://h.example/a/%2e%2E/b",
        "https://h.example/a%2fb",
        "https://h.example/a%5cb",
        "https://h.example/a%00b",
        "https://h.example/%252e%252e/b",
        "https://h.example/a//b",
        "https://h.example/./b",
        "s3://bucket/../other",
        "s3://bucket/a%2e",
        "https://h.example" + "/a" * 40,
        f"ipfs://{CID}/../x",
    ],
)
def test_a_path_that_may_lead_elsewhere_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="the path of a store's URL"):
        parse_store_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 401,
        "/srv/a\nb",
        "https:///path",
        "https://-h.example/",
        "https://h_x.example/",
        "https://h.example:0/",
        "https://h.example:99999/",
        "https://h.example:x/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://h.example/a b",
        "https://h.example/a\\b",
        "https://höst.example/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://127.1/",
        "s3://UPPER/x",
        "s3://a..b/x",
        "s3://bucket:9000/x",
        "s3:///x",
        "ipfs://not-a-cid/x",
        "ipfs://",
        "file://host/share",
        "file://",
        "memory://",
        "memory://a/../b",
        "HTTPS://h.example/",
        "http://127.0.0.1/",
        "https://h.example/x::file:///etc",
        "file:///a::b",
    ],
)
def test_what_is_no_url_of_a_store_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_store_url(text)
