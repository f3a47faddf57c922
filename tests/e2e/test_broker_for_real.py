"""What befalls a hospital's broker, end to end: killed, put back, paused, lied to. Chain, brokers, pool are processes.

The north's broker is reached through a host that may do anything (detour.py), the south's by TLS of a private
authority. Each test leaves the market as it found it, so each deal after it shows that it did.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from heartify.attestation.simulated import SimulatedPlatform
from heartify.attestation.simulated.collateral import SimulatedIssue
from heartify.chain.deployment import load_deployment
from heartify.demo.processes import free_port
from heartify.errors import IntegrityError, ServiceError
from heartify.party.app_release import deployed_app_release
from heartify.party.http_client import get_json
from tests.e2e.broker_market import BrokerMarket, run_command
from tests.e2e.detour import LostError, pass_on

BOTH: dict[str, str] = {}
NO_NORTH = {"north": "no_keys"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerMarket]:
    with pytest.MonkeyPatch.context() as patch:
        made = BrokerMarket(tmp_path_factory.mktemp("broker"))
        patch.setenv("HEARTIFY_PASSWORD_FILE", str(made.password_file))
        try:
            made.start()
            yield made
        finally:
            made.close()


@pytest.fixture
def market(running: BrokerMarket) -> Iterator[BrokerMarket]:
    yield running
    running.detour.straight()


def status(market: BrokerMarket) -> dict:
    return market.hospital("north", "broker", "status", "--json").document


def approved(market: BrokerMarket) -> str:
    (release,) = market.hospital("north", "broker", "approvals", "--json").document
    return release["release"]


def check_log_agrees(market: BrokerMarket) -> None:
    """The north's own audit: the chain of digests, anchors, settled deals, and the use counter."""
    market.hospital("north", "audit", "anchor")
    checks = market.hospital("north", "audit", "verify", "--json").document["checks"]
    assert {check["name"] for check in checks if check["passed"]} >= {"entries", "anchors", "releases", "use counter"}


def test_pool_reaches_a_broker_whose_certificate_a_private_authority_signed(market: BrokerMarket) -> None:
    deal = market.study()

    assert deal.outcome == "delivered"
    assert deal.left_out == BOTH
    with pytest.raises(ServiceError, match="can't be reached"):  # without being told of the authority
        get_json(f"https://127.0.0.1:{market.south_port}/v1/health")


def test_a_receipts_evidence_verifies_with_what_the_hospital_approved(market: BrokerMarket) -> None:
    receipt = market.work / "results" / market.study().deal_id / "receipt.json"

    verified = run_command("attest", "verify", receipt, "--home", market.home("north"), "--json").document
    standing = run_command("attest", "tcb-status", receipt, "--home", market.home("lab"), "--json").document

    assert [item["verified"] for item in verified] == [True, True]
    assert len(standing) == 1  # both quotes are of one machine
    market.hospital("north", "broker", "withdraw-approval", approved(market))
    nothing = run_command("attest", "verify", receipt, "--home", market.home("north"), code=2)
    market.hospital("north", "broker", "approve")
    assert "no measurement of simulated-sgx" in nothing.err


def test_broker_killed_before_it_logged_a_release_delivers_after_its_restart(market: BrokerMarket) -> None:
    def kill_once(route: str, body: bytes) -> bytes:
        if route != "releases":
            return body
        market.detour.on_request = pass_on
        market.kill_broker("north")
        market.start_broker("north")
        raise LostError

    market.detour.on_request = kill_once

    deal = market.study()

    assert (deal.outcome, deal.left_out) == ("delivered", BOTH)
    assert market.detour.passed == ["challenges 200", "challenges 200", "releases 200"]
    counted, logged = market.releases(deal.deal_id)
    assert (counted, [attempt for _, attempt in logged]) == (1, ["1"])
    check_log_agrees(market)


