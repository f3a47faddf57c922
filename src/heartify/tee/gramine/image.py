"""The enclave image as Gramine runs it: the same files, with Gramine's entry and Gramine's C library.

Under SGX a system call instruction traps and costs thousands of cycles; Gramine brings a glibc that calls it as a
function instead. It replaces the machine's glibc file by file, under the same names, so the image keeps its list.
All of one glibc or none: parts of two builds don't work together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from heartify.errors import EnclaveError
from heartify.tee.image import EnclaveImage, FileRole, ImageFile

GRAMINE_ENTRY = "heartify.enclave.program:run_job"
"""Called with channel and quoter; see `entry`."""
GRAMINE_ENTRY_FILE = "entry.py"
_GLIBC = re.compile(
    r"(ld-linux-(x86-64|aarch64)|lib(c|m|mvec|dl|pthread|rt|util|resolv|anl|nsl|BrokenLocale|thread_db|nss_\w+))\.so\.\d+"
)


def adapt_image_to_gramine(image: EnclaveImage, runtime_folder: Path, *, entry: str = GRAMINE_ENTRY) -> EnclaveImage:
    """Return an image for Gramine, whose patched C library lies in `runtime_folder`.

    Raises:
        EnclaveError: the image is one for debugging, or Gramine lacks a part of the C library that the image has.
    """
    if image.debug:
        raise EnclaveError("a debugging image isn't built for SGX: every verifier would refuse its quotes")
    kept = (file for file in image.files if file.role is not FileRole.BOOTSTRAP)
    own_entry = ImageFile(FileRole.BOOTSTRAP, GRAMINE_ENTRY_FILE, Path(__file__).with_name(GRAMINE_ENTRY_FILE))
    files = (*_with_runtime(kept, runtime_folder), own_entry)
    return replace(image, files=tuple(sorted(files)), entry=entry)


def is_glibc(name: str) -> bool:
    """Say whether a system library of this name is a part of the GNU C library."""
    return _GLIBC.fullmatch(name) is not None


def _with_runtime(files: Iterable[ImageFile], runtime_folder: Path) -> Iterable[ImageFile]:
    for file in files:
        if file.role is not FileRole.SYSTEM or not is_glibc(file.path):
            yield file
            continue
        source = runtime_folder / file.path
        if not source.is_file():
            raise EnclaveError(
                f"Gramine's C library has no {file.path}, which the image needs",
                hint="install Gramine 1.9 with its glibc runtime, or name its folder by --gramine-lib",
            )
        yield replace(file, source=source.resolve())
