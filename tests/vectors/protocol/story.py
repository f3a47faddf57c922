"""The story that the protocol vectors tell: two hospitals, one lab, one deal, from orders to a settlement.

Every key is a constant that everybody can read here: never use one for anything else.
"""

from __future__ import annotations

from heartify.broker.audit.entry import AuditEntry, AuditEvent, next_entry
from heartify.protocol.app_release import AppRelease
from heartify.protocol.audit_anchor import AuditAnchor
from heartify.protocol.canonical import sha256_digest, to_bytes, to_hex
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.eip712 import ZERO_ADDRESS, Domain, TypedStruct, address, bytes32, uint256
from heartify.protocol.evidence import TeeKind
from heartify.protocol.grant_policy import GrantPolicy
from heartify.protocol.key_release import Challenge
from heartify.protocol.orders import AppOffer, DatasetGrant, GrantWanted, PoolOffer, Request
from heartify.protocol.plan import Plan, Purpose, parse_plan_toml
from heartify.protocol.receipts import KeyReceipt, Settlement
from heartify.protocol.result import HospitalResult, RuleResult, StudyResult, Weight
from heartify.protocol.sealing import SealingKey
from heartify.protocol.signing import address_of

DOMAIN = Domain(31337, "0x5fbdb2315678afecb367f032d93f642f64180aa3")
REGISTRY_DOMAIN = Domain(31337, "0xe7f1725e7734ce288f8367e1bb143e90bb3f0512")
PARTIES = ("hospital-1", "hospital-2", "broker-1", "broker-2", "app-author", "pool", "lab", "enclave")
PRIVATE_KEYS = {name: bytes([number]) * 32 for number, name in enumerate(PARTIES, 1)}
ACCOUNTS = {name: address(address_of(key)) for name, key in PRIVATE_KEYS.items()}

RESULT_SEED = bytes(range(0x40, 0x60))
ENCLAVE_SEED = bytes(range(0x60, 0x80))
NOW = 1_800_000_000
ETHER = 10**18

PLAN_TOML = """\
title = "Which factors weigh in coronary heart disease?"
purpose = "health-research"

[outcome]
column = "num"
above = 0

[[factors]]
name = "age"
column = "age"

[[factors]]
name = "cp4"
column = "cp"
equals = "4"
"""


def plan() -> Plan:
    return parse_plan_toml(PLAN_TOML)


def policy(hospital: str) -> GrantPolicy:
    return GrantPolicy(
        hospital=hospital, columns=("age", "cp", "num", "sex"), purposes=(Purpose.HEALTH_RESEARCH, Purpose.STATISTICS)
    )


def app_release() -> AppRelease:
    return AppRelease(
        name="Heartify",
        version="0.1.0",
        source_digest="0x" + "5a" * 32,
        measurements={"sgx": ("0x" + "a1" * 32,), "simulated-sgx": ("0x" + "b2" * 32, "0x" + "c3" * 32)},
    )


def version(number: int) -> bytes32:
    return bytes32(sha256_digest(f"manifest of hospital-{number}".encode()))


def grant(number: int) -> DatasetGrant:
    return DatasetGrant(
        datasetVersion=version(number),
        broker=ACCOUNTS[f"broker-{number}"],
        appRelease=bytes32(app_release().release_id()),
        requester=ZERO_ADDRESS,
        pool=ZERO_ADDRESS,
        teeKinds=uint256(TeeKind.SGX | TeeKind.SIMULATED_SGX),
        price=uint256(25 * ETHER * number),
        withheldBps=uint256(2_500),
        uses=uint256(10),
        policyDigest=bytes32(policy(f"hospital-{number}").digest()),
        notBefore=uint256(0),
        expiry=uint256(NOW + 86_400),
        nonce=uint256(2**160 - number),
    )


