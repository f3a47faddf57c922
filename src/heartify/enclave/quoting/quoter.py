"""The port through which an enclave gets evidence of itself, and the two things that every quoter asks its host for.

Which quoter runs is fixed where the enclave is started. A host that could choose would gain nothing: evidence that no
hardware signed is refused by every broker whose policy asks for hardware.
"""

from __future__ import annotations

from typing import Protocol

from heartify.protocol.evidence import Evidence


class Quoter(Protocol):
    """Gives evidence over 64 bytes of report data."""

    def evidence(self, report_data: bytes) -> Evidence | None:
        """Return evidence, or None when it can't be had: then no broker is asked."""
