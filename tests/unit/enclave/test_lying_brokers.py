"""A host that forges, replays or swaps what brokers say: the hospital is left out, and never anything worse."""

from __future__ import annotations

import secrets

import msgspec
import pytest

from heartify.protocol.canonical import encode_canonical, to_bytes, to_hex
from heartify.protocol.eip712 import address, bytes32
from heartify.protocol.evidence import report_data
from heartify.protocol.key_release import Challenge, ColumnKeys, ReleaseRequest, release_digest, release_info
from heartify.protocol.outcomes import FailureCode, Outcome
from heartify.protocol.receipts import KeyReceipt
from heartify.protocol.sealing import SealingKey, seal
from heartify.protocol.signing import address_of, generate_private_key, sign_digest

VICTIM = 1


def check_left_out(strict_world, lies):
    """The lie costs the victim's keys alone; where all are needed, the run ends there. Returns the run."""
    run = strict_world.run(lies)

    settlement = run.settlement
    assert (settlement.kind, settlement.code) == (Outcome.FAILED, FailureCode.KEYS_UNAVAILABLE)
    assert settlement.leftOut == 1 << VICTIM
    assert (run.asked("file"), run.sealed) == ([], b"")
    return run


def check_challenge_refused(strict_world, forge):
    """The enclave itself refuses: it doesn't even ask for evidence bound to such a challenge."""
    run = check_left_out(strict_world, {"challenge": forge})

    assert len(run.asked("quote")) == 2


def on_victim(forge):
    """Lie to the victim's requests only."""

    def lie(host, header, honest):
        return forge(host, header, honest) if header["grant"] == VICTIM else honest()

    return lie


def change_answer(document, **changes):
    """Change fields of a challenge or release after the broker signed it."""

    def forge(host, header, honest):
        reply, body = honest()
        return {**reply, document: reply[document] | changes}, body

    return on_victim(forge)


def keep_answers(kept):
    """Tell the truth, and keep it."""

    def lie(host, header, honest):
        kept[host.world.deal_id, header["grant"]] = honest()
        return kept[host.world.deal_id, header["grant"]]

    return lie


def sign_challenge(world, key, **changes):
    unsigned = Challenge(
        **{
            "session": secrets.token_hex(16),
            "deal": world.deal_id,
            "nonce": to_hex(secrets.token_bytes(32)),
            "broker": address_of(key),
            "expires": 2_000_000_000,
            "signature": "0x",
        }
        | changes
    )
    signed = msgspec.structs.replace(unsigned, signature=sign_digest(key, unsigned.signed_digest(world.domain)))
    return {"op": "challenge", "ok": True, "challenge": msgspec.to_builtins(signed)}, b""


def sign_release(world, hospital, request, nonce, content, /, *, key=None, receipt_key=None, **other):
    """Sign a release as a broker does; `other` replaces parts that it is bound to."""
    bound = {
        "deal": world.deal_id,
        "version": hospital.version.version_id,
        "broker": hospital.broker.address,
        "nonce": nonce,
        "enclave": request["enclave"],
    } | other
    info = release_info(world.domain, *bound.values())
    sealed = seal(content, to_bytes(request["encryption_public_key"]), info)
    receipt = KeyReceipt(
        deal=bytes32(bound["deal"]), datasetVersion=bytes32(bound["version"]), enclave=address(bound["enclave"])
    )
    release = {
        "dataset_version": hospital.version.version_id,
        "sealed_keys": to_hex(sealed),
        "release_signature": sign_digest(key or hospital.broker_key, release_digest(info, sealed)),
        "key_receipt_signature": sign_digest(receipt_key or key or hospital.broker_key, receipt.digest(world.domain)),
    }
    return {"op": "release", "ok": True, "release": release}, b""


def remember_nonce(host, header, honest):
    reply, body = honest()
    host.memory["nonce", header["grant"]] = reply["challenge"]["nonce"]
    return reply, body


def forge_release(build):
    """Answer the victim's release request by `build(host, hospital, request, nonce)`."""

    def forge(host, header, _honest):
        hospital = host.world.hospitals[VICTIM]
        return build(host, hospital, header["request"], host.memory["nonce", VICTIM])

    return {"challenge": remember_nonce, "release": on_victim(forge)}


def column_keys(hospital, columns, value="0x" + "77" * 32):
    document = ColumnKeys(dataset_version=hospital.version.version_id, keys=dict.fromkeys(columns, value))
    return encode_canonical(document)


@pytest.mark.parametrize("operation", ["challenge", "release"])
def test_lie_about_one_hospital_leaves_the_others_a_delivered_result(world, operation):
    """What the lies below cost where the request can do without the victim."""
    signature = {"challenge": "signature", "release": "release_signature"}[operation]

    run = world.run({operation: change_answer(operation, **{signature: "0x" + "00" * 65})})

    assert (run.settlement.kind, run.settlement.leftOut) == (Outcome.DELIVERED, 1 << VICTIM)
    assert run.open_result().hospitals[VICTIM].reason == "no_keys"
    assert {header["grant"] for header in run.asked("file")} == {0, 2}


