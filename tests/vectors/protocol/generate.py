"""Regenerate the protocol vectors: `python tests/vectors/protocol/generate.py`.

All is deterministic but the three sealed messages, since HPKE draws an ephemeral key: they are kept from the committed
files, and made anew only when a file is missing. A change of any value is a change of the protocol.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import faults
import msgspec
import story

from heartify.broker.audit.entry import AuditEntry
from heartify.broker.audit.export import ExportHeader
from heartify.protocol.audit_anchor import AuditAnchor
from heartify.protocol.canonical import encode_canonical, sha256_digest, to_bytes, to_hex
from heartify.protocol.eip712 import TypedStruct, bytes32, encode_type, uint256
from heartify.protocol.evidence import report_data
from heartify.protocol.frames import encode_frame
from heartify.protocol.key_release import ColumnKeys, release_digest, release_info
from heartify.protocol.plan import parse_plan_toml
from heartify.protocol.result import encode_result, result_info
from heartify.protocol.sealing import SealingKey, seal
from heartify.protocol.signing import sign_digest

HERE = Path(__file__).parent
GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def build_all() -> dict[str, dict[str, Any]]:
    """Return file name → vector."""
    sealed_result = _kept("result.json", "sealed", _seal_result)
    return {
        "typed_data.json": build_typed_data(sealed_result),
        "canonical.json": build_canonical(),
        "sealing.json": build_sealing(),
        "key_release.json": build_key_release(),
        "frames.json": build_frames(),
        "plan.json": build_plan(),
        "result.json": build_result(sealed_result),
        "audit_log.json": build_audit_log(),
    }


def build_typed_data(sealed_result: str) -> dict[str, Any]:
    signed = [*story.signed_orders(), ("settlement", story.settlement(to_bytes(sealed_result)), "enclave")]
    return {
        "domain": {
            "name": "Heartify",
            "version": "1",
            "chain_id": story.DOMAIN.chain_id,
            "market": story.DOMAIN.contract,
            "separator": to_hex(story.DOMAIN.separator()),
        },
        "accounts": {
            name: {"private_key": to_hex(key), "address": story.ACCOUNTS[name]}
            for name, key in story.PRIVATE_KEYS.items()
        },
        "signed": [_signed(*item) for item in signed],
        "deal": _typed("deal", story.deal()),
        "negative_json": [
            {"name": name, "type": kind, "document": document, "error": "DocumentError"}
            for name, kind, document in faults.TYPED_JSON
        ],
        "negative_settlement": [
            {"name": name, "grants": 2, "document": {**faults.SETTLEMENT, **change}, "error": "DocumentError"}
            for name, change in faults.SETTLEMENT_CHECKS
        ],
        "negative_signature": _negative_signatures(),
    }


def _typed(name: str, message: TypedStruct) -> dict[str, Any]:
    return {
        "name": name,
        "type": type(message).__name__,
        "type_string": encode_type(type(message)),
        "message": message.to_json(),
        "struct_hash": to_hex(message.struct_hash()),
        "digest": to_hex(message.digest(story.DOMAIN)),
    }


def _signed(name: str, message: TypedStruct, signer: str) -> dict[str, Any]:
    signature = sign_digest(story.PRIVATE_KEYS[signer], message.digest(story.DOMAIN))
    return {**_typed(name, message), "signer": story.ACCOUNTS[signer], "signature": signature}


def _negative_signatures() -> list[dict[str, str]]:
    receipt = story.key_receipt(1)
    digest = receipt.digest(story.DOMAIN)
    good = to_bytes(sign_digest(story.PRIVATE_KEYS["broker-1"], digest))
    high_s = (GROUP_ORDER - int.from_bytes(good[32:64], "big")).to_bytes(32, "big")
    cases = {
        "high s": good[:32] + high_s + bytes([55 - good[64]]),
        "v is 0 or 1": good[:64] + bytes([good[64] - 27]),
        "v is 29": good[:64] + bytes([29]),
        "64 bytes": good[:64],
        "66 bytes": good + b"\0",
        "empty": b"",
        "r is zero": bytes(32) + good[32:],
        "s is zero": good[:32] + bytes(32) + good[64:],
        "r is no point": b"\xff" * 32 + good[32:],
        "by another account": to_bytes(sign_digest(story.PRIVATE_KEYS["broker-2"], digest)),
        "of another digest": to_bytes(sign_digest(story.PRIVATE_KEYS["broker-1"], receipt.struct_hash())),
    }
    return [
        {
            "name": name,
            "digest": to_hex(digest),
            "signer": story.ACCOUNTS["broker-1"],
            "signature": to_hex(signature),
            "error": "IntegrityError",
        }
        for name, signature in cases.items()
    ]


def build_canonical() -> dict[str, Any]:
    documents = {
        "plan": story.plan(),
        "grant-policy": story.policy("hospital-1"),
        "app-release": story.app_release(),
        "json": {
            "\u20ac": "euro",
            "\r": "carriage return",
            "\ufb33": "dalet",
            "1": "one",
            "\U0001f600": "smile",
            "\u0080": "control",
            "\u00f6": "o umlaut",
            "numbers": [0, -1, 1e21, 1e-7, 0.1, 333333333.33333329, 9007199254740991, 1e30, 4.5, 2e-3, 5e-324],
            "text": '\u20ac$\u000f\nA\'B"\\\\"/',
            "rest": [None, True, False, [], {}],
        },
    }
    return {
        "positive": [
            {
                "kind": kind,
                "text": encode_canonical(document).decode(),
                "sha256": sha256_digest(encode_canonical(document)),
            }
            for kind, document in documents.items()
        ],
        "negative": [
            {"name": name, "kind": kind, "bytes": given, "error": "DocumentError"}
            for name, kind, given in faults.CANONICAL
        ],
    }


def build_sealing() -> dict[str, Any]:
    key, info, plaintext = SealingKey.from_seed(story.RESULT_SEED), b"heartify/vector/v1", b"sealed for one reader"
    sealed = _kept("sealing.json", "sealed", lambda: to_hex(seal(plaintext, key.public_key, info)))
    public_key = bytearray(key.public_key)
    return {
        "seed": to_hex(story.RESULT_SEED),
        "public_key": to_hex(key.public_key),
        "info": to_hex(info),
        "plaintext": to_hex(plaintext),
        "sealed": sealed,
        "negative": [
            {"name": "another info", "info": to_hex(info + b"2"), "error": "IntegrityError"},
            {"name": "empty info", "info": "0x", "error": "IntegrityError"},
            {"name": "another key", "seed": to_hex(story.ENCLAVE_SEED), "error": "IntegrityError"},
            {"name": "bit of the ML-KEM ciphertext", "flip": 0, "error": "IntegrityError"},
            {"name": "bit of the X25519 key", "flip": 1088, "error": "IntegrityError"},
            {"name": "bit of the ciphertext", "flip": 1120, "error": "IntegrityError"},
            {"name": "bit of the tag", "flip": len(to_bytes(sealed)) - 1, "error": "IntegrityError"},
            {"name": "last byte missing", "keep": len(to_bytes(sealed)) - 1, "error": "IntegrityError"},
            {"name": "half an encapsulated key", "keep": 500, "error": "IntegrityError"},
            {"name": "empty", "keep": 0, "error": "IntegrityError"},
        ],
        "negative_public_key": [
            {"name": "too short", "public_key": to_hex(bytes(public_key[:-1])), "error": "IntegrityError"},
            {"name": "too long", "public_key": to_hex(bytes(public_key) + b"\0"), "error": "IntegrityError"},
            {"name": "empty", "public_key": "0x", "error": "IntegrityError"},
            {
                "name": "ML-KEM coefficient out of range",
                "public_key": to_hex(b"\xff" * 3 + bytes(public_key[3:])),
                "error": "IntegrityError",
            },
            {
                "name": "X25519 point of low order",
                "public_key": to_hex(bytes(public_key[:1184]) + bytes(32)),
                "error": "IntegrityError",
            },
        ],
    }


def build_key_release() -> dict[str, Any]:
    challenge, deal = story.challenge(), story.deal()
    enclave = SealingKey.from_seed(story.ENCLAVE_SEED)
    domain, version, broker = story.DOMAIN, story.version(1), story.ACCOUNTS["broker-1"]
    bound = report_data(
        nonce=to_bytes(challenge.nonce),
        broker=to_bytes(broker),
        chain_id=domain.chain_id,
        contract=to_bytes(domain.contract),
        deal=to_bytes(challenge.deal),
        plan_digest=to_bytes(deal.planDigest),
        encryption_public_key=enclave.public_key,
        enclave_address=to_bytes(story.ACCOUNTS["enclave"]),
    )
    keys = {column: to_hex(bytes([i]) * 32) for i, column in enumerate(story.plan().columns(), 1)}
    content = encode_canonical(ColumnKeys(dataset_version=version, keys=keys))
    info = release_info(domain, challenge.deal, version, broker, challenge.nonce, story.ACCOUNTS["enclave"])
    sealed = _kept("key_release.json", "sealed_keys", lambda: to_hex(seal(content, enclave.public_key, info)))
    signed = release_digest(info, to_bytes(sealed))
    return {
        "chain_id": domain.chain_id,
        "market": domain.contract,
        "challenge": {
            **msgspec.to_builtins(challenge),
            "signature": sign_digest(story.PRIVATE_KEYS["broker-1"], challenge.signed_digest(domain)),
        },
        "challenge_digest": to_hex(challenge.signed_digest(domain)),
        "plan_digest": deal.planDigest,
        "dataset_version": version,
        "enclave": story.ACCOUNTS["enclave"],
        "enclave_seed": to_hex(story.ENCLAVE_SEED),
        "encryption_public_key": to_hex(enclave.public_key),
        "report_data": to_hex(bound),
        "column_keys": content.decode(),
        "info": to_hex(info),
        "sealed_keys": sealed,
        "release_digest": to_hex(signed),
        "release_signature": sign_digest(story.PRIVATE_KEYS["broker-1"], signed),
    }


def build_frames() -> dict[str, Any]:
    good: list[tuple[str, dict[str, Any], bytes]] = [
        ("header only", {"op": "step", "name": "checking the documents"}, b""),
        ("header and body", {"op": "file", "ok": True}, bytes(range(16))),
        ("empty object", {}, b""),
    ]
    return {
        "positive": [
            {"name": name, "header": header, "body": body.hex(), "frame": encode_frame(header, body).hex()}
            for name, header, body in good
        ],
        "negative": [{"name": name, "frame": frame, "error": "DocumentError"} for name, frame in faults.FRAMES],
    }


def build_plan() -> dict[str, Any]:
    plans = {
        "story": story.PLAN_TOML,
        "everything written out": (
            'format = "heartify.plan/2"\ntitle = "\u00c9tude n\u00b0 1"\npurpose = "public-health"\n'
            'permit = "DE-HDAB-2026-0042"\n'
            'outcome = { column = "event", equals = "1" }\nfactors = [{ name = "sbp", column = "systolic" }]\n'
            'analysis = { model = "logistic", estimation = "auto" }\nweights = { bootstrap = 100 }\n'
        ),
    }
    parsed = {name: parse_plan_toml(toml) for name, toml in plans.items()}
    return {
        "positive": [
            {
                "name": name,
                "toml": plans[name],
                "canonical": encode_canonical(plan).decode(),
                "digest": plan.digest(),
                "columns": list(plan.columns()),
            }
            for name, plan in parsed.items()
        ],
        "negative": [
            {"name": name, "toml": _edit(story.PLAN_TOML, old, new), "error": "InputError"}
            for name, old, new in faults.PLANS
        ],
    }


def build_result(sealed: str) -> dict[str, Any]:
    encoded = encode_result(story.result())
    length = int.from_bytes(encoded[:4], "big")
    body = encoded[4 : 4 + length].decode()
    return {
        "seed": to_hex(story.RESULT_SEED),
        "deal": story.deal().deal_id(story.DOMAIN),
        "info": to_hex(result_info(story.deal().deal_id(story.DOMAIN))),
        "canonical": body,
        "encoded_bytes": len(encoded),
        "encoded_sha256": sha256_digest(encoded),
        "sealed": sealed,
        "sealed_sha256": sha256_digest(to_bytes(sealed)),
        "negative": [
            {"name": "padding not zero", "set": [len(encoded) - 1, "01"], "error": "IntegrityError"},
            {
                "name": "length one too long",
                "set": [0, (length + 1).to_bytes(4, "big").hex()],
                "error": "DocumentError",
            },
            {
                "name": "length one too short",
                "set": [0, (length - 1).to_bytes(4, "big").hex()],
                "error": "IntegrityError",
            },
            {"name": "length beyond the end", "set": [0, "ffffffff"], "error": "IntegrityError"},
            {"name": "one byte missing", "keep": len(encoded) - 1, "error": "IntegrityError"},
            {"name": "a second block of padding", "append": 4096, "error": "IntegrityError"},
            {"name": "empty", "keep": 0, "error": "IntegrityError"},
            {"name": "first byte of the document", "set": [4, "20"], "error": "DocumentError"},
        ],
    }


def build_audit_log() -> dict[str, Any]:
    domain, anchor, entries = story.REGISTRY_DOMAIN, story.audit_anchor(), story.audit_entries()
    restored = story.restored_entries()
    header = _export_header(entries[-1])
    return {
        "chain_id": domain.chain_id,
        "registry": domain.contract,
        "separator": to_hex(domain.separator()),
        "anchor": {
            "type_string": encode_type(type(anchor)),
            "message": anchor.to_json(),
            "struct_hash": to_hex(anchor.struct_hash()),
            "digest": to_hex(anchor.digest(domain)),
            "signer": anchor.broker,
            "signature": header.signature,
        },
        "export": [encode_canonical(line).decode() for line in (header, *entries)],
        "digests": [entry.digest for entry in entries],
        "negative": [
            {"name": name, **change, "entry": entry, "error": "IntegrityError"}
            for name, change, entry in faults.AUDIT_LOG
        ],
        "restored": {
            "export": [encode_canonical(line).decode() for line in (_export_header(restored[-1]), *restored)],
            "kept": len(restored) - 2,
            "entry": restored[-2].sequence,
            "known": restored[-2].digest,
            "lost": [len(restored) - 1, anchor.sequence],
            "block": 77,
        },
    }


def _export_header(newest: AuditEntry) -> ExportHeader:
    domain = story.REGISTRY_DOMAIN
    anchor = AuditAnchor(
        broker=story.ACCOUNTS["broker-1"], sequence=uint256(newest.sequence), head=bytes32(newest.digest)
    )
    return ExportHeader(
        broker=anchor.broker,
        chain_id=domain.chain_id,
        registry=domain.contract,
        first=1,
        last=newest.sequence,
        head=newest.digest,
        signature=sign_digest(story.PRIVATE_KEYS["broker-1"], anchor.digest(domain)),
    )


def _seal_result() -> str:
    key = SealingKey.from_seed(story.RESULT_SEED)
    return to_hex(seal(encode_result(story.result()), key.public_key, result_info(story.deal().deal_id(story.DOMAIN))))


def _kept(file: str, field: str, make: Any) -> str:
    path = HERE / file
    return str(json.loads(path.read_text(encoding="utf-8"))[field]) if path.exists() else str(make())


def _edit(text: str, old: str, new: str) -> str:
    if len(re.findall(re.escape(old), text)) != 1:
        raise ValueError(f"the edit of {old!r} is not of one place")
    return text.replace(old, new)


def main() -> None:
    for name, vector in build_all().items():
        text = json.dumps({"format": "heartify.vectors/1", **vector}, indent=1, ensure_ascii=True)
        (HERE / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