def test_broker_killed_right_after_it_logged_a_release_delivers_at_no_further_use(market: BrokerMarket) -> None:
    def kill_once(route: str, answer: bytes) -> bytes:
        if route != "releases":
            return answer
        market.detour.on_answer = pass_on
        market.kill_broker("north")
        market.start_broker("north")
        raise LostError

    market.detour.on_answer = kill_once

    deal = market.study()

    assert (deal.outcome, deal.left_out) == ("delivered", BOTH)
    assert market.detour.passed == ["challenges 200", "releases 200", "challenges 200", "releases 200"]
    counted, logged = market.releases(deal.deal_id)
    assert counted == 1
    assert logged == [(logged[0][0], "1")] * 2  # both answers are logged; they are one use of one enclave
    check_log_agrees(market)


def test_pause_during_a_run_leaves_the_hospital_out_and_resume_brings_it_back(market: BrokerMarket) -> None:
    def pause(route: str, body: bytes) -> bytes:
        if route == "releases":
            market.hospital("north", "broker", "pause", "a look at the log")
        return body

    market.detour.on_request = pause
    paused = market.study()
    refused = list(market.detour.passed)
    market.detour.straight()
    problems = status(market)["problems"]
    market.hospital("north", "broker", "resume")

    resumed = market.study()

    assert (paused.outcome, paused.left_out) == ("delivered", NO_NORTH)
    assert any("the broker is paused (a look at the log)" in problem for problem in problems)
    assert refused == ["challenges 200", "releases 403"]
    assert market.releases(paused.deal_id) == (0, [])
    assert market.logged("paused")[-1] == {"reason": "a look at the log"}
    assert resumed.left_out == BOTH


def test_approving_a_release_replaces_the_former_one(market: BrokerMarket, tmp_path: Path) -> None:
    own = deployed_app_release(load_deployment(market.deployment))
    next_release = msgspec.structs.replace(own, version="99.0", measurements={"sgx": ("0x" + "77" * 32,)})
    (tmp_path / "next.json").write_bytes(msgspec.json.encode(next_release))
    confirmed = ["--confirm-measurement", "0x" + "77" * 32]

    market.hospital("north", "broker", "approve", "--app-release", tmp_path / "next.json", *confirmed)
    replaced = market.study()
    market.hospital("north", "broker", "approve")
    back = market.study()

    assert (replaced.outcome, replaced.left_out) == ("delivered", NO_NORTH)
    assert market.logged("release-replaced")[-2:] == [
        {"release": own.release_id(), "by": next_release.release_id()},
        {"release": next_release.release_id(), "by": own.release_id()},
    ]
    assert market.logged("release-refused")[-1]["reason_code"] == "approval"
    assert back.left_out == BOTH


def test_broker_with_a_collateral_service_ignores_the_stale_collateral_of_the_host(market: BrokerMarket) -> None:
    platform = market.home("pool") / "unsafe-simulated-platform"
    stale = SimulatedPlatform.load(platform).collateral_of_issue(
        SimulatedIssue(now_utc_seconds=int(time.time()) - 20 * 86400)
    )

    def exchange(route: str, body: bytes) -> bytes:
        if route != "releases":
            return body
        request = json.loads(body)
        request["evidence"]["collateral"] = stale
        return json.dumps(request).encode()

    market.detour.on_request = exchange
    believing = market.study()
    port = free_port()
    serve = ["attest", "unsafe-simulated-pccs", "--platform", str(platform), "--port", str(port)]
    market.services.start("pccs", serve)
    market.home("north").joinpath("collateral.toml").write_text(
        f'format = "heartify.collateral/1"\npccs_url = "http://127.0.0.1:{port}"\n'
    )
    market.stop_broker("north")
    market.start_broker("north")

    fetching = market.study()

    found = status(market)
    market.services.stop("pccs")
    market.home("north").joinpath("collateral.toml").unlink()
    market.stop_broker("north")
    market.start_broker("north")
    assert (believing.outcome, believing.left_out) == ("delivered", NO_NORTH)  # its marks had seen newer
    assert market.logged("release-refused")[-1]["reason_code"] == "collateral"
    assert (fetching.outcome, fetching.left_out) == ("delivered", BOTH)
    (kept,) = found["status"]["collateral"]["kept"]
    assert kept["name"].startswith("sgx/")
    assert not any("collateral" in problem for problem in found["problems"])


