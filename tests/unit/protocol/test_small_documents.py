"""Size classes, app releases, receipts and bundles."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from heartify.errors import DocumentError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.bundle import NO_RESULT, Receipt, ReleaseRecord, ResultBundle
from heartify.protocol.canonical import encode_canonical, parse_canonical
from heartify.protocol.eip712 import Domain
from heartify.protocol.plan import parse_plan
from heartify.protocol.size_class import SIZE_CLASSES, size_class

VECTORS = Path(__file__).parents[2] / "vectors" / "protocol"
DIGEST, ACCOUNT = "0x" + "ab" * 32, "0x" + "cd" * 20
RELEASE = AppRelease(
    name="Heartify",
    version="1",
    source_digest=DIGEST,
    measurements={"sgx": ("0x" + "01" * 32,), "sev-snp": ("0x" + "02" * 48,)},
)


def bundle() -> ResultBundle:
    (plan,) = (
        case["canonical"]
        for case in json.loads((VECTORS / "plan.json").read_text(encoding="utf-8"))["positive"]
        if case["name"] == "story"
    )
    deal = json.loads((VECTORS / "typed_data.json").read_text(encoding="utf-8"))["deal"]
    receipt = Receipt(
        simulated=True,
        chain_id=31337,
        market=ACCOUNT,
        deal_id=deal["digest"],
        deal=deal["message"],
        plan=parse_plan(plan.encode()),
        app_release=RELEASE,
        tee_kind="simulated-sgx",
        collateral="{}",
        enclave=ACCOUNT,
        encryption_public_key="0x00",
        releases=(ReleaseRecord(grant=0, nonce=DIGEST, quote="0x", key_receipt_signature="0x"),),
        settlement={},
        enclave_signature="0x",
    )
    return ResultBundle(receipt=receipt, sealed_result="0x00")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_size_classes_are_known_by_number_and_grow(number):
    assert size_class(number).number == number
    limits = [(item.max_rows, item.max_memory_bytes, item.max_seconds) for item in SIZE_CLASSES]
    assert limits == sorted(limits)


@pytest.mark.parametrize("number", [0, 4, -1, 2**255])
def test_unknown_size_class_is_refused(number):
    with pytest.raises(DocumentError, match=f"no size class {number}"):
        size_class(number)


def test_a_release_names_measurements_per_tee_kind():
    assert RELEASE.reference_measurements("sgx") == {b"\x01" * 32}
    assert RELEASE.reference_measurements("sev-snp") == {b"\x02" * 48}
    assert RELEASE.reference_measurements("simulated-sgx") == frozenset()


def test_release_id_changes_with_a_measurement():
    other = msgspec.structs.replace(RELEASE, measurements={"sgx": ("0x" + "03" * 32,)})

    assert other.release_id() != RELEASE.release_id()


@pytest.mark.parametrize("measurement", ["0x" + "01" * 31, "0x" + "01" * 33, "0x" + "AB" * 32, "0x" + "01" * 32 + "\n"])
def test_malformed_measurement_is_refused(measurement):
    document = encode_canonical({**msgspec.to_builtins(RELEASE), "measurements": {"sgx": [measurement]}})

    with pytest.raises(DocumentError, match="not a valid AppRelease"):
        parse_canonical(document, AppRelease)


def test_bundle_round_trip_and_domain():
    data = encode_canonical(bundle())

    assert parse_canonical(data, ResultBundle) == bundle()
    assert bundle().receipt.domain() == Domain(31337, ACCOUNT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"simulated":true', b'"simulated":1'),
        (b"heartify.bundle/1", b"heartify.bundle/2"),
        (b'"market":"0xcd', b'"market":"0xCD'),
        (b'"chain_id":31337', b'"chain_id":"31337"'),
        (b'"collateral":', b'"colour":0,"collateral":'),
    ],
)
def test_malformed_bundle_is_refused(old, new):
    data = encode_canonical(bundle())
    assert data.count(old) == 1

    with pytest.raises(DocumentError, match="not a valid ResultBundle"):
        parse_canonical(data.replace(old, new), ResultBundle)


def test_no_result_is_32_zero_bytes():
    assert NO_RESULT == "0x" + "00" * 32
