"""The courier: carries one enclave's messages to brokers and stores, and keeps what becomes the public receipt.

The enclave doesn't believe it, and it can't read what passes: keys come sealed, columns encrypted, the result sealed.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from heartify.errors import EnclaveError, HeartifyError, ServiceError, UnreachableError
from heartify.party.http_client import post_json
from heartify.pool.documents import GrantAccess
from heartify.protocol.bundle import ReleaseRecord
from heartify.protocol.canonical import to_bytes
from heartify.protocol.evidence import Evidence
from heartify.protocol.key_release import Challenge, Release, ReleaseRequest

Frame = tuple[dict[str, Any], bytes]
Report = Callable[[str], None]
BROKER_PATIENCE_SECONDS = 60.0
"""How long a broker may be away by default: a restart takes less. Each hospital that stays away costs that time."""


class EnclaveChannel(Protocol):
    """A running enclave as the courier sees it."""

    def send_frame(self, header: dict[str, Any], body: bytes = b"") -> None:
        """Send one frame."""

    def receive_frame(self, timeout_seconds: float) -> Frame:
        """Wait for one frame; raises EnclaveError."""

    def quote(self, report_data: bytes) -> Evidence:
        """Return evidence over 64 bytes of report data."""


class QuoteCollateral(Protocol):
    """Finds the collateral of a quote that hardware signed inside the enclave."""

    def collateral_for_quote(self, tee_kind: str, quote: bytes, *, certificates: str = "") -> str:
        """Return the text of `Evidence.collateral`; `certificates` are PEM of the machine's own, if it has any.

        Raises ServiceError or AttestationError.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class Ending:
    """What an enclave said at the end, and the public record of the key releases."""

    header: dict[str, Any]
    sealed_result: bytes
    releases: tuple[ReleaseRecord, ...]
    collateral: str
    refusals: dict[int, str]


class Courier:
    """Serves the requests of one enclave for one deal."""

    def __init__(
        self,
        enclave: EnclaveChannel,
        deal_id: str,
        grants: tuple[GrantAccess, ...],
        report: Report,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        collateral: QuoteCollateral | None = None,
        broker_patience_seconds: float = BROKER_PATIENCE_SECONDS,
    ) -> None:
        self._patience_seconds = broker_patience_seconds
        self._clock = clock
        self._sleep = sleep
        self._collateral_source = collateral
        self._enclave = enclave
        self._deal_id = deal_id
        self._grants = grants
        self._report = report
        self._nonces: dict[int, str] = {}
        self._refused: set[int] = set()
        self._releases: dict[int, ReleaseRecord] = {}
        self._collateral = ""
        self._refusals: dict[int, str] = {}

    def serve(self, timeout_seconds: float) -> Ending:
        """Serve until the enclave is done; `timeout_seconds` is for the whole run.

        Raises:
            EnclaveError: it died, took too long, or asked for something that no enclave of ours asks for.
        """
        handlers = {
            "challenge": self._challenge,
            "quote": self._quote,
            "collateral": self._find_collateral,
            "release": self._release,
            "file": self._file,
        }
        deadline = self._clock() + timeout_seconds
        while True:
            remaining_seconds = deadline - self._clock()
            if remaining_seconds <= 0:
                raise EnclaveError(f"the run took longer than the {timeout_seconds:g} seconds of its size class")
            header, body = self._enclave.receive_frame(remaining_seconds)
            operation = header.get("op")
            if operation == "done":
                releases = tuple(self._releases[index] for index in sorted(self._releases))
                return Ending(header, body, releases, self._collateral, self._refusals)
            if operation == "step":
                self._report(str(header.get("name")))
                continue
            handler = handlers.get(str(operation))
            if handler is None:
                raise EnclaveError("host-protocol: the enclave sent an unknown request")
            reply, reply_body = self._answer(handler, header)
            self._enclave.send_frame({"op": operation, **reply}, reply_body)

    def _answer(self, handler: Callable[[dict[str, Any]], Frame], header: dict[str, Any]) -> Frame:
        """Answer a request; whatever can't be had is a plain no, and the enclave decides what follows from it."""
        try:
            reply, body = handler(header)
        except (HeartifyError, msgspec.ValidationError, LookupError, TypeError, ValueError) as exc:
            if isinstance(header.get("grant"), int):
                self._refusals[header["grant"]] = exc.message if isinstance(exc, HeartifyError) else type(exc).__name__
            return {"ok": False}, b""
        return {"ok": True, **reply}, body

    def _challenge(self, header: dict[str, Any]) -> Frame:
        index = self._index(header)
        if index in self._refused:
            # An enclave asks again when a release didn't come: after a refusal that would change nothing.
            raise ServiceError(self._refusals.get(index, "the broker refused"))
        answer = self._patiently(lambda: post_json(f"{self._broker_url(index)}/v1/challenges", {"deal": self._deal_id}))
        challenge = msgspec.convert(answer, Challenge)
        self._nonces[index] = challenge.nonce
        return {"challenge": msgspec.to_builtins(challenge)}, b""

    def _quote(self, header: dict[str, Any]) -> Frame:
        evidence = self._enclave.quote(to_bytes(str(header["report_data"])))
        return {"evidence": msgspec.to_builtins(evidence)}, b""

    def _find_collateral(self, header: dict[str, Any]) -> Frame:
        if self._collateral_source is None:
            raise ServiceError("this pool has no source of collateral for hardware", hint="set one at `pool init`")
        quote = to_bytes("0x" + str(header["quote"]))
        kind, certificates = str(header["tee_kind"]), str(header.get("certificates", ""))
        found = self._collateral_source.collateral_for_quote(kind, quote, certificates=certificates)
        return {"collateral": found}, b""

    def _release(self, header: dict[str, Any]) -> Frame:
        index = self._index(header)
        request = msgspec.convert(header["request"], ReleaseRequest)
        try:
            answer = post_json(f"{self._broker_url(index)}/v1/releases", request)
        except UnreachableError:
            raise  # the enclave asks for a new challenge, which waits until the broker is back
        except ServiceError:
            self._refused.add(index)
            raise
        release = msgspec.convert(answer, Release)
        self._collateral = request.evidence.collateral
        self._refusals.pop(index, None)
        self._releases[index] = ReleaseRecord(
            grant=index,
            nonce=self._nonces[index],
            quote="0x" + request.evidence.quote_hex,
            key_receipt_signature=release.key_receipt_signature,
        )
        return {"release": msgspec.to_builtins(release)}, b""

    def _file(self, header: dict[str, Any]) -> Frame:
        return {}, self._grants[self._index(header)].get_file(str(header["file"]))

    def _patiently(self, call: Callable[[], Any]) -> Any:
        """Call a broker until it answers: one that is started again must not cost the lab a hospital.

        Raises:
            UnreachableError: it didn't come back within the pool's patience.
        """
        give_up, pause = self._clock() + self._patience_seconds, 0.5
        while True:
            try:
                return call()
            except UnreachableError:
                if self._clock() + pause > give_up:
                    raise
            self._sleep(pause)
            pause = min(2 * pause, 8.0)

    def _index(self, header: dict[str, Any]) -> int:
        index = header.get("grant")
        if type(index) is not int or not 0 <= index < len(self._grants):
            raise LookupError("the deal has no such grant")
        return index

    def _broker_url(self, index: int) -> str:
        url = self._grants[index].broker_url
        if not url:
            raise EnclaveError(f"grant {index} has no broker address on chain")
        return url
