"""Parse a store's URL into one of a closed list of kinds.

A store's URL goes on chain, where everybody reads it and anybody can write one. So it never holds credentials, and it
leads to a folder, a bucket or a host and nowhere else: no drivers chained by `::`, no archives, no shells, no query.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args
from urllib.parse import SplitResult, unquote, urlsplit

from heartify.errors import UsageError

Kind: TypeAlias = Literal["file", "memory", "s3", "https", "ipfs"]

STORE_KINDS: frozenset[str] = frozenset(get_args(Kind))
"""Kinds of store URL. Drivers that read from archives, repositories, shells or plain http hosts inside a network are
not for a reader to be sent to."""

MAX_URL_CHARACTERS = 400
_MAX_SEGMENTS = 32

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]*")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_KEY_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+")
_URL_SEGMENT = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})+")
_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*\.?")
# CIDv0 is base58 of a SHA-256 multihash; CIDv1 usually base32 in lower case (multibase prefix b). Our digests decide
# what is right, so the CID's own digest is not checked here.
_CID = re.compile(r"Qm[1-9A-HJ-NP-Za-km-z]{44}|b[a-z2-7]{20,120}|z[1-9A-HJ-NP-Za-km-z]{20,120}|k[0-9a-z]{20,120}")


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """Where a store lies. `host` is a bucket, a host or a CID by kind; `path` is without a slash at the end."""

    kind: Kind
    path: str
    host: str = ""
    port: int = 443

    @property
    def s3_root(self) -> str:
        """The bucket and the prefix as the S3 driver wants them."""
        return f"{self.host}{self.path}"


def parse_store_url(text: str) -> StoreUrl:
    """Parse a store's URL, or the path of a local folder.

    Raises UsageError. The message never repeats the URL, which might hold a secret.
    """
    if not text or len(text) > MAX_URL_CHARACTERS or not _PRINTABLE.fullmatch(text):
        raise UsageError(f"a store's URL has 1 to {MAX_URL_CHARACTERS} printable characters")
    scheme = _SCHEME.match(text)
    if "::" in text and (scheme is None or scheme[1] != "https"):
        raise _unsupported()
    if scheme is None:
        return StoreUrl("file", text.rstrip("/") or "/")
    kind = scheme[1]
    if kind == "file":
        return StoreUrl("file", _absolute(text.removeprefix("file://")))
    if kind == "memory":
        return StoreUrl("memory", _memory_path(text.removeprefix("memory://")))
    if kind not in STORE_KINDS:
        raise _unsupported()
    return _PARSERS[kind](_split(text))


def _split(text: str) -> SplitResult:
    """Split a URL with an authority, and refuse what a store's URL must not have."""
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError as exc:
        raise UsageError("the store's URL is malformed") from exc
    if "@" in parts.netloc:
        raise UsageError(
            "a store's URL must not hold credentials: it goes on chain, where everybody reads it",
            hint="give them by the environment or by an AWS profile, and replace those that stood in the URL",
        )
    if "?" in text or "#" in text:
        raise UsageError(
            "a store's URL must not have a query or a fragment", hint="signed links hold a secret; it goes on chain"
        )
    if "\\" in text or not text.isascii() or " " in text:
        raise UsageError("a store's URL must be plain ASCII without spaces or \\", hint="encode others as %XX")
    return parts


def _s3(parts: SplitResult) -> StoreUrl:
    if not _BUCKET.fullmatch(parts.netloc) or ".." in parts.netloc:
        raise UsageError("an S3 URL is s3://bucket/prefix", hint="the endpoint belongs in AWS_ENDPOINT_URL_S3")
    return StoreUrl("s3", _segments(parts.path, _KEY_SEGMENT), host=parts.netloc)


def _https(parts: SplitResult) -> StoreUrl:
    host = (parts.hostname or "").lower()
    if not _is_host(host) or parts.port == 0:
        raise UsageError("an https URL is https://host[:port]/path")
    return StoreUrl("https", _segments(parts.path, _URL_SEGMENT), host=host, port=parts.port or 443)


def _ipfs(parts: SplitResult) -> StoreUrl:
    # Not parts.hostname: it is in lower case, and CIDs in base58 are not.
    if not _CID.fullmatch(parts.netloc):
        raise UsageError("an IPFS URL is ipfs://CID or ipfs://CID/path", hint="the CID is what `ipfs add` prints")
    return StoreUrl("ipfs", _segments(parts.path, _URL_SEGMENT), host=parts.netloc)


_PARSERS = {"s3": _s3, "https": _https, "ipfs": _ipfs}


def _absolute(path: str) -> str:
    if not path.startswith("/"):
        raise UsageError("a file URL is file:///absolute/path")
    return path.rstrip("/") or "/"


def _memory_path(path: str) -> str:
    if not path.strip("/") or any(segment in {".", ".."} for segment in path.split("/")):
        raise UsageError("a memory URL is memory://name")
    return "/" + path.strip("/")


def _segments(path: str, allowed: re.Pattern[str]) -> str:
    """Return a path without a slash at the end, in which no segment changes the place."""
    trimmed = path.removeprefix("/").removesuffix("/")
    segments = trimmed.split("/") if trimmed else []
    for segment in segments:
        plain = unquote(segment)
        unsafe = plain in {"", ".", ".."} or any(mark in plain for mark in "/\\%") or not plain.isprintable()
        if unsafe or not allowed.fullmatch(segment):
            raise UsageError("the path of a store's URL has a segment that is empty, dotted or has unsafe characters")
    if len(segments) > _MAX_SEGMENTS:
        raise UsageError(f"the path of a store's URL has more than {_MAX_SEGMENTS} segments")
    return "".join(f"/{segment}" for segment in segments)


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        # A name whose last label is a number is read as an IPv4 address by some resolvers (2130706433, 0x7f.1, 127.1).
        last = host.rstrip(".").rpartition(".")[2]
        numeric = last.isdigit() or bool(re.fullmatch(r"0x[0-9a-f]*", last))
        return len(host) <= 253 and bool(_HOST.fullmatch(host)) and not numeric
    return "%" not in host


def _unsupported() -> UsageError:
    kinds = ", ".join(sorted(STORE_KINDS))
    return UsageError("this kind of store URL is not supported", hint=f"a folder, or one of {kinds}")
