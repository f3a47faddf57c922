"""Upload one file to S3 under its digest, in parts, and go on where a killed upload stopped.

Parts are cut by the file's size alone, so the next call finds the same ones. A part that the unfinished upload has is
kept when its ETag is the MD5 of our bytes, otherwise it is sent again (with SSE-KMS an ETag is no MD5). The object
appears when the upload is completed, and that happens only after the local bytes had the SHA-256 of its name.
S3 API reference: CreateMultipartUpload, ListMultipartUploads, ListParts, UploadPart, CompleteMultipartUpload.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from heartify.cohort.storage.failures import Patience
from heartify.errors import IntegrityError

PART_BYTES = 8 * 1024 * 1024
MAX_PARTS = 10_000
_RESTARTS = 3
_PAGES = 10 + 1

Report = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class S3Target:
    """One object in the making: how to reach it, and how to retry."""

    filesystem: Any
    path: str
    patience: Patience

    def call(self, operation: str, **arguments: Any) -> Any:
        """Call the S3 API for this object, again where that may help."""
        bucket, _, key = self.path.partition("/")
        return self.patience.run(
            lambda: self.filesystem.call_s3(operation, Bucket=bucket, Key=key, **arguments),
        )

    def unfinished(self) -> list[str]:
        """Return the ids of unfinished uploads of this object, the newest first; none when the server can't tell."""
        bucket, _, key = self.path.partition("/")
        try:
            answer = self.patience.run(
                lambda: self.filesystem.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
            )
        except (OSError, NotImplementedError):
            return []  # an upload from the beginning is always right
        uploads = [upload for upload in answer.get("Uploads", []) if upload.get("Key") == key]
        uploads.sort(key=lambda upload: str(upload.get("Initiated", "")), reverse=True)
        return [str(upload["UploadId"]) for upload in uploads]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """The file to upload, and what its bytes must be."""

    path: Path
    digest_hex: str
    size: int

    @property
    def part_bytes(self) -> int:
        """Bytes of each part but the last."""
        return max(PART_BYTES, -(-self.size // MAX_PARTS))

    def blocks(self, file: BinaryIO, length: int) -> Iterator[bytes]:
        """Yield the file in pieces.

        Raises IntegrityError at the end when the bytes were not those of the digest.
        """
        digest, total = hashlib.sha256(), 0
        while block := file.read(length):
            digest.update(block)
            total += len(block)
            yield block
        if total != self.size or digest.hexdigest() != self.digest_hex:
            raise IntegrityError("file-digest: the file to upload is not the one that its name says")


def upload_to_s3(target: S3Target, source: LocalFile, report: Report) -> None:
    """Upload a file; raises IntegrityError when it isn't what its digest says, or the driver's error."""
    if source.size <= source.part_bytes:
        _upload_whole(target, source, report)
        return
    counted = _CountOnce(report)
    for _ in range(_RESTARTS - 1):
        # Somebody else may complete or abort the upload that this one continues: then look again from the beginning.
        with contextlib.suppress(FileNotFoundError):
            _upload_parts(target, source, counted)
            return
        if _is_there(target, source.size):
            return
    _upload_parts(target, source, counted)


def _upload_whole(target: S3Target, source: LocalFile, report: Report) -> None:
    with source.path.open("rb") as file:
        data = b"".join(source.blocks(file, source.part_bytes))
    target.call("put_object", Body=data, ContentMD5=_content_md5(data))
    report(len(data))


def _upload_parts(target: S3Target, source: LocalFile, report: _CountOnce) -> None:
    unfinished = target.unfinished()
    upload = unfinished[0] if unfinished else str(target.call("create_multipart_upload")["UploadId"])
    there = _parts_of(target, upload) if unfinished else {}
    parts = []
    try:
        with source.path.open("rb") as file:
            for number, block in enumerate(source.blocks(file, source.part_bytes), start=1):
                etag = there.get((number, len(block), _md5_hex(block))) or _send(target, upload, number, block)
                parts.append({"PartNumber": number, "ETag": etag})
                report.up_to(number, len(block))
    except IntegrityError:
        _abort(target, upload)
        raise
    target.call("complete_multipart_upload", UploadId=upload, MultipartUpload={"Parts": parts})
    for stale in unfinished[1:]:
        _abort(target, stale)


def _send(target: S3Target, upload: str, number: int, block: bytes) -> str:
    sent = target.call("upload_part", UploadId=upload, PartNumber=number, Body=block, ContentMD5=_content_md5(block))
    return str(sent["ETag"])


def _parts_of(target: S3Target, upload: str) -> dict[tuple[int, int, str], str]:
    """Return what an unfinished upload has: (number, size, MD5) → ETag."""
    found: dict[tuple[int, int, str], str] = {}
    marker = 0
    for _ in range(_PAGES):
        answer = target.call("list_parts", UploadId=upload, PartNumberMarker=marker)
        for part in answer.get("Parts", []):
            found[part["PartNumber"], part["Size"], str(part["ETag"]).strip('"')] = part["ETag"]
        if not answer.get("IsTruncated"):
            break
        marker = int(answer.get("NextPartNumberMarker", 0))
    return found


def _abort(target: S3Target, upload: str) -> None:
    with contextlib.suppress(OSError):  # it costs storage, not correctness; remove_unreferenced looks for it again
        target.call("abort_multipart_upload", UploadId=upload)


def _is_there(target: S3Target, size: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return bool(target.call("head_object")["ContentLength"] == size)
    return False


@dataclass(slots=True)
class _CountOnce:
    """Reports the bytes of each part once, however often the upload starts again."""

    report: Report
    counted: int = 0

    def up_to(self, number: int, length: int) -> None:
        if number > self.counted:
            self.counted = number
            self.report(length)


def _md5_hex(block: bytes) -> str:
    return hashlib.md5(block, usedforsecurity=False).hexdigest()


def _content_md5(block: bytes) -> str:
    return base64.b64encode(hashlib.md5(block, usedforsecurity=False).digest()).decode()
