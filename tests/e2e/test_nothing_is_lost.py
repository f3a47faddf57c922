"""Bad input and broken parties: each ends in a named error or code, and nobody loses money."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from heartify.chain.node import EmbeddedChain, unsafe_fund
from heartify.chain.rpc import connect
from heartify.cohort.storage.store import open_store
from heartify.demo.world import DemoHospital, DemoWorld
from heartify.errors import ChainError, InputError, IntegrityError, RevertError, ServiceError, UsageError
from heartify.hospital.hospital import GrantTerms
from heartify.hospital.publishing.open_source import CohortSource
from heartify.hospital.publishing.terms import Decisions
from heartify.lab.home import DealRecord
from heartify.lab.lab import Lab
from heartify.lab.opening import Opened
from heartify.market.catalogue import load_documents
from heartify.party.account import account_balance, withdraw
from heartify.protocol.outcomes import DealState
from heartify.protocol.plan import FactorSpec

SECONDS = 120


def hospital_of(world: DemoWorld, name: str) -> DemoHospital:
    return next(item for item in world.hospitals if item.name == name)


def version_folder(world: DemoWorld, name: str) -> Path:
    return world.work / "stores" / name / hospital_of(world, name).published.version.removeprefix("0x")


def run(world: DemoWorld, *, min_grants: int | None = None, only: str | None = None) -> DealRecord:
    versions = None if only is None else [hospital_of(world, only).published.version]
    quote = world.lab.quote(world.cohorts.plan, versions=versions)
    record = world.lab.run(quote, min_grants=min_grants, deadline_seconds=600)
    world.lab.submit(record)
    world.lab.wait(record.deal_id, timeout_seconds=SECONDS)
    return record


def lab_wealth(world: DemoWorld) -> int:
    balance = account_balance(world.lab.home.path)
    return balance.tokens + balance.free + balance.locked


def restart_broker(world: DemoWorld, name: str) -> None:
    item = hospital_of(world, name)
    world.services.start(f"broker-{name}", ["hospital", "broker", "--home", str(item.hospital.home.path)])
    world.services.wait_until_ready(f"broker-{name}", item.broker_url)


def open_outcome(world: DemoWorld, record: DealRecord) -> Opened:
    return world.lab.open(record.deal_id)


def test_a_plan_with_an_unknown_factor_is_refused_before_payment(world: DemoWorld) -> None:
    plan = msgspec.structs.replace(world.cohorts.plan, factors=(FactorSpec(name="crp", column="crp"),))
    before = lab_wealth(world)

    with pytest.raises(InputError, match="'crp', which the dataset does not have"):
        world.lab.quote(plan)

    assert lab_wealth(world) == before


def test_a_lab_without_money_makes_no_deal_and_burns_no_nonce(world: DemoWorld, tmp_path: Path) -> None:
    poor = Lab.init(tmp_path / "lab", world.password, deployment=world.deployment_file)
    unsafe_fund(world.chain.rpc_url, poor.settings.account, 1)
    quote = poor.quote(world.cohorts.plan)

    with pytest.raises(UsageError, match="0 base units"):
        poor.run(quote)

    assert poor.home.deal_ids() == ()
    assert account_balance(poor.home.path).locked == 0


def test_a_price_over_the_labs_limit_is_refused_before_payment(world: DemoWorld) -> None:
    quote = world.lab.quote(world.cohorts.plan)
    before = lab_wealth(world)

    with pytest.raises(UsageError, match="over the limit"):
        world.lab.run(quote, max_total=quote.total - 1)

    assert lab_wealth(world) == before


def test_a_small_cell_withholds_the_result_and_only_the_pool_is_paid(world: DemoWorld) -> None:
    before = lab_wealth(world)

    record = run(world, only="switzerland")

    opened = open_outcome(world, record)
    assert opened.settlement.outcome == "withheld: disclosure code 2"
    assert opened.result is None
    assert opened.bundle.sealed_result is None
    assert opened.verification.verified
    assert lab_wealth(world) == before - 40_000_000


def test_a_broker_that_is_down_leaves_its_hospital_out_and_unpaid(world: DemoWorld) -> None:
    world.services.stop("broker-va")
    before = lab_wealth(world)
    try:
        record = run(world, min_grants=3)
    finally:
        restart_broker(world, "va")

    opened = open_outcome(world, record)
    assert opened.result is not None
    left_out = {hospital.name: hospital.reason for hospital in opened.result.hospitals if hospital.status == "left_out"}
    assert left_out == {"va": "no_keys"}
    assert lab_wealth(world) == before - (200 + 225 + 250 + 20 + 40) * 1_000_000


def test_too_few_keys_fail_the_deal_and_refund_everything(world: DemoWorld) -> None:
    world.services.stop("broker-va")
    before = lab_wealth(world)
    try:
        record = run(world, min_grants=4)
    finally:
        restart_broker(world, "va")

    assert open_outcome(world, record).settlement.outcome == "failed: keys-unavailable"
    assert lab_wealth(world) == before


def test_a_production_policy_refuses_simulated_evidence(world: DemoWorld) -> None:
    root = hospital_of(world, "hungarian").hospital.home.path / "unsafe-simulated-root.pem"
    hidden = root.with_suffix(".hidden")
    world.services.stop("broker-hungarian")
    root.rename(hidden)
    restart_broker(world, "hungarian")
    try:
        record = run(world, min_grants=3)
    finally:
        world.services.stop("broker-hungarian")
        hidden.rename(root)
        restart_broker(world, "hungarian")

    opened = open_outcome(world, record)
    assert opened.result is not None
    assert [hospital.name for hospital in opened.result.hospitals if hospital.reason == "no_keys"] == ["hungarian"]
    assert hospital_of(world, "hungarian").hospital.status().releases[-1].deal != record.deal_id


def flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def objects_folder(world: DemoWorld, name: str) -> Path:
    return version_folder(world, name).parent / "objects"


def files_of(world: DemoWorld, name: str) -> dict[tuple[str, int], Path]:
    manifest = json.loads((version_folder(world, name) / "manifest.json").read_bytes())
    folder = objects_folder(world, name)
    return {(e["column"], e["part"]): folder / e["digest"].removeprefix("0x") for e in manifest["columns"]}


@pytest.mark.parametrize("damage", [flip_byte, truncate])
def test_damaged_ciphertext_fails_the_deal_and_refunds_everything(
    world: DemoWorld, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    folder = objects_folder(world, "cleveland")
    shutil.copytree(folder, tmp_path / "good")
    before = lab_wealth(world)
    for path in files_of(world, "cleveland").values():
        damage(path)
    try:
        record = run(world, min_grants=1)
    finally:
        shutil.copytree(tmp_path / "good", folder, dirs_exist_ok=True)

    assert open_outcome(world, record).settlement.outcome == "failed: input-damaged"
    assert lab_wealth(world) == before


def test_files_swapped_between_hospitals_fail_the_deal(world: DemoWorld, tmp_path: Path) -> None:
    folder, others = objects_folder(world, "cleveland"), files_of(world, "hungarian")
    shutil.copytree(folder, tmp_path / "good")
    before = lab_wealth(world)
    for place, path in files_of(world, "cleveland").items():
        shutil.copy(others[place], path)
    try:
        record = run(world, min_grants=1)
    finally:
        shutil.copytree(tmp_path / "good", folder, dirs_exist_ok=True)

    assert open_outcome(world, record).settlement.outcome == "failed: input-damaged"
    assert lab_wealth(world) == before


def test_a_tampered_manifest_makes_the_pool_give_the_deal_back(world: DemoWorld) -> None:
    quote = world.lab.quote(world.cohorts.plan)
    manifest = version_folder(world, "va") / "manifest.json"
    good, before = manifest.read_bytes(), lab_wealth(world)
    manifest.write_bytes(good.replace(b'"rows_rounded":200', b'"rows_rounded":205'))
    try:
        record = world.lab.run(quote, deadline_seconds=600)
        world.lab.submit(record)
        status = world.lab.wait(record.deal_id, timeout_seconds=SECONDS)
    finally:
        manifest.write_bytes(good)

    assert status.state is DealState.FAILED
    assert lab_wealth(world) == before
    with pytest.raises(UsageError, match="without an enclave's word"):
        world.lab.open(record.deal_id)


def test_a_pool_that_is_down_after_payment_gets_the_plan_later(world: DemoWorld) -> None:
    quote = world.lab.quote(world.cohorts.plan)
    world.services.stop("pool")

    record = world.lab.run(quote, min_grants=1, deadline_seconds=600)

    with pytest.raises(ServiceError):
        world.lab.submit(record)

    world.services.start("pool", ["pool", "start", "--home", str(world.pool.home.path)])
    world.services.wait_until_ready("pool", world.pool.settings.url)
    status = world.lab.wait(record.deal_id, timeout_seconds=SECONDS)
    assert status.state is DealState.DELIVERED


def test_silence_is_refunded_with_the_pools_stake(world: DemoWorld) -> None:
    quote = world.lab.quote(world.cohorts.plan)
    before, stake = lab_wealth(world), quote.pool.order.price // 10
    world.services.stop("pool")
    try:
        record = world.lab.run(quote, deadline_seconds=60)
        with pytest.raises(RevertError, match="before the deadline"):
            world.lab.reclaim(record.deal_id)
        connection = connect(world.chain.rpc_url)
        connection.request("evm_increaseTime", [120])
        connection.request("evm_mine", [])
        world.lab.reclaim(record.deal_id)
    finally:
        world.services.start("pool", ["pool", "start", "--home", str(world.pool.home.path)])
        world.services.wait_until_ready("pool", world.pool.settings.url)

    assert lab_wealth(world) == before + stake
    rows = [(row.party, row.role, int(row.amount)) for row in world.lab.settlement(record.deal_id).payments]
    assert rows == [("lab", "refund", quote.total), ("lab", "the pool's stake", stake)]


def test_another_lab_cannot_open_the_result(world: DemoWorld, tmp_path: Path) -> None:
    record = run(world, min_grants=1)
    world.lab.open(record.deal_id)
    other = Lab.init(
        tmp_path / "other",
        world.password,
        deployment=world.deployment_file,
        unsafe_simulated_root=world.pool.home.simulated_root_file,
    )
    shutil.copytree(world.lab.home.path / "deals", other.home.path / "deals")

    with pytest.raises(IntegrityError, match="another lab's key"):
        other.open(record.deal_id)


def test_a_tampered_receipt_is_not_verified(world: DemoWorld) -> None:
    record = run(world, min_grants=1)
    receipt = world.lab.open(record.deal_id).bundle.receipt
    forged = msgspec.structs.replace(receipt, settlement={**receipt.settlement, "resultDigest": "0x" + "12" * 32})

    verification = world.lab.verify(forged)

    assert not verification.verified
    assert {check.name for check in verification.checks if not check.passed} >= {"chain", "enclave signature"}


def test_a_revoked_grant_is_used_no_more(world: DemoWorld) -> None:
    item = hospital_of(world, "va")
    held = item.hospital.status().grants[0]

    item.hospital.revoke_grant(held.order_digest)

    quote = world.lab.quote(world.cohorts.plan)
    terms = GrantTerms(price=held.signed.order.price, uses=100, tee_kinds=("simulated-sgx",))
    item.hospital.grant(item.published.version, terms)
    assert "va" not in {grant.entry.hospital for grant in quote.grants}
    assert "va" in {grant.entry.hospital for grant in world.lab.quote(world.cohorts.plan).grants}
    assert any("no live grant" in unsuitable.reason for unsuitable in quote.unsuitable)


def test_each_version_names_the_one_before_it(world: DemoWorld) -> None:
    item = hospital_of(world, "va")
    cohort = CohortSource(str(world.cohorts.csv_files["va"]), world.cohorts.dictionary_file)
    decisions = Decisions(
        accepted_findings=world.cohorts.accepted_findings.get("va", {}),
        few_changes_reason="the same rows again, for the sake of a test",
    )

    versions = [item.hospital.publish(cohort, dataset_name="again", decisions=decisions).version for _ in range(3)]

    store = open_store(item.published.url)
    previous = [load_documents(store, version).manifest.previous for version in versions]
    assert previous == [None, versions[0], versions[1]]


def test_hospitals_can_withdraw_what_they_earned(world: DemoWorld) -> None:
    item = hospital_of(world, "cleveland")
    earned = item.hospital.status().earned
    assert earned > 0

    balance = withdraw(item.hospital.home.path, world.password, earned)

    assert (balance.free, balance.tokens) == (0, earned)


def test_a_chain_that_is_down_is_a_named_error_and_comes_back_with_everything(world: DemoWorld) -> None:
    port = int(world.chain.rpc_url.rsplit(":", 1)[1])
    before = lab_wealth(world)
    world.chain.stop()

    with pytest.raises(ChainError, match="cannot be reached"):
        world.lab.quote(world.cohorts.plan)

    world.chain = EmbeddedChain.start(world.work / "chain", port=port)
    assert lab_wealth(world) == before
    record = run(world, min_grants=1)
    assert open_outcome(world, record).settlement.outcome == "delivered"