def app_offer() -> AppOffer:
    return AppOffer(
        appRelease=bytes32(app_release().release_id()),
        price=uint256(5 * ETHER),
        withheldBps=uint256(10_000),
        uses=uint256(1_000),
        requester=ZERO_ADDRESS,
        expiry=uint256(NOW + 86_400),
        nonce=uint256(7),
    )


def pool_offer() -> PoolOffer:
    return PoolOffer(
        pool=ACCOUNTS["pool"],
        teeKind=uint256(TeeKind.SIMULATED_SGX),
        sizeClass=uint256(1),
        price=uint256(3 * ETHER),
        uses=uint256(1),
        requester=ACCOUNTS["lab"],
        expiry=uint256(NOW + 3_600),
        nonce=uint256(0),
    )


def request() -> Request:
    wanted = tuple(GrantWanted(datasetVersion=version(n), maxPrice=uint256(60 * ETHER)) for n in (1, 2))
    return Request(
        requester=ACCOUNTS["lab"],
        planDigest=bytes32(plan().digest()),
        grants=wanted,
        appRelease=bytes32(app_release().release_id()),
        maxAppPrice=uint256(5 * ETHER),
        pool=ZERO_ADDRESS,
        sizeClass=uint256(1),
        maxPoolPrice=uint256(2**256 - 1),
        teeKinds=uint256(TeeKind.SIMULATED_SGX),
        resultKeyDigest=bytes32(sha256_digest(SealingKey.from_seed(RESULT_SEED).public_key)),
        minGrants=uint256(1),
        deadlineSeconds=uint256(3_600),
        expiry=uint256(NOW + 600),
        nonce=uint256(1),
    )


def deal_grant(number: int) -> DealGrant:
    order = grant(number)
    return DealGrant(
        datasetVersion=order.datasetVersion,
        owner=ACCOUNTS[f"hospital-{number}"],
        broker=order.broker,
        price=order.price,
        withheldBps=order.withheldBps,
        policyDigest=order.policyDigest,
    )


