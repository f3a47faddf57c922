"""Messages between a launcher and its simulated quoting service, as headers of frames on one socket pair.

The launcher asks; nobody else has an end of the socket. Of a quote's contents the workload gave the 64 bytes of report
data and nothing else: every other member is the launcher's word.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from heartify.attestation.isolation import Isolation
from heartify.attestation.simulated import SimulatedLaunch
from heartify.protocol.evidence import TeeKind, parse_tee_kind

_Hex = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2})*\\Z", max_length=192)]


class QuoteRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A question of the launcher. `registers` as in `SimulatedLaunch`, `isolation` the measures' number."""

    op: Literal["quote"] = "quote"
    tee_kind: str
    registers: Annotated[tuple[_Hex, ...], msgspec.Meta(max_length=4)]
    isolation: Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
    debug: bool
    report_data: _Hex

    @classmethod
    def of(cls, launch: SimulatedLaunch, report_data: bytes) -> QuoteRequest:
        """Put a question together."""
        return cls(
            tee_kind=TeeKind(launch.tee_kind).wire_name,
            registers=tuple(register.hex() for register in launch.registers),
            isolation=int(launch.isolation),
            debug=launch.debug,
            report_data=report_data.hex(),
        )

    def launch(self) -> SimulatedLaunch:
        """Return what the launcher states. Raises DocumentError, EnclaveError when it makes no sense."""
        return SimulatedLaunch(
            parse_tee_kind(self.tee_kind),
            tuple(bytes.fromhex(register) for register in self.registers),
            Isolation(self.isolation),
            self.debug,
        )


class QuoterReady(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The service's first words: it has its keys, and can read no file any more if `files_closed`."""

    op: Literal["ready"]
    files_closed: bool


class QuoterFailed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why it could not start, or could not answer; `error` is the name of a class of `heartify.errors`."""

    op: Literal["failed"]
    error: str
    message: str
    hint: str | None


class QuoteReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The evidence's members."""

    op: Literal["evidence"]
    tee_kind: str
    quote_hex: str
    collateral: str
