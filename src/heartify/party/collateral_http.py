"""HTTP for fetching collateral: the one place where a PCCS or KDS is really called.

What it answers is signed and will be verified, so TLS here guards freshness and what is asked for. Only https, or http
on this machine, unless a setting that says `unsafe` allows more; no redirects, no proxies of the environment, and
bounds on time and size. An extra CA file is for a PCCS with a certificate of its own.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from heartify.attestation.collateral_service.fetching import Answer
from heartify.errors import InputError, ServiceError, UsageError

MAX_ANSWER_BYTES = 1024 * 1024
MAX_HEADER_CHARACTERS = 64 * 1024
TIMEOUT_SECONDS = 15.0


class CollateralHttp:
    """Fetches collateral; an instance is a `Fetch`. Connections are not kept: a fetch happens every few hours."""

    def __init__(
        self,
        *,
        ca_file: Path | None = None,
        unsafe_allow_http: bool = False,
        timeout_seconds: float = TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tls = _build_tls(ca_file)
        self._unsafe_allow_http = unsafe_allow_http
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    def __call__(self, url: str) -> Answer:
        """Get a URL.

        Raises:
            UsageError: its scheme isn't allowed.
            ServiceError: unreachable, redirected, too slow or too large.
        """
        check_service_url(url, unsafe_allow_http=self._unsafe_allow_http)
        give_up = self._clock() + self._timeout_seconds
        try:
            with (
                httpx.Client(
                    timeout=self._timeout_seconds, trust_env=False, follow_redirects=False, verify=self._tls
                ) as client,
                # Identity only: a compressed answer could be small on the wire and endless here.
                client.stream("GET", url, headers={"accept-encoding": "identity"}) as response,
            ):
                return self._read(url, response, give_up)
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise ServiceError(
                f"the collateral service can't be reached at {url} ({type(exc).__name__})",
                hint="is the address right, and its certificate's authority known? see ca_file",
            ) from exc

    def _read(self, url: str, response: httpx.Response, give_up: float) -> Answer:
        if 300 <= response.status_code < 400:
            raise ServiceError(f"the collateral service redirects {url}, which is not followed")
        headers = {name.lower(): value for name, value in response.headers.items()}
        if sum(len(name) + len(value) for name, value in headers.items()) > MAX_HEADER_CHARACTERS:
            raise ServiceError(f"{url} answered with over {MAX_HEADER_CHARACTERS} characters of headers")
        content = bytearray()
        for part in response.iter_raw():
            content += part
            if len(content) > MAX_ANSWER_BYTES:
                raise ServiceError(f"{url} answered with over {MAX_ANSWER_BYTES} bytes")
            if self._clock() > give_up:
                raise ServiceError(f"{url} did not finish its answer in {self._timeout_seconds:g} seconds")
        return Answer(response.status_code, headers, bytes(content))


def check_service_url(url: str, *, unsafe_allow_http: bool = False) -> None:
    """Refuse an address that isn't https, nor http on this machine, nor explicitly allowed. Raises UsageError."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None or not parts.hostname:
        raise UsageError("the collateral service's address must have a host and no user or password")
    if parts.scheme == "https" or (parts.scheme == "http" and (unsafe_allow_http or _is_loopback(parts.hostname))):
        return
    raise UsageError(
        f"the collateral service's address {parts.scheme}://{parts.hostname} is not https",
        hint="use https; http is for this machine, or with unsafe_allow_http = true in collateral.toml",
    )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _build_tls(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError) as exc:
            raise InputError(f"{ca_file} holds no PEM certificates of an authority") from exc
    return context
