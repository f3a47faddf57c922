"""The committed protocol vectors, read by our implementation; the generator still makes exactly these."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heartify import errors
from heartify.broker.audit.entry import AuditEntry, entry_digest
from heartify.broker.audit.verdict import audit_export
from heartify.protocol.app_release import AppRelease
from heartify.protocol.audit_anchor import AuditAnchor
from heartify.protocol.canonical import encode_canonical, parse_canonical, sha256_digest, to_bytes, to_hex
from heartify.protocol.deal import Deal, verify_deal_id
from heartify.protocol.eip712 import Domain, encode_type, from_json
from heartify.protocol.evidence import report_data
from heartify.protocol.frames import encode_frame, read_frame
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.key_release import Challenge, parse_column_keys, release_digest, release_info
from heartify.protocol.orders import AppOffer, DatasetGrant, PoolOffer, Request, Signed
from heartify.protocol.plan import Plan, parse_plan, parse_plan_toml
from heartify.protocol.receipts import KeyReceipt, Settlement
from heartify.protocol.result import StudyResult, parse_result, result_info
from heartify.protocol.sealing import SealingKey, seal
from heartify.protocol.signing import address_of, verify_signer

HERE = Path(__file__).parent / "protocol"
FILES = ("typed_data", "canonical", "sealing", "key_release", "frames", "plan", "result", "audit_log")
VECTORS: dict[str, dict[str, Any]] = {
    name: json.loads((HERE / f"{name}.json").read_text(encoding="utf-8")) for name in FILES
}
TYPED, CANONICAL, SEALING, RELEASE, FRAMES, PLANS, RESULT, AUDIT = (VECTORS[name] for name in FILES)
DOMAIN = Domain(TYPED["domain"]["chain_id"], TYPED["domain"]["market"])
STRUCTS = {kind.__name__: kind for kind in (DatasetGrant, AppOffer, PoolOffer, Request, Deal, KeyReceipt, Settlement)}
KINDS = {"json": dict, "plan": Plan, "grant-policy": GrantPolicy, "app-release": AppRelease}


def name_of(case: dict[str, Any]) -> str:
    return str(case["name"])


def refused(case: dict[str, Any]) -> Any:
    """Expect exactly the named class, not a class under it."""
    expected = getattr(errors, case["error"])
    return pytest.raises(expected, check=lambda error: type(error) is expected)


def test_the_generator_makes_the_committed_vectors(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    spec = importlib.util.spec_from_file_location("protocol_vector_generator", HERE / "generate.py")
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    for neighbour in ("story", "faults"):
        monkeypatch.delitem(sys.modules, neighbour)

    made = generator.build_all()

    assert {f"{name}.json": vector for name, vector in VECTORS.items()} == {
        name: {"format": "heartify.vectors/1", **vector} for name, vector in made.items()
    }


def test_negative_vectors_have_a_name_of_their_own():
    for vector in VECTORS.values():
        for field, cases in vector.items():
            if field.startswith("negative"):
                assert len({case["name"] for case in cases}) == len(cases) > 0


# typed data


def test_domain_separator():
    assert to_hex(DOMAIN.separator()) == TYPED["domain"]["separator"]


@pytest.mark.parametrize("case", [*TYPED["signed"], TYPED["deal"]], ids=name_of)
def test_typed_data_parse_and_hash(case):
    message = from_json(STRUCTS[case["type"]], case["message"])

    assert encode_type(type(message)) == case["type_string"]
    assert to_hex(message.struct_hash()) == case["struct_hash"]
    assert to_hex(message.digest(DOMAIN)) == case["digest"]
    assert message.to_json() == case["message"]


@pytest.mark.parametrize("case", TYPED["signed"], ids=name_of)
def test_signatures_verify_for_their_signer_only(case):
    signed = Signed(from_json(STRUCTS[case["type"]], case["message"]), case["signature"])

    signed.verify(DOMAIN, case["signer"])

    with pytest.raises(errors.IntegrityError, match="is signed by"):
        signed.verify(Domain(DOMAIN.chain_id + 1, DOMAIN.contract), case["signer"])


def test_accounts_follow_from_their_keys():
    for account in TYPED["accounts"].values():
        assert address_of(to_bytes(account["private_key"])) == account["address"]


@pytest.mark.parametrize("case", TYPED["negative_json"], ids=name_of)
def test_malformed_typed_json_is_refused(case):
    with refused(case):
        from_json(STRUCTS[case["type"]], case["document"])


@pytest.mark.parametrize("case", TYPED["negative_settlement"], ids=name_of)
def test_impossible_settlement_is_refused(case):
    settlement = from_json(Settlement, case["document"])

    with refused(case):
        settlement.check(case["grants"])


@pytest.mark.parametrize("case", TYPED["negative_signature"], ids=name_of)
def test_bad_signature_is_refused(case):
    with refused(case):
        verify_signer(to_bytes(case["digest"]), case["signature"], case["signer"], "the vector")


@pytest.mark.parametrize("field", sorted(TYPED["deal"]["message"]))
def test_a_deal_with_any_field_changed_is_not_the_deal_of_the_id(field):
    document = dict(TYPED["deal"]["message"])
    value = document[field]
    if isinstance(value, list):
        document[field] = value[::-1]
    else:
        document[field] = str(int(value) + 1) if value.isdecimal() else value[:-1] + ("0" if value[-1] != "0" else "1")

    with pytest.raises(errors.IntegrityError, match="does not match its id"):
        verify_deal_id(from_json(Deal, document), DOMAIN, TYPED["deal"]["digest"])


# canonical documents


def given_bytes(given: dict[str, Any]) -> bytes:
    if "hex" in given:
        return bytes.fromhex(given["hex"])
    if "repeat" in given:
        head, unit, count, tail = given["repeat"]
        return (head + unit * count + tail).encode()
    if "edit" in given:
        (good,) = (case["text"] for case in CANONICAL["positive"] if case["kind"] == "grant-policy")
        old, new = given["edit"]
        assert good.count(old) == 1
        return good.replace(old, new).encode()
    return str(given["text"]).encode()


@pytest.mark.parametrize("case", CANONICAL["positive"], ids=lambda case: case["kind"])
def test_canonical_documents_parse_and_encode_to_themselves(case):
    document = parse_canonical(case["text"].encode(), KINDS[case["kind"]])

    assert encode_canonical(document).decode() == case["text"]
    assert sha256_digest(case["text"].encode()) == case["sha256"]


@pytest.mark.parametrize("case", CANONICAL["negative"], ids=name_of)
def test_bytes_that_are_no_canonical_document_are_refused(case):
    with refused(case):
        parse_canonical(given_bytes(case["bytes"]), KINDS[case["kind"]])


@pytest.mark.parametrize("case", PLANS["positive"], ids=name_of)
def test_plan_toml_has_the_canonical_form_and_digest_of_the_vector(case):
    plan = parse_plan_toml(case["toml"])

    assert encode_canonical(plan).decode() == case["canonical"]
    assert plan.digest() == case["digest"]
    assert list(plan.columns()) == case["columns"]
    assert parse_plan(case["canonical"].encode()) == plan


@pytest.mark.parametrize("case", PLANS["negative"], ids=name_of)
def test_wrong_plan_toml_is_refused(case):
    with refused(case):
        parse_plan_toml(case["toml"])


# sealing


def edited(data: bytes, case: dict[str, Any]) -> bytes:
    changed = bytearray(data)
    if "flip" in case:
        changed[case["flip"]] ^= 1
    if "set" in case:
        offset, value = case["set"]
        changed[offset : offset + len(value) // 2] = bytes.fromhex(value)
    return bytes(changed[: case.get("keep")]) + bytes(case.get("append", 0))


def test_the_sealed_vector_opens_and_the_key_follows_from_the_seed():
    key = SealingKey.from_seed(to_bytes(SEALING["seed"]))

    assert to_hex(key.public_key) == SEALING["public_key"]
    assert key.open(to_bytes(SEALING["sealed"]), to_bytes(SEALING["info"])) == to_bytes(SEALING["plaintext"])


@pytest.mark.parametrize("case", SEALING["negative"], ids=name_of)
def test_a_sealed_message_for_another_purpose_or_damaged_does_not_open(case):
    key = SealingKey.from_seed(to_bytes(case.get("seed", SEALING["seed"])))
    sealed = edited(to_bytes(SEALING["sealed"]), case)

    with refused(case):
        key.open(sealed, to_bytes(case.get("info", SEALING["info"])))


@pytest.mark.parametrize("case", SEALING["negative_public_key"], ids=name_of)
def test_nothing_is_sealed_to_a_bad_public_key(case):
    with refused(case):
        seal(b"text", to_bytes(case["public_key"]), b"info")


# key release


def test_challenge_digest_and_signature():
    challenge = msgspec.convert(RELEASE["challenge"], Challenge)

    digest = challenge.signed_digest(DOMAIN)

    assert to_hex(digest) == RELEASE["challenge_digest"]
    verify_signer(digest, challenge.signature, challenge.broker, "the challenge")


def test_report_data():
    challenge = RELEASE["challenge"]

    bound = report_data(
        nonce=to_bytes(challenge["nonce"]),
        broker=to_bytes(challenge["broker"]),
        chain_id=RELEASE["chain_id"],
        contract=to_bytes(RELEASE["market"]),
        deal=to_bytes(challenge["deal"]),
        plan_digest=to_bytes(RELEASE["plan_digest"]),
        encryption_public_key=to_bytes(RELEASE["encryption_public_key"]),
        enclave_address=to_bytes(RELEASE["enclave"]),
    )

    assert to_hex(bound) == RELEASE["report_data"]


def test_release_opens_to_the_column_keys_and_is_signed_by_the_broker():
    challenge = RELEASE["challenge"]
    sealed = to_bytes(RELEASE["sealed_keys"])
    info = release_info(
        DOMAIN,
        challenge["deal"],
        RELEASE["dataset_version"],
        challenge["broker"],
        challenge["nonce"],
        RELEASE["enclave"],
    )

    keys = parse_column_keys(SealingKey.from_seed(to_bytes(RELEASE["enclave_seed"])).open(sealed, info))

    assert to_hex(info) == RELEASE["info"]
    assert keys == {"num": b"\x01" * 32, "age": b"\x02" * 32, "cp": b"\x03" * 32}
    assert to_hex(release_digest(info, sealed)) == RELEASE["release_digest"]
    verify_signer(release_digest(info, sealed), RELEASE["release_signature"], challenge["broker"], "the release")


# frames


@pytest.mark.parametrize("case", FRAMES["positive"], ids=name_of)
def test_frames_encode_and_read(case):
    header, body = read_frame(io.BytesIO(bytes.fromhex(case["frame"])).read)

    assert (header, body.hex()) == (case["header"], case["body"])
    assert encode_frame(header, body).hex() == case["frame"]


@pytest.mark.parametrize("case", FRAMES["negative"], ids=name_of)
def test_malformed_frames_are_refused(case):
    with refused(case):
        read_frame(io.BytesIO(bytes.fromhex(case["frame"])).read)


# result


def opened_result() -> bytes:
    key = SealingKey.from_seed(to_bytes(RESULT["seed"]))
    return key.open(to_bytes(RESULT["sealed"]), result_info(RESULT["deal"]))


def test_the_sealed_result_opens_to_the_canonical_result():
    encoded = opened_result()

    assert len(encoded) == RESULT["encoded_bytes"]
    assert sha256_digest(encoded) == RESULT["encoded_sha256"]
    assert parse_result(encoded) == parse_canonical(RESULT["canonical"].encode(), StudyResult)
    assert sha256_digest(to_bytes(RESULT["sealed"])) == RESULT["sealed_sha256"]


@pytest.mark.parametrize("case", RESULT["negative"], ids=name_of)
def test_an_opened_result_of_another_form_is_refused(case):
    with refused(case):
        parse_result(edited(opened_result(), case))


# audit log


def exported(lines: list[str]) -> io.BytesIO:
    return io.BytesIO("".join(line + "\n" for line in lines).encode())


def damaged(case: dict[str, Any]) -> list[str]:
    lines = list(AUDIT["export"])
    if "line" in case:
        text = lines[case["line"] - 1]
        old, new = case.get("edit", (None, None))
        if old is None:
            position = text.index(case["flip"]) + len(case["flip"])
            old = text[: position + 1]
            new = old[:-1] + ("1" if old[-1] != "1" else "2")
        assert text.count(old) == 1
        lines[case["line"] - 1] = text.replace(old, new)
    if "drop" in case:
        del lines[case["drop"] - 1]
    if "swap" in case:
        one, other = (number - 1 for number in case["swap"])
        lines[one], lines[other] = lines[other], lines[one]
    if "double" in case:
        lines.insert(case["double"], lines[case["double"] - 1])
    return lines


def test_the_audit_anchor_hashes_and_is_signed_under_the_registrys_domain():
    domain, case = Domain(AUDIT["chain_id"], AUDIT["registry"]), AUDIT["anchor"]
    anchor = from_json(AuditAnchor, case["message"])

    assert to_hex(domain.separator()) == AUDIT["separator"] != TYPED["domain"]["separator"]
    assert encode_type(AuditAnchor) == case["type_string"]
    assert to_hex(anchor.struct_hash()) == case["struct_hash"]
    assert to_hex(anchor.digest(domain)) == case["digest"]
    verify_signer(anchor.digest(domain), case["signature"], case["signer"], "the anchor")


def test_the_exported_audit_log_stands():
    entries = [parse_canonical(line.encode(), AuditEntry) for line in AUDIT["export"][1:]]

    audit_export(exported(AUDIT["export"])).check()

    assert [entry_digest(entry) for entry in entries] == AUDIT["digests"]


def test_an_audit_log_that_was_restored_tells_its_gap_and_stands_for_who_knows_of_it():
    case = AUDIT["restored"]
    first, last = case["lost"]

    verdict = audit_export(exported(case["export"]))

    assert [check.name for check in verdict.checks if not check.passed] == ["restores"]
    (finding,) = verdict.restores
    assert (finding.sequence, finding.digest, finding.block) == (case["entry"], case["known"], case["block"])
    assert (finding.first_lost, finding.last_lost) == (first, last)
    audit_export(exported(case["export"]), known_restores={case["known"]}).check()


@pytest.mark.parametrize("case", AUDIT["negative"], ids=name_of)
def test_a_damaged_audit_log_does_not_stand_and_the_entry_is_named(case):
    verdict = audit_export(exported(damaged(case)))

    with refused(case):
        verdict.check()
    reasons = [check.reason for check in verdict.checks if not check.passed]
    assert any(f"entry {case['entry']}" in reason for reason in reasons), reasons
