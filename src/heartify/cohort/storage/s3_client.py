"""The S3 driver: opens a bucket with the operator's own settings, and streams objects in bounded memory.

Endpoint, region and credentials come from the environment or an AWS profile (AWS_ENDPOINT_URL_S3, AWS_DEFAULT_REGION,
AWS_PROFILE ...), never from the store's URL. Retrying is ours alone: the driver's and botocore's are switched off, so
that there is one bound. Nothing that the server sends is believed or kept whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import fsspec
from fsspec.asyn import sync

from heartify.cohort.storage.store_url import StoreUrl
from heartify.errors import UsageError

CONNECT_SECONDS = 10
READ_SECONDS = 60
BLOCK_BYTES = 1024 * 1024

_CONFIG = {
    "connect_timeout": CONNECT_SECONDS,
    "retries": {"total_max_attempts": 1},
    # Checksums as trailers are an extension that many other servers than Amazon's refuse; bodies carry Content-MD5.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


def open_s3(
    url: StoreUrl, *, signed: bool, read_seconds: float = READ_SECONDS
) -> tuple[fsspec.AbstractFileSystem, str]:
    """Open a bucket; without `signed` no credentials are looked for, which reads public buckets only.

    Raises UsageError.
    """
    try:
        import s3fs  # type: ignore[import-untyped]
    except ImportError as exc:  # pragma: no cover - a dependency, unless somebody took it away
        raise UsageError("the S3 driver is not installed", hint="install s3fs") from exc
    filesystem = s3fs.S3FileSystem(
        anon=not signed,
        config_kwargs={**_CONFIG, "read_timeout": read_seconds},
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    filesystem.retries = 1
    return filesystem, url.s3_root


def is_s3(filesystem: object) -> bool:
    """Tell whether a driver is that of S3, without loading it."""
    protocol = getattr(filesystem, "protocol", ())
    return "s3" in ((protocol,) if isinstance(protocol, str) else protocol)


@contextlib.contextmanager
def s3_stream(filesystem: Any, path: str, start: int) -> Iterator[Iterator[bytes]]:
    """Yield an object's bytes from `start` on, block by block."""
    bucket, _, key = path.partition("/")
    ranged = {"Range": f"bytes={start}-"} if start else {}
    try:
        answer = filesystem.call_s3("get_object", Bucket=bucket, Key=key, **ranged)
    except OSError as exc:
        if error_code(exc) != "InvalidRange":
            raise
        yield iter(())  # the object ends before `start`
        return
    body = answer["Body"]
    # A server that doesn't know ranges sends everything from the beginning.
    skip = start if start and not str(answer.get("ContentRange", "")).startswith(f"bytes {start}-") else 0
    try:
        yield skipping(_blocks(filesystem, body), skip)
    finally:
        body.close()


def error_code(error: BaseException) -> str:
    """Return the S3 error code behind an error of the driver, empty when there was no answer."""
    for candidate in (error, error.__cause__):
        response = getattr(candidate, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def skipping(blocks: Iterator[bytes], count: int) -> Iterator[bytes]:
    """Yield what follows the first `count` bytes."""
    for block in blocks:
        if count >= len(block):
            count -= len(block)
            continue
        yield block[count:]
        count = 0


def _blocks(filesystem: Any, body: Any) -> Iterator[bytes]:
    while block := sync(filesystem.loop, body.read, BLOCK_BYTES):
        yield bytes(block)
