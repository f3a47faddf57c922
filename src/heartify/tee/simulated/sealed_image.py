"""The bytes of an image in sealed memory, from where the sandbox takes them: what was measured is what is executed.

A copy on disk could be changed between its check and its execution, by any process of the same user or by root. Here
each file is read once; what is hashed is what is written into memory that the kernel lets nobody change afterwards
(memfd_create(2), F_SEAL_WRITE), and the sandbox's file system is filled from that memory. No path of the host leads
to a file that an enclave executes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from heartify.errors import EnclaveError
from heartify.tee.image import ImageFile
from heartify.tee.image_copy import ImageCopy
from heartify.tee.measurement import combine_digests

_ALL_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file of an image whose content, in sealed memory, can be read from `descriptor` once."""

    file: ImageFile
    descriptor: int


@contextlib.contextmanager
def seal_image(copy: ImageCopy) -> Iterator[tuple[SealedFile, ...]]:
    """Give the measured bytes of a copy as sealed memory; the descriptors are closed at the end.

    Raises EnclaveError when a file is not what was measured, or this process may not open that many descriptors.
    """
    with contextlib.ExitStack() as stack:
        # Closed also when a later one fails.
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
            sealing = [pool.submit(_seal, file) for file in copy.image.files]
        for one in sealing:
            if one.exception() is None:
                stack.callback(os.close, one.result()[0].descriptor)
        try:
            sealed = [one.result() for one in sealing]
        except OSError as exc:
            raise EnclaveError(
                f"enclave image: it can't be read into memory: {exc.strerror}",
                hint="delete the copy and start again; let the pool open at least 4096 files",
            ) from exc
        if combine_digests(copy.image, (digest for _, digest in sealed)) != copy.measurement:
            raise EnclaveError("enclave image: the private copy is not what was measured", hint="start the pool again")
        yield tuple(file for file, _ in sealed)


def _seal(file: ImageFile) -> tuple[SealedFile, bytes]:
    content = file.source.read_bytes()
    descriptor = os.memfd_create("enclave-file", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as out:
            out.write(content)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _ALL_SEALS)
        os.lseek(descriptor, 0, os.SEEK_SET)
    except BaseException:
        os.close(descriptor)
        raise
    return SealedFile(file, descriptor), hashlib.sha256(content).digest()