# ---- challenges


def test_challenge_by_another_broker(strict_world):
    forge = on_victim(lambda host, *_: sign_challenge(host.world, host.world.hospitals[0].broker_key))

    check_challenge_refused(strict_world, forge)


def test_challenge_that_names_the_broker_and_is_signed_by_another(strict_world):
    def forge(host, _header, _honest):
        return sign_challenge(host.world, generate_private_key(), broker=host.world.hospitals[VICTIM].broker.address)

    check_challenge_refused(strict_world, on_victim(forge))


def test_challenge_of_the_broker_for_another_deal(strict_world):
    def forge(host, _header, _honest):
        challenge = host.world.hospitals[VICTIM].broker.challenge("0x" + "99" * 32)
        return {"op": "challenge", "ok": True, "challenge": msgspec.to_builtins(challenge)}, b""

    check_challenge_refused(strict_world, on_victim(forge))


def test_challenge_for_another_deal_relabelled(strict_world):
    def forge(host, _header, _honest):
        challenge = host.world.hospitals[VICTIM].broker.challenge("0x" + "99" * 32)
        renamed = msgspec.to_builtins(challenge) | {"deal": host.world.deal_id}
        return {"op": "challenge", "ok": True, "challenge": renamed}, b""

    check_challenge_refused(strict_world, on_victim(forge))


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "0x" + "11" * 32},
        {"session": "ab" * 16},
        {"expires": 1},
        {"signature": "0x"},
        {"signature": "0x" + "00" * 65},
        {"signature": "not hex"},
        {"nonce": None},
        {"extra": 1},
    ],
    ids=str,
)
def test_changed_challenge(strict_world, change):
    check_challenge_refused(strict_world, change_answer("challenge", **change))


@pytest.mark.parametrize("challenge", [None, [], "challenge", {}, 7])
def test_answer_without_a_challenge(strict_world, challenge):
    forge = on_victim(lambda *_: ({"op": "challenge", "ok": True, "challenge": challenge}, b""))

    check_challenge_refused(strict_world, forge)


def test_replayed_challenge_gets_no_keys_from_the_broker(strict_world):
    """The enclave can't know that it is old; its broker does."""
    used = {}
    assert strict_world.run({"challenge": keep_answers(used)}).settlement.leftOut == 0

    forge = on_victim(lambda host, header, _honest: used[host.world.deal_id, header["grant"]])

    check_left_out(strict_world, {"challenge": forge})


# ---- evidence


def test_quote_over_other_report_data_gets_no_keys(world, strict_world):
    forge = {"quote": lambda host, *_: ({"op": "quote", "ok": True, "evidence": host.world.quote(bytes(64))}, b"")}

    run = strict_world.run(forge)

    assert (run.settlement.kind, run.settlement.code) == (Outcome.FAILED, FailureCode.KEYS_UNAVAILABLE)
    assert world.run(forge).settlement.leftOut == 0b111


def test_quote_of_another_measurement_gets_no_keys(world):
    def forge(host, header, _honest):
        evidence = host.world.quote(to_bytes(header["report_data"]), measurement=b"\x66" * 32)
        return {"op": "quote", "ok": True, "evidence": evidence}, b""

    run = world.run({"quote": forge})

    assert (run.settlement.code, run.settlement.leftOut) == (FailureCode.KEYS_UNAVAILABLE, 0b111)


def test_evidence_of_one_broker_shown_to_the_next_gets_no_keys(world):
    def forge(host, _header, honest):
        return host.memory.setdefault("evidence", honest())

    run = world.run({"quote": forge})

    assert run.settlement.leftOut == 0b110


@pytest.mark.parametrize(
    "evidence", [None, {}, {"tee_kind": "sgx"}, {"tee_kind": 1, "quote_hex": "", "collateral": ""}]
)
def test_answer_without_evidence_gets_no_keys(world, evidence):
    run = world.run({"quote": lambda *_: ({"op": "quote", "ok": True, "evidence": evidence}, b"")})

    assert (run.settlement.code, run.settlement.leftOut) == (FailureCode.KEYS_UNAVAILABLE, 0b111)


# ---- releases


