"""A second client, written from docs/spec/protocol.md alone: it knows nothing of heartify, and agrees on the vectors.

Referees: eth-account for typed data and signatures, eth-utils for keccak, hashlib and hmac for the rest. HPKE is
written out by hand over the bare primitives, so the suite that the specification names is the suite that is used.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from eth_account import Account
from eth_account.messages import SignableMessage, _hash_eip191_message, encode_typed_data
from eth_utils import keccak

HERE = Path(__file__).parent


def vector(name: str) -> dict[str, Any]:
    return json.loads((HERE / name).read_text(encoding="utf-8"))


TYPED, RELEASE, SEALING, RESULT, AUDIT = (
    vector(name) for name in ("typed_data.json", "key_release.json", "sealing.json", "result.json", "audit_log.json")
)

# protocol.md section 3, the typed structs
FIELDS = {
    "DatasetGrant": (
        "bytes32 datasetVersion,address broker,bytes32 appRelease,address requester,address pool,uint256 teeKinds,"
        "uint256 price,uint256 withheldBps,uint256 uses,bytes32 policyDigest,uint256 notBefore,uint256 expiry,"
        "uint256 nonce"
    ),
    "AppOffer": (
        "bytes32 appRelease,uint256 price,uint256 withheldBps,uint256 uses,address requester,uint256 expiry,"
        "uint256 nonce"
    ),
    "PoolOffer": (
        "address pool,uint256 teeKind,uint256 sizeClass,uint256 price,uint256 uses,address requester,uint256 expiry,"
        "uint256 nonce"
    ),
    "GrantWanted": "bytes32 datasetVersion,uint256 maxPrice",
    "Request": (
        "address requester,bytes32 planDigest,GrantWanted[] grants,bytes32 appRelease,uint256 maxAppPrice,address pool,"
        "uint256 sizeClass,uint256 maxPoolPrice,uint256 teeKinds,bytes32 resultKeyDigest,uint256 minGrants,"
        "uint256 deadlineSeconds,uint256 expiry,uint256 nonce"
    ),
    "DealGrant": (
        "bytes32 datasetVersion,address owner,address broker,uint256 price,uint256 withheldBps,bytes32 policyDigest"
    ),
    "Deal": (
        "bytes32 requestDigest,address requester,bytes32 planDigest,bytes32 resultKeyDigest,bytes32 appRelease,"
        "address appAuthor,uint256 appPrice,uint256 appWithheldBps,address pool,uint256 poolPrice,uint256 stake,"
        "uint256 teeKind,uint256 sizeClass,uint256 minGrants,uint256 deadline,DealGrant[] grants"
    ),
    "KeyReceipt": "bytes32 deal,bytes32 datasetVersion,address enclave",
    "AuditAnchor": "address broker,uint256 sequence,bytes32 head",
    "Settlement": "bytes32 deal,uint256 outcome,uint256 code,uint256 leftOut,bytes32 resultDigest",
}
INNER = {"Request": "GrantWanted", "Deal": "DealGrant"}


def hex_bytes(text: str) -> bytes:
    assert text[:2] == "0x"
    return bytes.fromhex(text[2:])


def prefixed(*parts: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def hash_struct(kind: str, message: dict[str, Any]) -> bytes:
    """EIP-712 by hand: type hash, then one word for each field."""
    type_string = f"{kind}({FIELDS[kind]})" + (f"{INNER[kind]}({FIELDS[INNER[kind]]})" if kind in INNER else "")
    words = [keccak(text=type_string)]
    for field in FIELDS[kind].split(","):
        form, name = field.split(" ")
        value = message[name]
        if form.endswith("[]"):
            words.append(keccak(b"".join(hash_struct(form[:-2], item) for item in value)))
        elif form == "uint256":
            words.append(int(value).to_bytes(32, "big"))
        else:
            words.append(hex_bytes(value).rjust(32, b"\0"))
    return keccak(b"".join(words))


def separator(chain_id: int, market: str) -> bytes:
    return keccak(
        keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
        + keccak(text="Heartify")
        + keccak(text="1")
        + chain_id.to_bytes(32, "big")
        + bytes(12)
        + hex_bytes(market)
    )


DOMAIN = separator(RELEASE["chain_id"], RELEASE["market"])


def signable(kind: str, message: dict[str, Any]) -> SignableMessage:
    """The same struct as eth-account reads it."""
    names = [kind, *([INNER[kind]] if kind in INNER else [])]
    types = {
        name: [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in FIELDS[name].split(",")]
        for name in names
    }
    domain = {
        "name": "Heartify",
        "version": "1",
        "chainId": TYPED["domain"]["chain_id"],
        "verifyingContract": TYPED["domain"]["market"],
    }
    return encode_typed_data(domain, types, numbers(kind, message))


def numbers(kind: str, message: dict[str, Any]) -> dict[str, Any]:
    forms = {name: form for form, name in (field.split(" ") for field in FIELDS[kind].split(","))}
    return {
        name: [numbers(forms[name][:-2], item) for item in value]
        if forms[name].endswith("[]")
        else int(value)
        if forms[name] == "uint256"
        else value
        for name, value in message.items()
    }


def recover(digest: bytes, signature: str) -> str:
    return Account._recover_hash(digest, signature=hex_bytes(signature)).lower()


CASES = [*TYPED["signed"], TYPED["deal"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_typed_data_hash_by_hand_to_the_vector(case):
    struct_hash = hash_struct(case["type"], case["message"])

    digest = keccak(b"\x19\x01" + DOMAIN + struct_hash)

    assert struct_hash == hex_bytes(case["struct_hash"])
    assert digest == hex_bytes(case["digest"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_eth_account_hashes_typed_data_to_the_vector(case):
    message = signable(case["type"], case["message"])

    assert message.header == hex_bytes(TYPED["domain"]["separator"])
    assert message.body == hex_bytes(case["struct_hash"])
    assert _hash_eip191_message(message) == hex_bytes(case["digest"])


@pytest.mark.parametrize("case", TYPED["signed"], ids=lambda case: case["name"])
def test_eth_account_recovers_the_signer_and_makes_the_same_signature(case):
    message = signable(case["type"], case["message"])
    (key,) = (a["private_key"] for a in TYPED["accounts"].values() if a["address"] == case["signer"])

    recovered = Account.recover_message(message, signature=hex_bytes(case["signature"]))
    signed = Account.sign_message(message, key)

    assert recovered.lower() == case["signer"]
    assert signed.signature == hex_bytes(case["signature"])


def test_the_deal_id_is_the_digest_of_the_deal():
    deal = TYPED["deal"]

    deal_id = "0x" + keccak(b"\x19\x01" + DOMAIN + hash_struct("Deal", deal["message"])).hex()

    assert deal_id == RESULT["deal"] == RELEASE["challenge"]["deal"]
    assert {case["message"]["deal"] for case in TYPED["signed"] if "deal" in case["message"]} == {deal_id}


def test_challenge_digest_and_signature():
    challenge = RELEASE["challenge"]

    digest = keccak(
        b"heartify/challenge/v1"
        + prefixed(
            DOMAIN,
            hex_bytes(challenge["deal"]),
            challenge["session"].encode("ascii"),
            hex_bytes(challenge["nonce"]),
            str(challenge["expires"]).encode("ascii"),
        )
    )

    assert digest == hex_bytes(RELEASE["challenge_digest"])
    assert recover(digest, challenge["signature"]) == challenge["broker"]


def test_report_data():
    challenge = RELEASE["challenge"]

    bound = hashlib.sha512(
        b"heartify/report-data/v1"
        + prefixed(
            hex_bytes(challenge["nonce"]),
            hex_bytes(challenge["broker"]),
            RELEASE["chain_id"].to_bytes(8, "big"),
            hex_bytes(RELEASE["market"]),
            hex_bytes(challenge["deal"]),
            hex_bytes(RELEASE["plan_digest"]),
            hex_bytes(RELEASE["encryption_public_key"]),
            hex_bytes(RELEASE["enclave"]),
        )
    ).digest()

    assert bound == hex_bytes(RELEASE["report_data"])


def test_release_info_digest_and_signature():
    challenge = RELEASE["challenge"]
    bound_to = (
        challenge["deal"],
        RELEASE["dataset_version"],
        challenge["broker"],
        challenge["nonce"],
        RELEASE["enclave"],
    )

    info = b"heartify/key-release/v1" + prefixed(DOMAIN, *(hex_bytes(part) for part in bound_to))
    digest = keccak(b"heartify/release-signature/v1" + prefixed(info, hex_bytes(RELEASE["sealed_keys"])))

    assert info == hex_bytes(RELEASE["info"])
    assert digest == hex_bytes(RELEASE["release_digest"])
    assert recover(digest, RELEASE["release_signature"]) == challenge["broker"]


def test_the_settlement_names_the_sealed_result():
    (settlement,) = (case["message"] for case in TYPED["signed"] if case["name"] == "settlement")

    assert settlement["resultDigest"] == "0x" + hashlib.sha256(hex_bytes(RESULT["sealed"])).hexdigest()


# HPKE by hand: RFC 9180 base mode, KEM 0x647A (X-Wing), KDF 0x0001, AEAD 0x0002, empty additional data

SUITE = b"HPKE" + bytes.fromhex("647a" + "0001" + "0002")


def extract(salt: bytes, secret: bytes) -> bytes:
    return hmac.new(salt or bytes(32), secret, hashlib.sha256).digest()


def expand(key: bytes, info: bytes, length: int) -> bytes:
    output, block = b"", b""
    for counter in range(1, -(-length // 32) + 1):
        block = hmac.new(key, block + info + bytes([counter]), hashlib.sha256).digest()
        output += block
    return output[:length]


def labeled_extract(salt: bytes, label: bytes, secret: bytes) -> bytes:
    return extract(salt, b"HPKE-v1" + SUITE + label + secret)


def labeled_expand(key: bytes, label: bytes, info: bytes, length: int) -> bytes:
    return expand(key, struct.pack(">H", length) + b"HPKE-v1" + SUITE + label + info, length)


def open_by_hand(seed: bytes, sealed: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Return the public key of the seed and the plaintext."""
    material = expand(extract(b"", seed), b"heartify/sealing-key/v1", 96)
    mlkem = MLKEM768PrivateKey.from_seed_bytes(material[:64])
    curve = X25519PrivateKey.from_private_bytes(material[64:])
    curve_public = curve.public_key().public_bytes_raw()
    encapsulated, ephemeral, ciphertext = sealed[:1088], sealed[1088:1120], sealed[1120:]
    exchanged = curve.exchange(X25519PublicKey.from_public_bytes(ephemeral))
    shared = hashlib.sha3_256(
        mlkem.decapsulate(encapsulated) + exchanged + ephemeral + curve_public + rb"\.//^" + b"\\"
    ).digest()
    context = b"\x00" + labeled_extract(b"", b"psk_id_hash", b"") + labeled_extract(b"", b"info_hash", info)
    secret = labeled_extract(shared, b"secret", b"")
    key, nonce = (labeled_expand(secret, b"key", context, 32), labeled_expand(secret, b"base_nonce", context, 12))
    return mlkem.public_key().public_bytes_raw() + curve_public, AESGCM(key).decrypt(nonce, ciphertext, b"")


