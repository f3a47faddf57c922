"""The two things that the loader of an ELF file asks for: its interpreter and the libraries it needs.

Reads 64-bit little-endian files (System V ABI, chapter 5), which is what x86-64 and AArch64 Linux run.
The files come from this machine's own installation; a malformed one is refused, not repaired.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from heartify.errors import EnclaveError

_MAGIC_64_LITTLE = b"\x7fELF\x02\x01"
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NULL, _DT_NEEDED, _DT_STRTAB = 0, 1, 5
_PROGRAM_HEADER = struct.Struct("<IIQQQQQQ")


@dataclass(frozen=True, slots=True)
class ElfNeeds:
    """`interpreter` is the path of the dynamic loader, if the file names one; `libraries` are DT_NEEDED names."""

    interpreter: str | None
    libraries: tuple[str, ...]


def load_elf_needs(path: Path) -> ElfNeeds | None:
    """Read what an ELF file needs; None when the file is no ELF file. Raises EnclaveError when it is malformed."""
    with path.open("rb") as file:
        if file.read(len(_MAGIC_64_LITTLE)) != _MAGIC_64_LITTLE:
            return None
    try:
        return _parse_needs(path.read_bytes())
    except (struct.error, ValueError, UnicodeDecodeError) as exc:
        raise EnclaveError(f"enclave image: {path.name} is a malformed ELF file") from exc


def _parse_needs(elf: bytes) -> ElfNeeds:
    (table_offset,) = struct.unpack_from("<Q", elf, 32)
    entry_bytes, entry_count = struct.unpack_from("<HH", elf, 54)
    headers = [_PROGRAM_HEADER.unpack_from(elf, table_offset + i * entry_bytes) for i in range(entry_count)]
    interpreter = None
    libraries: tuple[str, ...] = ()
    for kind, _flags, offset, _virtual, _physical, size, *_rest in headers:
        if kind == _PT_INTERP:
            interpreter = elf[offset : offset + size].rstrip(b"\0").decode()
        if kind == _PT_DYNAMIC:
            libraries = _parse_dynamic(elf, elf[offset : offset + size], headers)
    return ElfNeeds(interpreter, libraries)


def _parse_dynamic(elf: bytes, section: bytes, headers: list[tuple[int, ...]]) -> tuple[str, ...]:
    name_offsets = []
    strings_address = None
    for tag, value in struct.iter_unpack("<qQ", section[: len(section) // 16 * 16]):
        if tag == _DT_NULL:
            break
        if tag == _DT_NEEDED:
            name_offsets.append(value)
        if tag == _DT_STRTAB:
            strings_address = value
    if not name_offsets:
        return ()
    if strings_address is None:
        raise ValueError("needed libraries without a string table")
    strings = _file_offset(strings_address, headers)
    return tuple(_text_at(elf, strings + offset) for offset in name_offsets)


def _file_offset(address: int, headers: list[tuple[int, ...]]) -> int:
    for kind, _flags, offset, virtual, _physical, size, *_rest in headers:
        if kind == _PT_LOAD and virtual <= address < virtual + size:
            return address - virtual + offset
    raise ValueError("address outside every segment")


def _text_at(elf: bytes, start: int) -> str:
    return elf[start : elf.index(b"\0", start)].decode()
