"""A built guest: a folder with firmware, kernel, initial file system, command line, and the document that binds them.

    guest.json   {"format": "heartify.confidential-vm/1", "tee_kind": "tdx" | "sev-snp", "memory_mib": …, "cpus": …,
                  "measurement": "<48 bytes, hex>", "files": {"firmware": "<SHA-256>", "kernel": …, …}}

`measurement` is what an app release names, as the vendor's tools computed it for exactly these files and this shape of
machine; nothing here computes it, and a wrong one makes evidence that every broker refuses. The digests keep a pool
from starting something else by mistake. They protect nobody from the pool: the processor's measurement does.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from heartify.errors import EnclaveError, InputError
from heartify.protocol.evidence import TeeKind, parse_tee_kind

DOCUMENT: Final = "guest.json"
FORMAT: Final = "heartify.confidential-vm/1"
FILES: Final = ("firmware", "kernel", "initrd", "cmdline")
_KINDS: Final = TeeKind.TDX | TeeKind.SEV_SNP
_MEASUREMENT: Final = re.compile(r"[0-9a-f]{96}")
_LEAST_MEMORY_MIB, _MOST_CPUS = 1024, 255


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: str
    tee_kind: str
    memory_mib: int
    cpus: int
    measurement: str
    files: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestBuild:
    """A guest that can be started. `memory_bytes` and `cpus` are its shape, which is measured with it."""

    folder: Path
    tee_kind: TeeKind
    memory_bytes: int
    cpus: int
    measurement: bytes
    digests: tuple[tuple[str, bytes], ...]

    def path_of(self, name: str) -> Path:
        """Return the path of `firmware`, `kernel`, `initrd` or `cmdline`."""
        return self.folder / name

    def check_files(self) -> None:
        """Refuse a file that isn't the registered one. Raises EnclaveError."""
        for name, digest in self.digests:
            if _digest_of(self.path_of(name)) != digest:
                raise EnclaveError(
                    f"guest: {name} in {self.folder.name} is not the file that the measurement was registered for",
                    hint="build and measure the guest again",
                )


def register_build(folder: Path, *, tee_kind: TeeKind, memory_mib: int, cpus: int, measurement: bytes) -> GuestBuild:
    """Write the document of a folder that holds the four files. Raises InputError when something of it can't be."""
    document = _Document(
        FORMAT,
        tee_kind.wire_name,
        memory_mib,
        cpus,
        measurement.hex(),
        {name: _digest_of(folder / name).hex() for name in FILES},
    )
    build = _build_of(folder, document)
    (folder / DOCUMENT).write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
    return build


def read_build(folder: Path) -> GuestBuild:
    """Read a folder's document and check its files. Raises InputError for its form, EnclaveError for a changed file."""
    try:
        document = msgspec.json.decode((folder / DOCUMENT).read_bytes(), type=_Document)
    except (OSError, msgspec.MsgspecError) as exc:
        raise InputError(f"{folder.name} holds no registered guest", hint=f"it needs {DOCUMENT}") from exc
    build = _build_of(folder, document)
    build.check_files()
    return build


def _build_of(folder: Path, document: _Document) -> GuestBuild:
    kind = parse_tee_kind(document.tee_kind)
    if document.format != FORMAT or not kind & _KINDS:
        raise InputError(f"{folder.name}: {DOCUMENT} is not a guest of TDX or SEV-SNP in format {FORMAT}")
    if document.memory_mib < _LEAST_MEMORY_MIB or not 1 <= document.cpus <= _MOST_CPUS:
        raise InputError(f"{folder.name}: a guest needs {_LEAST_MEMORY_MIB} MiB and 1 to {_MOST_CPUS} processors")
    if not _MEASUREMENT.fullmatch(document.measurement) or not any(bytes.fromhex(document.measurement)):
        raise InputError(f"{folder.name}: the measurement must be 48 bytes in lower-case hex, and not zeros")
    if sorted(document.files) != sorted(FILES) or not all(
        re.fullmatch("[0-9a-f]{64}", d) for d in document.files.values()
    ):
        raise InputError(f"{folder.name}: {DOCUMENT} must give the SHA-256 of {', '.join(FILES)}")
    return GuestBuild(
        folder=folder.resolve(),
        tee_kind=kind,
        memory_bytes=document.memory_mib * 2**20,
        cpus=document.cpus,
        measurement=bytes.fromhex(document.measurement),
        digests=tuple((name, bytes.fromhex(document.files[name])) for name in FILES),
    )


def _digest_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as exc:
        raise InputError(f"guest: {path.name} can't be read", hint=f"a guest has {', '.join(FILES)}") from exc
