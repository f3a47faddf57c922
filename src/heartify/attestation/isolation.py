"""What surrounds the process of a simulated TEE, as its launcher states it inside the signed evidence.

Hardware isolates by itself; a simulation only does what the machine lets it. The launcher writes the measures in force
into CONFIGID of a simulated SGX quote (64 bytes) or MRCONFIGID of a simulated TDX quote (48 bytes), where hardware has
zeros; the workload has no say in it. A policy names the measures that it asks for, and the verifier refuses less.

    bytes 0..30   the text "heartify/simulated-isolation/1"
    byte  31      zero
    bytes 32, 33  the measures, 16 bits big endian
    the rest      zero
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag
from typing import Final

from heartify.errors import AttestationError, PolicyError

_TAG: Final = b"heartify/simulated-isolation/1".ljust(32, b"\0")
SGX_CONFIG_ID_BYTES: Final = 64
TDX_CONFIG_ID_BYTES: Final = 48


class Isolation(IntFlag):
    """Measures around a process; each is a bit, so that a policy can ask for some and a launcher state others."""

    NONE = 0
    SANDBOX = 1  # own namespaces: no network, no other process, a file system of the image alone
    SYSTEM_CALL_FILTER = 2  # seccomp: no exec, no fork, no new socket, no tracing
    FILE_RULES = 4  # Landlock: reads of the image, and nothing else
    OWN_USER = 8  # a user id that no account has and no other process runs as
    SEPARATE_QUOTER = 16  # the quoting keys belong to another user id, and are used by a process of that user
    LOCKED_MEMORY = 32  # the process may lock its memory, so that keys aren't swapped out

    @property
    def words(self) -> tuple[str, ...]:
        """Return the measures' names in documents, such as `system-call-filter`."""
        return tuple(_word(measure) for measure in Isolation if measure and measure in self)


def parse_isolation(words: Iterable[str]) -> Isolation:
    """Return the measures of a policy document. Raises PolicyError for an unknown word."""
    found = Isolation.NONE
    for word in words:
        if word not in _MEASURE_OF_WORD:
            raise PolicyError(f"unknown isolation {word[:40]!r}", hint=f"known: {', '.join(_MEASURE_OF_WORD)}")
        found |= _MEASURE_OF_WORD[word]
    return found


def encode_isolation(isolation: Isolation, size: int) -> bytes:
    """Encode the measures for a field of `size` bytes, SGX_CONFIG_ID_BYTES or TDX_CONFIG_ID_BYTES."""
    return (_TAG + int(isolation).to_bytes(2, "big")).ljust(size, b"\0")


def decode_isolation(config_id: bytes) -> Isolation:
    """Return the measures that simulated evidence states. Raises AttestationError when the field states none."""
    isolation = Isolation(int.from_bytes(config_id[32:34], "big") & int(~Isolation.NONE))
    if encode_isolation(isolation, len(config_id)) != config_id:
        raise AttestationError("simulated evidence does not state what isolated its process")
    return isolation


def _word(measure: Isolation) -> str:
    return str(measure.name).lower().replace("_", "-")


_MEASURE_OF_WORD: Final = {_word(measure): measure for measure in Isolation if measure}