def deal() -> Deal:
    wanted = request()
    return Deal(
        requestDigest=bytes32(to_hex(wanted.digest(DOMAIN))),
        requester=wanted.requester,
        planDigest=wanted.planDigest,
        resultKeyDigest=wanted.resultKeyDigest,
        appRelease=wanted.appRelease,
        appAuthor=ACCOUNTS["app-author"],
        appPrice=app_offer().price,
        appWithheldBps=app_offer().withheldBps,
        pool=ACCOUNTS["pool"],
        poolPrice=pool_offer().price,
        stake=uint256(ETHER // 2),
        teeKind=pool_offer().teeKind,
        sizeClass=wanted.sizeClass,
        minGrants=wanted.minGrants,
        deadline=uint256(NOW + 3_600),
        grants=(deal_grant(1), deal_grant(2)),
    )


def key_receipt(number: int) -> KeyReceipt:
    return KeyReceipt(deal=deal().deal_id(DOMAIN), datasetVersion=version(number), enclave=ACCOUNTS["enclave"])


def settlement(sealed_result: bytes) -> Settlement:
    return Settlement(
        deal=deal().deal_id(DOMAIN),
        outcome=uint256(2),
        code=uint256(0),
        leftOut=uint256(0b10),
        resultDigest=bytes32(sha256_digest(sealed_result)),
    )


def challenge() -> Challenge:
    return Challenge(
        session="0123456789abcdef" * 2,
        deal=deal().deal_id(DOMAIN),
        nonce=to_hex(bytes(range(0x80, 0xA0))),
        broker=ACCOUNTS["broker-1"],
        expires=NOW + 60,
        signature="0x",
    )


def audit_entries() -> tuple[AuditEntry, ...]:
    """Return the audit log of hospital 1's broker up to the deal's end."""
    released = {
        "deal": deal().deal_id(DOMAIN),
        "version": version(1),
        "requester": ACCOUNTS["lab"],
        "enclave": ACCOUNTS["enclave"],
        "measurement": app_release().measurements["simulated-sgx"][0],
        "tee_kind": "simulated-sgx",
        "simulated": "yes",
        "attempt": "1",
    }
    told = (
        (AuditEvent.STARTED, {"version": "0.1.0"}),
        (AuditEvent.RELEASE_APPROVED, {"release": app_release().release_id(), "name": "Heartify 0.1.0"}),
        (AuditEvent.RELEASE_REFUSED, {"deal": deal().deal_id(DOMAIN), "reason_code": "evidence", "count": "3"}),
        (AuditEvent.KEYS_RELEASED, released),
        (AuditEvent.PAUSED, {"reason": 'Prüfung: "zu oft" gefragt \\ 心'}),
        (AuditEvent.RESUMED, {}),
    )
    entries: list[AuditEntry] = []
    for number, (event, details) in enumerate(told):
        entries.append(next_entry(entries[-1] if entries else None, NOW + 60 * number, event, details))
    return tuple(entries)


def restored_entries() -> tuple[AuditEntry, ...]:
    """Return how that log goes on when entries 5 and 6, of which 6 was anchored, are lost in a restore at block 77."""
    *kept, _, lost = audit_entries()
    told = (
        (
            AuditEvent.RESTORED,
            {
                "digest": sha256_digest(b"a backup"),
                "sequence": str(len(kept)),
                "block": "77",
                "anchor_sequence": str(lost.sequence),
                "anchor_head": lost.digest,
            },
        ),
        (AuditEvent.PAUSED, {"reason": "restored from a backup"}),
    )
    for number, (event, details) in enumerate(told):
        kept.append(next_entry(kept[-1], NOW + 3600 + 60 * number, event, details))
    return tuple(kept)


def audit_anchor() -> AuditAnchor:
    newest = audit_entries()[-1]
    return AuditAnchor(broker=ACCOUNTS["broker-1"], sequence=uint256(newest.sequence), head=bytes32(newest.digest))


def signed_orders() -> tuple[tuple[str, TypedStruct, str], ...]:
    """Return (name, order, who signs it)."""
    return (
        ("grant of hospital 1", grant(1), "hospital-1"),
        ("grant of hospital 2", grant(2), "hospital-2"),
        ("app offer", app_offer(), "app-author"),
        ("pool offer", pool_offer(), "pool"),
        ("request", request(), "lab"),
        ("key receipt of broker 1", key_receipt(1), "broker-1"),
        ("key receipt of broker 2", key_receipt(2), "broker-2"),
    )


def result() -> StudyResult:
    """Return a result of made-up numbers; hospital 2 is left out."""
    weight = Weight(
        term="age",
        factor="age",
        unit="a",
        beta=0.05,
        se=0.02,
        ci_low=0.011,
        ci_high=0.089,
        z=2.5,
        p="0.012",
        ratio=1.051,
        ratio_ci_low=1.011,
        ratio_ci_high=1.093,
        sd=9.04,
        beta_per_sd=0.452,
        se_per_sd=0.181,
        ratio_per_sd=1.571,
    )
    hospitals = (
        HospitalResult(
            name="hospital-1",
            dataset_version=version(1),
            status="contributed",
            n=300,
            events=140,
            intercept=-4.2,
            intercept_se=1.1,
        ),
        HospitalResult(name="hospital-2", dataset_version=version(2), status="left_out", reason="too_few_patients"),
    )
    return StudyResult(
        deal=deal().deal_id(DOMAIN),
        plan_digest=deal().planDigest,
        simulated=True,
        outcome="num > 0",
        n=300,
        events=140,
        events_n=300,
        auc=0.71,
        weights=(weight,),
        hospitals=hospitals,
        disclosure_profile="sdc-1",
        disclosure=tuple(RuleResult(rule=rule, verdict="pass") for rule in (1, 2, 3, 4)),
        notes=(),
    )


def deal_bytes() -> bytes:
    return to_bytes(deal().deal_id(DOMAIN))
