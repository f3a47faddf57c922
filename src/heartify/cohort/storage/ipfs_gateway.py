"""Read `ipfs://CID/path` through an HTTP gateway that the operator names; there is no default one.

The gateway is not believed: manifest, dictionary and files are checked by our own digests, so the CID only says where
to look. Paths are served as <gateway>/ipfs/<CID>/<path> (IPFS HTTP Gateways, "Path Gateway Specification").
"""

from __future__ import annotations

import ipaddress
import ssl
from urllib.parse import urlsplit

from heartify.cohort.storage.https_client import HttpsFiles, HttpsHost
from heartify.cohort.storage.store_url import StoreUrl, parse_store_url
from heartify.errors import UsageError

_HINT = "set HEARTIFY_IPFS_GATEWAY, such as http://127.0.0.1:8080 of an own node, or https://gateway.example"


def open_ipfs(url: StoreUrl, gateway: str | None) -> tuple[HttpsFiles, str]:
    """Open a folder of IPFS behind a gateway.

    Raises UsageError when there is no gateway, or it is neither https nor plain http on this machine.
    """
    if gateway is None:
        raise UsageError("an ipfs:// store needs a gateway to read through, and none is set", hint=_HINT)
    host, base = _gateway(gateway)
    return HttpsFiles(host, ssl.create_default_context()), f"{base}/ipfs/{url.host}{url.path}"


def _gateway(text: str) -> tuple[HttpsHost, str]:
    # The operator named it, so it may be on a private network.
    if not text.startswith("http://"):
        url = parse_store_url(text)
        if url.kind != "https":
            raise UsageError("the IPFS gateway is not an http address", hint=_HINT)
        return HttpsHost(url.host, url.port, may_be_private=True), url.path
    # The same grammar, but for the scheme and its usual port.
    url = parse_store_url("https://" + text.removeprefix("http://"))
    port = urlsplit(text).port or 80
    if not _is_loopback(url.host):
        raise UsageError("an IPFS gateway on another machine must be https", hint=_HINT)
    return HttpsHost(url.host, port, may_be_private=True, scheme="http"), url.path


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
