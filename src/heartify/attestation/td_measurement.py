"""The measurement of a trust domain: one 48-byte value for the four registers that say which software it booted.

    SHA-384("heartify/td-measurement/v1" || MRTD || RTMR0 || RTMR1 || RTMR2)

MRTD is the firmware, RTMR0 its configuration, RTMR1 the kernel, RTMR2 command line and initial file system (Intel TDX
virtual firmware design guide). An app release names this value, since a release with four would be four chances to
approve a part and forget another. RTMR3 belongs to whoever runs inside, and is checked apart.
"""

from __future__ import annotations

import hashlib
from typing import Final

from heartify.errors import AttestationError

TD_REGISTER_BYTES: Final = 48
_TAG: Final = b"heartify/td-measurement/v1"


def td_measurement(*, mr_td: bytes, rtmr0: bytes, rtmr1: bytes, rtmr2: bytes) -> bytes:
    """Return the measurement, 48 bytes. Raises AttestationError for a register that hasn't 48 bytes."""
    registers = (mr_td, rtmr0, rtmr1, rtmr2)
    if any(len(register) != TD_REGISTER_BYTES for register in registers):
        raise AttestationError(f"a register of a trust domain must have {TD_REGISTER_BYTES} bytes")
    return hashlib.sha384(_TAG + b"".join(registers)).digest()
