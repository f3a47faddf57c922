"""`heartify hospital broker …` for the steward: status, pause, approvals, rules, on a real home and chain."""

from __future__ import annotations

import json
import time

import msgspec
import pytest
import sqlalchemy as sa

from heartify.attestation.collateral_service.collateral_cache import KeptCollateral
from heartify.broker.collateral_cache import BrokerCollateralCache
from heartify.broker.database import collateral_cache, open_database, writing
from heartify.broker.migrations.prepare_schema import CURRENT_REVISION
from heartify.chain.deployment import load_deployment
from heartify.errors import PolicyError, UsageError
from heartify.hospital.broker_control import BrokerControl
from heartify.hospital.home import HospitalHome
from heartify.party.app_release import deployed_app_release

LAB = "0x" + "0a" * 20


def broker(run, *arguments):
    return run("hospital", "broker", *arguments)


def test_status_says_first_what_needs_attention(run, market):
    ran = broker(run, "status")

    assert ran.code == 0
    assert ran.out.startswith("! the broker does not answer at http://127.0.0.1:1")
    assert "keys released" in ran.out


def test_status_for_machines_holds_problems_and_facts(run, market):
    found = broker(run, "status", "--json").document

    assert any("does not answer" in problem for problem in found["problems"])
    assert found["status"]["hospital"] == "aspen"
    assert found["status"]["service"] == "unreachable"
    assert found["status"]["chain"]["may_idle"] is True
    assert (found["status"]["schema"], found["status"]["rotation_under_way"]) == (CURRENT_REVISION, False)
    assert (found["status"]["collateral"], found["status"]["signed_entry"]) == (None, 0)


def test_status_tells_where_collateral_comes_from_and_how_old_it_is(run, market):
    settings = market.hospital / "collateral.toml"
    settings.write_text('format = "heartify.collateral/1"\npccs_url = "https://pccs.example"\n')
    engine = open_database(HospitalHome(market.hospital).database_url)
    damaged = KeptCollateral("dcap/a/b", "{}", int(time.time()) - 8 * 3600)
    BrokerCollateralCache(engine).replace(damaged, lambda _: None)

    try:
        found = broker(run, "status", "--json").document
        shown = broker(run, "status").out
    finally:
        settings.unlink()
        with writing(engine) as connection:
            connection.execute(sa.delete(collateral_cache))
        engine.dispose()

    assert found["status"]["collateral"]["refresh_seconds"] == 6 * 3600
    assert any("dcap/a/b has ended" in problem for problem in found["problems"])
    assert "https://pccs.example" in shown
    assert "dcap/a/b: 8 hours old" in shown


def test_pause_and_resume(run, market):
    assert broker(run, "pause", "a look at the log").code == 0
    assert broker(run, "status", "--json").document["status"]["paused"] == "a look at the log"

    assert broker(run, "resume").code == 0

    assert broker(run, "status", "--json").document["status"]["paused"] is None
    assert broker(run, "resume").code == UsageError.exit_code


def test_approving_and_withdrawing_the_deployments_release(run, market):
    release_id = deployed_app_release(load_deployment(market.deployment)).release_id()
    assert broker(run, "approve").code == 0
    assert [item["release"] for item in broker(run, "approvals", "--json").document] == [release_id]
    assert release_id in broker(run, "approvals").out

    assert broker(run, "withdraw-approval", release_id).code == 0

    assert broker(run, "approvals", "--json").document == []
    assert broker(run, "withdraw-approval", release_id).code == UsageError.exit_code


def test_release_that_this_machine_does_not_compute_needs_its_measurements_by_name(run, market, tmp_path):
    release = deployed_app_release(load_deployment(market.deployment))
    other = msgspec.structs.replace(release, version="9.9", measurements={"sgx": ("0x" + "77" * 32,)})
    path = tmp_path / "release.json"
    path.write_bytes(msgspec.json.encode(other))

    refused = broker(run, "approve", "--app-release", path)
    approved = broker(run, "approve", "--app-release", path, "--confirm-measurement", "0x" + "77" * 32)

    assert refused.code == PolicyError.exit_code
    assert approved.code == 0
    assert BrokerControl(market.hospital).store.approvals.all()[0].version == "9.9"
    broker(run, "withdraw-approval", other.release_id())


def test_rules_for_requesters(run, market):
    assert broker(run, "allow", LAB.upper().replace("0X", "0x"), "--max-deals", 2, "--per-days", 7).code == 0
    assert broker(run, "deny", "everybody-else", "--note", "for now").code == 0

    assert "2 deals in 7 days" in broker(run, "rules").out
    assert broker(run, "rules", "--json").document == [
        {"requester": "*", "decision": "deny", "max_deals": None, "per_days": None, "note": "for now"},
        {"requester": LAB, "decision": "allow", "max_deals": 2, "per_days": 7, "note": ""},
    ]

    assert broker(run, "forget", "everybody-else").code == broker(run, "forget", LAB).code == 0
    assert broker(run, "rules", "--json").document == []


@pytest.mark.parametrize(
    "arguments", [("allow", "0x12"), ("deny", "everybody"), ("allow", LAB, "--max-deals", "3"), ("forget", LAB)]
)
def test_rule_that_makes_no_sense_is_a_usage_error(run, market, arguments):
    assert broker(run, *arguments).code == UsageError.exit_code


def test_status_is_one_json_document(run, market):
    assert json.loads(broker(run, "status", "--json").out)
