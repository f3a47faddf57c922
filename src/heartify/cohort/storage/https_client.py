"""Read a store over https: a small reader of our own on httpx, for hosts that anybody may have named on chain.

fsspec's driver follows redirects anywhere, resolves names by itself and can't be told where not to connect. Here a
name is resolved once, every address of it is checked, and the connection goes to the checked address while TLS still
verifies the name: nothing is left for DNS rebinding. Redirects stay on the host. Sizes are the caller's to bound;
times are bounded here. It reads only, and can't list.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import httpx

from heartify.cohort.storage.failures import AnswerError
from heartify.cohort.storage.s3_client import BLOCK_BYTES, skipping
from heartify.errors import PolicyError, ServiceError

CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0
MAX_REDIRECTS = 3

Resolve = Callable[[str, int], Sequence[str]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def resolve_host(host: str, port: int) -> list[str]:
    """Return the addresses of a host; raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public_address(text: str) -> bool:
    """Tell whether an IP address is reachable by everybody, and hides no address that isn't.

    IPv6 has several ways to write an IPv4 address into itself: mapped, 6to4 (RFC 3056), Teredo (RFC 4380) and NAT64
    (RFC 6052). A scope, as in fe80::1%eth0, is never public.
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        teredo = address.teredo or ()
        inner = [address.ipv4_mapped, address.sixtofour, *teredo]
        if address in _NAT64:
            inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if any(hidden is not None and not is_public_address(str(hidden)) for hidden in inner):
            return False
        if address.ipv4_mapped is not None:
            return True
    return address.is_global and not address.is_multicast


@dataclass(frozen=True, slots=True)
class HttpsHost:
    """One host, and whether it may have addresses that aren't public. `scheme` is http for a loopback gateway only."""

    name: str
    port: int
    may_be_private: bool
    scheme: str = "https"
    resolve: Resolve = field(default=resolve_host, repr=False)

    @property
    def authority(self) -> str:
        """The host and port as in a URL."""
        host = f"[{self.name}]" if ":" in self.name else self.name
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"

    def addresses(self) -> list[str]:
        """Resolve the host.

        Raises PolicyError when one of its addresses is not public and that was not allowed, or OSError.
        """
        found = list(self.resolve(self.name, self.port))
        if not self.may_be_private and not all(is_public_address(address) for address in found):
            raise PolicyError(
                f"the store's host {self.name} has an address that is not public, which is not followed",
                hint="if the host is yours, name it in HEARTIFY_STORE_PRIVATE_HOSTS",
            )
        if not found:
            raise OSError(f"no address for {self.name}")
        return found


@dataclass(frozen=True, slots=True)
class HttpsFiles:
    """The files under one host, by paths that start with a slash."""

    host: HttpsHost
    tls: ssl.SSLContext = field(repr=False)
    read_seconds: float = READ_SECONDS

    def exists(self, path: str) -> bool:
        """Tell whether there is a file; raises OSError or httpx.HTTPError when the host doesn't say."""
        try:
            with self._answer("HEAD", path, {}):
                return True
        except AnswerError as exc:
            if exc.status in {404, 410}:
                return False
            if exc.status not in {405, 501}:
                raise
        try:
            with self._answer("GET", path, {"range": "bytes=0-0"}):
                return True
        except AnswerError as exc:
            if exc.status in {404, 410, 416}:
                return exc.status == 416  # an empty file has no first byte
            raise

    @contextlib.contextmanager
    def stream(self, path: str, start: int) -> Iterator[Iterator[bytes]]:
        """Yield a file's bytes from `start` on, block by block; whoever reads them bounds how many."""
        headers = {"range": f"bytes={start}-"} if start else {}
        try:
            with self._answer("GET", path, headers) as answer:
                yield skipping(answer.iter_raw(BLOCK_BYTES), _bytes_to_skip(answer, start))
        except AnswerError as exc:
            if exc.status == 416 and start:
                yield iter(())  # the file ends before `start`
                return
            if exc.status in {404, 410}:
                raise FileNotFoundError(2, "no such file") from exc
            raise

    @contextlib.contextmanager
    def _answer(self, method: str, path: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        for _ in range(MAX_REDIRECTS + 1):
            with self._request(method, path, headers) as answer:
                if answer.is_success:
                    yield answer
                    return
                if not answer.has_redirect_location:
                    raise AnswerError(answer.status_code)
                path = self._redirected(path, answer.headers["location"])
        raise ServiceError(f"the store's host {self.host.name} redirects more than {MAX_REDIRECTS} times")

    def _redirected(self, path: str, location: str) -> str:
        """Return the path that a redirect leads to.

        Raises ServiceError when it leaves the host: what was checked is this host, and its scheme.
        """
        base = f"{self.host.scheme}://{self.host.authority}"
        target = urlsplit(urljoin(base + path, location))
        if f"{target.scheme}://{target.netloc}" != base:
            raise ServiceError(
                f"the store's host {self.host.name} redirects to another place, which is not followed",
                hint="register the address that it redirects to; an IPFS gateway must serve by path",
            )
        return target.path + (f"?{target.query}" if target.query else "")

    @contextlib.contextmanager
    def _request(self, method: str, path: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """Send one request to the first checked address that answers."""
        addresses = self.host.addresses()
        timeout = httpx.Timeout(self.read_seconds, connect=CONNECT_SECONDS)
        # No proxies or .netrc from the environment: they would connect for us, to what they resolve.
        with httpx.Client(timeout=timeout, trust_env=False, follow_redirects=False, verify=self.tls) as client:
            for address in addresses[:-1]:
                with contextlib.suppress(httpx.ConnectError, httpx.ConnectTimeout):
                    answer = self._send(client, address, method, path, headers)
                    break
            else:
                answer = self._send(client, addresses[-1], method, path, headers)
            try:
                yield answer
            finally:
                answer.close()

    def _send(
        self, client: httpx.Client, address: str, method: str, path: str, headers: dict[str, str]
    ) -> httpx.Response:
        host = f"[{address}]" if ":" in address else address
        request = client.build_request(
            method,
            f"{self.host.scheme}://{host}:{self.host.port}{path or '/'}",
            # Identity only: a compressed answer could be small on the wire and endless here.
            headers={"host": self.host.authority, "accept-encoding": "identity", **headers},
            extensions={"sni_hostname": self.host.name},
        )
        return client.send(request, stream=True)


def _bytes_to_skip(answer: httpx.Response, start: int) -> int:
    """Return how many bytes come before `start`: all, from a server that doesn't know ranges."""
    if answer.status_code != 206:
        return start
    if not answer.headers.get("content-range", "").startswith(f"bytes {start}-"):
        raise ServiceError("the store answered with another range than asked for")
    return 0
