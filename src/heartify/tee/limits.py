"""Limits on the resources of one enclave process.

They bound what a runaway analysis takes from its host; they protect no data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from heartify.errors import UsageError
from heartify.protocol.size_class import size_class


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveLimits:
    """Address space in bytes (RLIMIT_AS) and processor time in seconds (RLIMIT_CPU). Raises UsageError if absurd."""

    memory_bytes: int = 8 * 1024**3
    cpu_seconds: int = 3600

    def __post_init__(self) -> None:
        # Interpreter, numpy and scipy map about a third of a GiB before the first row.
        if self.memory_bytes < 256 * 1024**2 or self.cpu_seconds < 1:
            raise UsageError("enclave limits: at least 256 MiB of memory and one second of processor time are needed")

    @classmethod
    def for_size_class(cls, number: int) -> Self:
        """Return what a size class promises; an enclave that is given less signs that its host is at fault.

        Raises DocumentError when no class has this number.
        """
        promised = size_class(number)
        return cls(memory_bytes=promised.max_memory_bytes, cpu_seconds=promised.max_seconds)
