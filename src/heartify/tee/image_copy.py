"""A private copy of an enclave image, so that the bytes that run are the bytes that were measured.

Each file is read once: what is hashed is what is written. A copy kept between launches is measured again, and checked
for files too many, before it is used. The copy protects against accidents and other users, never against its owner.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from heartify.errors import EnclaveError
from heartify.tee.image import EnclaveImage, ImageFile
from heartify.tee.measurement import combine_digests, hash_files, measure


@dataclass(frozen=True, slots=True)
class ImageCopy:
    """A folder that holds exactly the files of an image, and the measurement of these very files.

    `digests`: the SHA-256 of each file, in the image's order.
    """

    folder: Path
    image: EnclaveImage
    measurement: bytes
    digests: tuple[bytes, ...]


def copy_image(image: EnclaveImage, folder: Path) -> ImageCopy:
    """Copy an image into a folder that doesn't exist yet. Raises EnclaveError for an unreadable source."""
    folder.mkdir(mode=0o755)
    for parent in sorted({_target(folder, file).parent for file in image.files}):
        parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        digests = tuple(pool.map(lambda file: _copy_file(file, _target(folder, file)), image.files))
    return ImageCopy(folder, _relocate(image, folder), combine_digests(image, digests), digests)


def keep_image_copy(image: EnclaveImage, store: Path) -> ImageCopy:
    """Return a copy below `store`, named by its measurement; reused while it is intact, else made again."""
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    if store.stat().st_mode & 0o022:
        raise EnclaveError(f"enclave images: {store} can be written by other users", hint=f"chmod 700 {store}")
    digests = hash_files(image)
    measurement = combine_digests(image, digests)
    folder = store / measurement.hex()
    if folder.is_dir() and _is_intact(image, folder, measurement):
        return ImageCopy(folder, _relocate(image, folder), measurement, digests)
    shutil.rmtree(folder, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix=".making-", dir=store))
    try:
        made = copy_image(image, scratch / "image")
        final = store / made.measurement.hex()
        if not final.is_dir():
            made.folder.rename(final)
        return ImageCopy(final, _relocate(image, final), made.measurement, made.digests)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def check_image_copy(copy: ImageCopy) -> None:
    """Refuse a copy that changed, lost or gained a file since it was measured. Raises EnclaveError."""
    if not _is_intact(copy.image, copy.folder, copy.measurement):
        raise EnclaveError("enclave image: the private copy is not what was measured", hint="delete it and start again")


def _is_intact(image: EnclaveImage, folder: Path, measurement: bytes) -> bool:
    expected = {str(_target(folder, file)) for file in image.files}
    if set(_files_below(folder)) != expected:
        return False
    return measure(_relocate(image, folder)) == measurement


def _files_below(folder: Path) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files_below(Path(entry.path))
        else:
            yield entry.path


def _relocate(image: EnclaveImage, folder: Path) -> EnclaveImage:
    return replace(image, files=tuple(replace(file, source=_target(folder, file)) for file in image.files))


def _target(folder: Path, file: ImageFile) -> Path:
    return folder / file.role.value / file.path


def _copy_file(file: ImageFile, target: Path) -> bytes:
    try:
        content = file.source.read_bytes()
    except OSError as exc:
        raise EnclaveError(f"enclave image: {file.source.name} can't be read") from exc
    mode = 0o555 if file.is_executable else 0o444
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(content)
    return hashlib.sha256(content).digest()
