"""A simulated PCCS: a simulated platform's collateral in the form of Intel's API, version 4.

For tests and trials, so that fetching, caching and refusing run for real without Intel. It is pure: a path and its
query in, an answer out; who listens is elsewhere. What it serves is signed by a simulated root and proves nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import parse_qs, quote, urlsplit

from heartify.attestation.collateral_service.fetching import NOT_FOUND, Answer
from heartify.attestation.collateral_service.pccs_client import API_PATH

_TDX_PATH = "/tdx/certification/v4"
_JSON = {"content-type": "application/json"}
CollateralMembers = dict[str, str]


class UnsafeSimulatedPccs:
    """Answers for one platform; `collateral_of` issues its collateral by TEE, `sgx` or `tdx`, None for no such TEE."""

    def __init__(self, fmspc: bytes, collateral_of: Callable[[str], str | None]) -> None:
        self._fmspc = fmspc.hex().upper()
        self._collateral_of = collateral_of

    def answer(self, path_and_query: str) -> Answer:
        """Answer one GET request as a PCCS does; 404 for what isn't of this platform."""
        parts = urlsplit(path_and_query)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        tee, path = ("tdx", parts.path.removeprefix(_TDX_PATH)) if parts.path.startswith(_TDX_PATH) else ("sgx", "")
        if tee == "sgx":
            path = parts.path.removeprefix(API_PATH) if parts.path.startswith(API_PATH) else ""
        issued = self._collateral_of(tee)
        members: CollateralMembers = {} if issued is None else json.loads(issued)
        if not members:
            return _no_such_thing()
        if path == "/tcb" and query.get("fmspc", "").upper() == self._fmspc:
            return _tcb(members)
        if path == "/qe/identity":
            return _identity(members)
        if path == "/pckcrl" and query.get("ca") == "platform" and tee == "sgx":
            return _crl(members)
        if path == "/rootcacrl" and tee == "sgx":
            return Answer(200, {"content-type": "application/pkix-crl"}, members["root_ca_crl"].encode())
        return _no_such_thing()


def _tcb(members: CollateralMembers) -> Answer:
    body = f'{{"tcbInfo":{members["tcb_info"]},"signature":"{members["tcb_info_signature"]}"}}'
    chain = quote(members["tcb_info_issuer_chain"])
    return Answer(200, {**_JSON, "tcb-info-issuer-chain": chain, "sgx-tcb-info-issuer-chain": chain}, body.encode())


def _identity(members: CollateralMembers) -> Answer:
    body = f'{{"enclaveIdentity":{members["qe_identity"]},"signature":"{members["qe_identity_signature"]}"}}'
    headers = {**_JSON, "sgx-enclave-identity-issuer-chain": quote(members["qe_identity_issuer_chain"])}
    return Answer(200, headers, body.encode())


def _crl(members: CollateralMembers) -> Answer:
    chain = quote(members["pck_crl_issuer_chain"])
    headers = {"content-type": "application/pkix-crl", "sgx-pck-crl-issuer-chain": chain}
    return Answer(200, headers, bytes.fromhex(members["pck_crl"]))


def _no_such_thing() -> Answer:
    return Answer(NOT_FOUND, {}, b"")
