"""A genuine bundle of two hospitals, every signature and quote in it real, and a market written by hand beside it."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.policy import unsafe_simulation_policy
from heartify.attestation.simulated import SimulatedPlatform
from heartify.chain.deployment import Deployment
from heartify.chain.events import MatchedDeal, Payment, PaymentRole, Place, SettledDeal
from heartify.party.market_access import MarketAccess
from heartify.protocol.app_release import AppRelease
from heartify.protocol.bundle import Receipt, ReleaseRecord, ResultBundle
from heartify.protocol.canonical import sha256_digest, to_bytes, to_hex
from heartify.protocol.deal import Deal, DealGrant
from heartify.protocol.eip712 import ZERO_ADDRESS
from heartify.protocol.evidence import TeeKind, report_data
from heartify.protocol.outcomes import DealState
from heartify.protocol.plan import FactorSpec, OutcomeSpec, Plan, Purpose
from heartify.protocol.receipts import KeyReceipt, Settlement
from heartify.protocol.result import HospitalResult, RuleResult, StudyResult, Weight, encode_result, result_info
from heartify.protocol.sealing import SealingKey, seal
from heartify.protocol.signing import address_of, sign_digest

NOW = 1_795_000_000
MEASUREMENT = bytes(range(32))
DEPLOYMENT = Deployment(
    chain_id=31337,
    rpc_url="http://127.0.0.1:9",
    market="0x" + "ab" * 20,
    registry="0x" + "ac" * 20,
    token="0x" + "ad" * 20,
    token_symbol="HTT",
    token_decimals=6,
    stake_bps=1000,
    block=0,
    embedded=True,
    finality="latest",
)
DOMAIN = DEPLOYMENT.domain
RESULT_SEED = b"\x31" * 32
ENCLAVE_PRIVATE_KEY = b"\x32" * 32
BROKER_PRIVATE_KEYS = (b"\x33" * 32, b"\x34" * 32)
PLAN = Plan(
    title="Age",
    purpose=Purpose.HEALTH_RESEARCH,
    outcome=OutcomeSpec(column="cvd", equals="1"),
    factors=(FactorSpec(name="age", column="age"),),
)
APP_RELEASE = AppRelease(
    name="heartify",
    version="1.0.0",
    source_digest="0x" + "35" * 32,
    measurements={"simulated-sgx": (to_hex(MEASUREMENT),)},
)


def build_deal(result_public_key: bytes) -> Deal:
    grants = tuple(
        DealGrant(
            datasetVersion="0x" + f"{index + 1:02x}" * 32,
            owner="0x" + f"{index + 1:02x}" * 20,
            broker=address_of(key),
            price=100,
            withheldBps=0,
            policyDigest="0x" + "36" * 32,
        )
        for index, key in enumerate(BROKER_PRIVATE_KEYS)
    )
    return Deal(
        requestDigest="0x" + "37" * 32,
        requester="0x" + "38" * 20,
        planDigest=PLAN.digest(),
        resultKeyDigest=sha256_digest(result_public_key),
        appRelease=APP_RELEASE.release_id(),
        appAuthor="0x" + "39" * 20,
        appPrice=20,
        appWithheldBps=0,
        pool="0x" + "3a" * 20,
        poolPrice=40,
        stake=4,
        teeKind=int(TeeKind.SIMULATED_SGX),
        sizeClass=1,
        minGrants=2,
        deadline=NOW + 3600,
        grants=grants,
    )


def build_result(deal_id: str) -> StudyResult:
    weight = Weight(
        term="age",
        factor="age",
        unit="a",
        beta=0.05,
        se=0.01,
        ci_low=0.03,
        ci_high=0.07,
        z=5.0,
        p="<0.001",
        ratio=1.05,
        ratio_ci_low=1.03,
        ratio_ci_high=1.07,
        sd=10.0,
        beta_per_sd=0.5,
        se_per_sd=0.1,
        ratio_per_sd=1.65,
    )
    hospitals = tuple(
        HospitalResult(name=name, dataset_version="0x" + f"{i + 1:02x}" * 32, status="contributed", n=100, events=50)
        for i, name in enumerate(("aspen", "birch"))
    )
    return StudyResult(
        deal=deal_id,
        plan_digest=PLAN.digest(),
        simulated=True,
        outcome="cvd = 1",
        n=200,
        events=100,
        events_n=200,
        auc=0.7,
        weights=(weight,),
        hospitals=hospitals,
        disclosure_profile="sdc-1",
        disclosure=(RuleResult(rule=1, verdict="pass"),),
        notes=(),
    )


def build_bundle(platform: SimulatedPlatform, deal: Deal, result_public_key: bytes) -> ResultBundle:
    """Do what enclave, brokers and host do together, with real keys."""
    deal_id, enclave = deal.deal_id(DOMAIN), address_of(ENCLAVE_PRIVATE_KEY)
    encryption = SealingKey.from_seed(b"\x3b" * 32).public_key
    releases = []
    for index, (grant, key) in enumerate(zip(deal.grants, BROKER_PRIVATE_KEYS, strict=True)):
        nonce = bytes([index + 1]) * 32
        bound = report_data(
            nonce=nonce,
            broker=to_bytes(grant.broker),
            chain_id=DOMAIN.chain_id,
            contract=to_bytes(DOMAIN.contract),
            deal=to_bytes(deal_id),
            plan_digest=to_bytes(deal.planDigest),
            encryption_public_key=encryption,
            enclave_address=to_bytes(enclave),
        )
        key_receipt = KeyReceipt(deal=deal_id, datasetVersion=grant.datasetVersion, enclave=enclave)
        releases.append(
            ReleaseRecord(
                grant=index,
                nonce=to_hex(nonce),
                quote=to_hex(platform.quote(MEASUREMENT, bound)),
                key_receipt_signature=sign_digest(key, key_receipt.digest(DOMAIN)),
            )
        )
    sealed = seal(encode_result(build_result(deal_id)), result_public_key, result_info(deal_id))
    settlement = Settlement(deal=deal_id, outcome=2, code=0, leftOut=0, resultDigest=sha256_digest(sealed))
    receipt = Receipt(
        simulated=True,
        chain_id=DOMAIN.chain_id,
        market=DOMAIN.contract,
        deal_id=deal_id,
        deal=deal.to_json(),
        plan=PLAN,
        app_release=APP_RELEASE,
        tee_kind="simulated-sgx",
        collateral=platform.collateral(NOW),
        enclave=enclave,
        encryption_public_key=to_hex(encryption),
        releases=tuple(releases),
        settlement=settlement.to_json(),
        enclave_signature=sign_digest(ENCLAVE_PRIVATE_KEY, settlement.digest(DOMAIN)),
    )
    return ResultBundle(receipt=receipt, sealed_result=to_hex(sealed))


class FakeMarket:
    """A market with one deal, as its events would show it; empty boards of orders."""

    def __init__(self, deal: Deal, settled: SettledDeal) -> None:
        self.deal = deal
        self.deal_id = deal.deal_id(DOMAIN)
        self.state = DealState.DELIVERED
        self.settled: SettledDeal | None = settled
        self.paid = [
            *(Payment(grant.owner, PaymentRole.DATASET, grant.price) for grant in deal.grants),
            Payment(deal.appAuthor, PaymentRole.APP, deal.appPrice),
            Payment(deal.pool, PaymentRole.POOL, deal.poolPrice),
        ]

    def status_of(self, deal_id: str, *, block=None) -> DealState:
        return self.state if deal_id == self.deal_id else DealState.NONE

    def settlement_of(self, deal_id: str) -> SettledDeal | None:
        return self.settled if deal_id == self.deal_id else None

    def payments(self, deal_id: str):
        return tuple(self.paid) if deal_id == self.deal_id else ()

    def deals_reclaimed(self, *, deal_id: str):
        return ()

    def find_deal(self, deal_id: str) -> MatchedDeal:
        assert deal_id == self.deal_id
        return MatchedDeal(deal_id, self.deal, Place(1, 0, "0x" + "01" * 32))

    def grants_posted(self, _from_block):
        return ()

    app_offers_posted = pool_offers_posted = grants_posted


class FakeRegistry:
    def version_events(self):
        return ()

    def owners_of(self, versions):
        return tuple(ZERO_ADDRESS for _ in versions)


def fake_connection() -> SimpleNamespace:
    eth = SimpleNamespace(
        get_block=lambda number: {"number": number, "timestamp": NOW},
        get_transaction_receipt=lambda _tx: {"gasUsed": 123_456},
    )
    return SimpleNamespace(web3=SimpleNamespace(eth=eth))


@dataclasses.dataclass
class Run:
    """A finished run: bundle, market, and what verifies it."""

    platform: SimulatedPlatform
    deal: Deal
    bundle: ResultBundle
    market: FakeMarket
    access: MarketAccess

    @property
    def policy(self):
        return unsafe_simulation_policy(self.platform.root_der)

    @property
    def root_pem(self) -> bytes:
        return self.platform.certificates.root.public_bytes(Encoding.PEM)


@pytest.fixture(scope="session")
def lab_platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(NOW)


@pytest.fixture(scope="session")
def genuine(lab_platform) -> tuple[Deal, ResultBundle]:
    result_public_key = SealingKey.from_seed(RESULT_SEED).public_key
    deal = build_deal(result_public_key)
    return deal, build_bundle(lab_platform, deal, result_public_key)


@pytest.fixture
def run(lab_platform, genuine) -> Run:
    deal, bundle = genuine
    stated = bundle.receipt.settlement
    settlement = Settlement(deal=stated["deal"], outcome=2, code=0, leftOut=0, resultDigest=stated["resultDigest"])
    settled = SettledDeal(settlement, bundle.receipt.enclave, Place(7, 0, "0x" + "02" * 32))
    market = FakeMarket(deal, settled)
    access = MarketAccess(DEPLOYMENT, fake_connection(), market, FakeRegistry(), None, None)
    return Run(lab_platform, deal, bundle, market, access)


@pytest.fixture
def result_seed() -> bytes:
    return RESULT_SEED
