"""The guest image of a confidential VM: an initial file system with the enclave's files and its init, and nothing else.

    /image/app, site, python, system, bootstrap   the enclave image, as in every other TEE
    /image/guest/guest.py                         the init
    /dev/console, /dev/null                       what the kernel opens for its init
    /proc, /sys                                   empty, for the init to mount on
    <loader folder>                               link to /image/system, where the interpreter expects its loader

Archive and command line depend on the files' content and on nothing of the machine that made them. They aren't the
measurement: that also covers firmware, kernel and the shape of the machine, and is computed by the vendor's tools.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from heartify.errors import EnclaveError
from heartify.tee.confidential_vm.cpio import CpioWriter
from heartify.tee.image import EnclaveImage, FileRole, ImageFile

GUEST_ENTRY: Final = "heartify.enclave.program:run_job"
GUEST_PORT: Final = 5005
_ROOT: Final = "image"
_INIT: Final = f"{_ROOT}/guest/guest.py"
_DEVICES: Final = (("dev/console", 5, 1), ("dev/null", 1, 3))
_EMPTY_FOLDERS: Final = ("proc", "sys")
# No console, so that nothing of the guest can be read there; a kernel that stops must not start again.
_KERNEL_OPTIONS: Final = ("quiet", "loglevel=0", "panic=-1")


def write_guest_image(image: EnclaveImage, target: Path) -> bytes:
    """Write the archive of an enclave image, and return its SHA-256, 32 bytes.

    Raises EnclaveError when a file can't be read, or the image needs another place for its loader than a top folder.
    """
    files = {_path_of(file): file for file in image.files}
    loader_folder = PurePosixPath(image.loader_folder)
    if loader_folder.parent != PurePosixPath("/") or loader_folder.name in {"", _ROOT, "dev", *_EMPTY_FOLDERS}:
        raise EnclaveError(f"guest image: the loader's folder {loader_folder} is not one that a guest can have")
    with target.open("wb") as out:
        archive = CpioWriter(out)
        for folder in sorted({*_folders_of([*files, _INIT, *(path for path, *_ in _DEVICES)]), *_EMPTY_FOLDERS}):
            archive.add_directory(folder)
        for path, major, minor in _DEVICES:
            archive.add_character_device(path, major, minor)
        archive.add_link(loader_folder.name, f"{_ROOT}/{FileRole.SYSTEM.value}")
        for path in sorted(files):
            archive.add_file(path, _read(files[path].source), executable=_is_executable(files[path]))
        archive.add_file(_INIT, _read(Path(__file__).with_name("guest.py")))
        archive.finish()
    with target.open("rb") as written:
        return hashlib.file_digest(written, "sha256").digest()


def build_command_line(image: EnclaveImage, *, entry: str = GUEST_ENTRY, port: int = GUEST_PORT) -> str:
    """Return the kernel's command line: which init, in which environment, with which arguments. It is measured.

    What the kernel doesn't know goes to the init: `NAME=value` as environment, all behind `--` as arguments.
    Raises EnclaveError for a word that the kernel would split or read as an option.
    """
    environment = [
        f"{name}={value.replace('{system}', f'/{_ROOT}/{FileRole.SYSTEM.value}')}" for name, value in image.environment
    ]
    words = [
        f"rdinit=/{_ROOT}/{FileRole.INTERPRETER.value}/python3",
        *_KERNEL_OPTIONS,
        *environment,
        "--",
        *image.arguments,
        f"/{_INIT}",
        entry,
        str(port),
    ]
    for word in words:
        if not word.isascii() or not word.isprintable() or " " in word or '"' in word:
            raise EnclaveError(f"guest command line: {word[:40]!r} can't be a word of it")
    return " ".join(words)


def _path_of(file: ImageFile) -> str:
    return f"{_ROOT}/{file.role.value}/{file.path}"


def _folders_of(paths: list[str]) -> Iterator[str]:
    for path in paths:
        yield from (str(parent) for parent in PurePosixPath(path).parents if str(parent) != ".")


def _is_executable(file: ImageFile) -> bool:
    return file.role is FileRole.INTERPRETER or (file.role is FileRole.SYSTEM and file.path.startswith("ld-"))


def _read(source: Path) -> bytes:
    try:
        return source.read_bytes()
    except OSError as exc:
        raise EnclaveError(f"guest image: {source.name} can't be read") from exc