def test_genuine_release_for_another_enclave_of_the_host(world, strict_world):
    """The host attests an enclave of its own for the same deal, and hands what that one got to this one."""

    def forge(host, _header, _honest):
        world, hospital = host.world, host.world.hospitals[VICTIM]
        own_key, sealing = generate_private_key(), SealingKey.from_seed(secrets.token_bytes(32))
        challenge = hospital.broker.challenge(world.deal_id)
        bound = report_data(
            nonce=to_bytes(challenge.nonce),
            broker=to_bytes(challenge.broker),
            chain_id=world.domain.chain_id,
            contract=to_bytes(world.domain.contract),
            deal=to_bytes(world.deal_id),
            plan_digest=to_bytes(world.deal.planDigest),
            encryption_public_key=sealing.public_key,
            enclave_address=to_bytes(address_of(own_key)),
        )
        request = {
            "session": challenge.session,
            "deal": world.deal.to_json(),
            "plan": msgspec.to_builtins(world.plan),
            "dataset_version": hospital.version.version_id,
            "encryption_public_key": to_hex(sealing.public_key),
            "enclave": address_of(own_key),
            "evidence": world.quote(bound),
        }
        release = hospital.broker.release(msgspec.convert(request, ReleaseRequest))
        return {"op": "release", "ok": True, "release": msgspec.to_builtins(release)}, b""

    check_left_out(strict_world, {"release": on_victim(forge)})


@pytest.mark.parametrize(
    "other",
    [
        {"deal": "0x" + "99" * 32},
        {"version": "0x" + "98" * 32},
        {"broker": "0x" + "97" * 20},
        {"nonce": "0x" + "96" * 32},
        {"enclave": "0x" + "95" * 20},
    ],
    ids=str,
)
def test_release_that_the_broker_signed_for_something_else(strict_world, other):
    def build(host, hospital, request, nonce):
        keys = column_keys(hospital, host.world.plan.columns())
        return sign_release(host.world, hospital, request, nonce, keys, **other)

    check_left_out(strict_world, forge_release(build))


def test_release_signed_by_someone_else(strict_world):
    """Keys of the host's choice would let it feed data of its own as the hospital's."""

    def build(host, hospital, request, nonce):
        keys = column_keys(hospital, host.world.plan.columns())
        return sign_release(host.world, hospital, request, nonce, keys, key=generate_private_key())

    check_left_out(strict_world, forge_release(build))


def test_release_without_a_receipt_that_would_pay_the_hospital(strict_world):
    def build(host, hospital, request, nonce):
        keys = column_keys(hospital, host.world.plan.columns())
        return sign_release(host.world, hospital, request, nonce, keys, receipt_key=generate_private_key())

    check_left_out(strict_world, forge_release(build))


@pytest.mark.parametrize("missing", ["age", "cvd"])
def test_release_that_lacks_a_column_of_the_plan(strict_world, missing):
    def build(host, hospital, request, nonce):
        keys = column_keys(hospital, [name for name in host.world.plan.columns() if name != missing])
        return sign_release(host.world, hospital, request, nonce, keys)

    check_left_out(strict_world, forge_release(build))


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff" * 40, b"[" * 5000])
def test_release_whose_content_is_no_column_keys(strict_world, content):
    def build(host, hospital, request, nonce):
        return sign_release(host.world, hospital, request, nonce, content)

    check_left_out(strict_world, forge_release(build))


def test_wrong_column_keys_under_the_brokers_own_signature_are_input_damaged(world):
    """The broker itself is at fault: nothing opens, and nothing is delivered."""

    def build(host, hospital, request, nonce):
        return sign_release(host.world, hospital, request, nonce, column_keys(hospital, host.world.plan.columns()))

    run = world.run(forge_release(build))

    assert (run.settlement.kind, run.settlement.code) == (Outcome.FAILED, FailureCode.INPUT_DAMAGED)
    assert run.sealed == b""


def test_release_of_another_hospital(strict_world):
    def forge(host, header, honest):
        reply = honest()
        return host.memory.setdefault("first", reply) if header["grant"] in {0, VICTIM} else reply

    check_left_out(strict_world, {"release": forge})


def test_release_of_an_earlier_run(strict_world):
    old = {}
    assert strict_world.run({"release": keep_answers(old)}).settlement.leftOut == 0

    forge = on_victim(lambda host, header, _honest: old[host.world.deal_id, header["grant"]])

    check_left_out(strict_world, {"release": forge})


@pytest.mark.parametrize(
    "change",
    [
        {"sealed_keys": "0x"},
        {"sealed_keys": "0x" + "00" * 1500},
        {"release_signature": "0x" + "11" * 65},
        {"key_receipt_signature": "0x"},
        {"key_receipt_signature": "0x" + "22" * 65},
        {"dataset_version": "latest"},
        {"extra": True},
    ],
    ids=str,
)
def test_changed_release(strict_world, change):
    check_left_out(strict_world, {"release": change_answer("release", **change)})


@pytest.mark.parametrize("release", [None, [], {}, "release"])
def test_answer_without_a_release(strict_world, release):
    forge = on_victim(lambda *_: ({"op": "release", "ok": True, "release": release}, b""))

    check_left_out(strict_world, {"release": forge})


@pytest.mark.parametrize("operation", ["challenge", "release"])
@pytest.mark.parametrize("ok", [False, None, 1, "true"])
def test_anything_but_a_plain_yes_is_a_no(strict_world, operation, ok):
    def forge(host, header, honest):
        reply, body = honest()
        return {**reply, "ok": ok}, body

    check_left_out(strict_world, {operation: on_victim(forge)})
