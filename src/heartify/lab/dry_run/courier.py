"""The host of a dry run: it answers the enclave's requests as pool and brokers do together.

Its brokers hand out throwaway keys without looking at evidence, because what they open is a public twin. It must never
be given a real version's keys: it holds only what `rehearsal` made.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import Any

import msgspec

from heartify.cohort.storage.version_files import build_fetch
from heartify.errors import DocumentError, EnclaveError, HeartifyError
from heartify.lab.dry_run.rehearsal import REHEARSAL_DOMAIN, Rehearsal, RehearsalHospital
from heartify.protocol.canonical import encode_canonical, to_bytes, to_hex
from heartify.protocol.eip712 import address, bytes32
from heartify.protocol.evidence import Evidence, TeeKind
from heartify.protocol.frames import encode_frame, read_frame, receive_exactly
from heartify.protocol.key_release import (
    Challenge,
    ColumnKeys,
    Release,
    ReleaseRequest,
    release_digest,
    release_info,
)
from heartify.protocol.receipts import KeyReceipt
from heartify.protocol.sealing import seal
from heartify.protocol.signing import address_of, sign_digest

NO_EVIDENCE = Evidence(tee_kind=TeeKind.SIMULATED_SGX.wire_name, quote_hex="00", collateral="{}")
Frame = tuple[dict[str, Any], bytes]


class RehearsalCourier:
    """Serve one enclave over a socket until it has told its ending."""

    def __init__(self, rehearsal: Rehearsal, connection: socket.socket, report: Callable[[str], None]) -> None:
        self._rehearsal = rehearsal
        self._connection = connection
        self._report = report
        self._nonces: dict[int, str] = {}

    def serve(self) -> Frame:
        """Hand in the job, answer requests, and return the frame of the ending.

        Raises:
            EnclaveError: the enclave's program ended without one.
        """
        self._send(self._rehearsal.job())
        while True:
            try:
                header, body = read_frame(lambda count: receive_exactly(self._connection.recv, count))
            except (EOFError, OSError, DocumentError) as exc:
                raise EnclaveError("dry-run: the enclave's program ended without a word") from exc
            if header["op"] == "done":
                return header, body
            if header["op"] == "step":
                self._report(str(header["name"]))
            else:
                self._answer(header)

    def _answer(self, header: dict[str, Any]) -> None:
        operation = str(header["op"])
        answers = {"challenge": self._challenge, "quote": self._quote, "release": self._release, "file": self._file}
        try:
            fields, body = answers[operation](header)
        except HeartifyError:
            self._send({"op": operation, "ok": False})
            return
        self._send({"op": operation, "ok": True, **fields}, body)

    def _challenge(self, header: dict[str, Any]) -> Frame:
        hospital = self._hospital(header)
        self._nonces[header["grant"]] = nonce = to_hex(secrets.token_bytes(32))
        unsigned = Challenge(
            session=secrets.token_hex(16),
            deal=self._rehearsal.deal_id,
            nonce=nonce,
            broker=address_of(hospital.broker_private_key),
            expires=self._rehearsal.deal.deadline,
            signature="0x",
        )
        signature = sign_digest(hospital.broker_private_key, unsigned.signed_digest(REHEARSAL_DOMAIN))
        return {"challenge": msgspec.to_builtins(msgspec.structs.replace(unsigned, signature=signature))}, b""

    def _quote(self, _header: dict[str, Any]) -> Frame:
        return {"evidence": msgspec.to_builtins(NO_EVIDENCE)}, b""

    def _release(self, header: dict[str, Any]) -> Frame:
        hospital, request = self._hospital(header), msgspec.convert(header["request"], ReleaseRequest)
        version, private_key = hospital.version.version_id, hospital.broker_private_key
        columns = self._rehearsal.plan.columns()
        keys = ColumnKeys(
            dataset_version=version, keys={name: to_hex(key) for name, key in hospital.keys.items() if name in columns}
        )
        deal_id = self._rehearsal.deal_id
        nonce = self._nonces[header["grant"]]
        info = release_info(REHEARSAL_DOMAIN, deal_id, version, address_of(private_key), nonce, request.enclave)
        sealed = seal(encode_canonical(keys), to_bytes(request.encryption_public_key), info)
        receipt = KeyReceipt(deal=bytes32(deal_id), datasetVersion=bytes32(version), enclave=address(request.enclave))
        release = Release(
            dataset_version=version,
            sealed_keys=to_hex(sealed),
            release_signature=sign_digest(private_key, release_digest(info, sealed)),
            key_receipt_signature=sign_digest(private_key, receipt.digest(REHEARSAL_DOMAIN)),
        )
        return {"release": msgspec.to_builtins(release)}, b""

    def _file(self, header: dict[str, Any]) -> Frame:
        hospital = self._hospital(header)
        return {}, build_fetch(hospital.store, hospital.version.manifest)(str(header["file"]))

    def _hospital(self, header: dict[str, Any]) -> RehearsalHospital:
        return self._rehearsal.hospitals[int(header["grant"])]

    def _send(self, header: dict[str, Any], body: bytes = b"") -> None:
        self._connection.sendall(encode_frame(header, body))