def test_hpke_by_hand_opens_the_sealed_vector():
    public_key, plaintext = open_by_hand(*(hex_bytes(SEALING[name]) for name in ("seed", "sealed", "info")))

    assert public_key == hex_bytes(SEALING["public_key"])
    assert plaintext == hex_bytes(SEALING["plaintext"])


def test_hpke_by_hand_opens_the_column_keys():
    _, plaintext = open_by_hand(*(hex_bytes(RELEASE[name]) for name in ("enclave_seed", "sealed_keys", "info")))

    assert plaintext.decode() == RELEASE["column_keys"]
    assert json.loads(plaintext)["dataset_version"] == RELEASE["dataset_version"]


def test_hpke_by_hand_opens_the_result_and_its_padding_is_that_of_the_specification():
    info = b"heartify/result/v1" + prefixed(hex_bytes(RESULT["deal"]))

    _, plaintext = open_by_hand(hex_bytes(RESULT["seed"]), hex_bytes(RESULT["sealed"]), info)

    (length,) = struct.unpack(">I", plaintext[:4])
    assert info == hex_bytes(RESULT["info"])
    assert plaintext[4 : 4 + length].decode() == RESULT["canonical"]
    assert plaintext[4 + length :] == bytes(len(plaintext) - 4 - length)
    assert len(plaintext) == -(-(4 + length) // 4096) * 4096


# 13, the audit log


def test_the_audit_log_is_a_chain_of_sha_256_over_plain_json():
    header, *entries = [json.loads(line) for line in AUDIT["export"]]
    previous = "0x" + "00" * 32
    for number, entry in enumerate(entries, 1):
        digest = entry.pop("digest")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

        assert (entry["sequence"], entry["previous"]) == (number, previous)
        assert digest == AUDIT["digests"][number - 1] == "0x" + hashlib.sha256(text.encode()).hexdigest()
        previous = digest
    assert (header["format"], header["first"], header["last"]) == ("heartify.audit-log/1", 1, len(entries))
    assert header["head"] == previous


def test_a_restored_audit_log_goes_on_after_the_anchor_that_it_names():
    entries = [json.loads(line) for line in AUDIT["restored"]["export"][1:]]
    number, previous = 0, "0x" + "00" * 32
    for entry in entries:
        digest = entry.pop("digest")
        lost = int(entry["details"].get("anchor_sequence", 0)) if entry["event"] == "restored" else 0
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if lost:
            assert str(lost) == AUDIT["anchor"]["message"]["sequence"]
            assert entry["details"]["anchor_head"] == AUDIT["anchor"]["message"]["head"]
            assert int(entry["details"]["sequence"]) == number == AUDIT["restored"]["kept"]

        assert (entry["sequence"], entry["previous"]) == (max(number, lost) + 1, previous)
        assert digest == "0x" + hashlib.sha256(text.encode()).hexdigest()
        number, previous = entry["sequence"], digest
    assert number == int(AUDIT["anchor"]["message"]["sequence"]) + 2


def test_the_audit_anchor_is_eth_accounts_under_the_registrys_domain():
    header, case = json.loads(AUDIT["export"][0]), AUDIT["anchor"]
    domain = {"name": "Heartify", "version": "1", "chainId": 31337, "verifyingContract": header["registry"]}
    types = {
        "AuditAnchor": [
            dict(zip(("type", "name"), f.split(" "), strict=True)) for f in FIELDS["AuditAnchor"].split(",")
        ]
    }
    message = {"broker": header["broker"], "sequence": header["last"], "head": hex_bytes(header["head"])}
    signed = encode_typed_data(domain, types, message)

    assert "0x" + signed.header.hex() == AUDIT["separator"]
    assert "0x" + signed.body.hex() == case["struct_hash"] == "0x" + hash_struct("AuditAnchor", case["message"]).hex()
    assert "0x" + _hash_eip191_message(signed).hex() == case["digest"]
    assert Account.recover_message(signed, signature=header["signature"]).lower() == header["broker"] == case["signer"]