def test_hospital_that_requires_a_sandbox_refuses_a_pool_without(market: BrokerMarket) -> None:
    if not market.is_sandboxed:
        pytest.skip("no bubblewrap or no seccomp on this machine: its pools have no sandbox")
    settings = market.home("pool") / "pool.json"
    before = settings.read_bytes()
    document = json.loads(before)

    def restart(isolation: str) -> None:
        market.services.stop("pool")
        settings.write_bytes(msgspec.json.encode(document | {"isolation": isolation}))
        market.start_pool("pool")

    restart("unsafe-plain-process")
    plain = market.study()
    restart(document["isolation"])
    sandboxed = market.study()

    assert (plain.outcome, plain.left_out) == ("delivered", NO_NORTH)
    assert market.logged("release-refused")[-1]["reason_code"] == "evidence"
    assert sandboxed.left_out == BOTH


def test_a_restore_gives_earlier_deals_no_keys_and_auditors_hear_the_story(
    market: BrokerMarket, tmp_path: Path
) -> None:
    home, backup, export = market.home("north"), tmp_path / "one.backup", tmp_path / "audit.jsonl"
    market.hospital("north", "broker", "backup", backup)
    lost = market.study()
    anchored = json.loads(market.hospital("north", "audit", "anchor", "--json").out)["sequence"]

    def break_the_disk(route: str, body: bytes) -> bytes:
        """While a deal is under way, the disk breaks; the steward restores the backup and looks through it."""
        if route != "challenges":
            return body
        market.detour.on_request = pass_on
        market.kill_broker("north")
        for path in home.glob("broker.sqlite*"):
            path.unlink()
        restored.update(market.hospital("north", "broker", "restore", backup, "--json").document)
        market.hospital("north", "broker", "resume")
        market.start_broker("north")
        return body

    restored: dict[str, object] = {}
    market.detour.on_request = break_the_disk
    under_way = market.study()
    later = market.study()
    market.hospital("north", "audit", "anchor")
    market.hospital("north", "audit", "export", export)
    auditor = ["audit", "verify", export, "--deployment", market.deployment, "--json"]

    told = run_command(*auditor, code=IntegrityError.exit_code).document

    assert (lost.left_out, under_way.left_out, later.left_out) == (BOTH, NO_NORTH, BOTH)
    assert restored["lost_anchor"] == anchored
    assert market.releases(lost.deal_id) == market.releases(under_way.deal_id) == (0, [])
    assert market.releases(later.deal_id)[0] == 1
    assert [check["name"] for check in told["checks"] if not check["passed"]] == ["restores"]
    (finding,) = told["restores"]
    assert (finding["first_lost"], finding["last_lost"]) == (restored["kept_audit_entries"] + 1, anchored)
    assert finding["lost_deals"] == [lost.deal_id]
    assert finding["block"] == restored["block"]
    known = run_command(*auditor, "--known-restore", finding["digest"]).document
    assert known["passed"]
    assert known["restores"][0]["lost_deals"] == [lost.deal_id]


def test_a_simulated_tdx_pool_delivers(market: BrokerMarket) -> None:
    """The last one: its pool is the cheaper of the two, and labs choose it from now on."""
    market.add_pool("td-pool", price=1, tee_kind="simulated-tdx")
    market.trust_root_of("td-pool")
    market.start_pool("td-pool")

    deal = market.study()

    assert (deal.outcome, deal.left_out) == ("delivered", BOTH)
    assert {item["tee_kind"] for item in market.logged("keys-released")[-1:]} == {"simulated-tdx"}
