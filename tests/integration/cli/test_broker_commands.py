"""`heartify hospital broker …` for the steward: status, pause, approvals, rules, on a real home and chain."""

from __future__ import annotations

import json

import msgspec
import pytest

from heartify.chain.deployment import load_deployment
from heartify.errors import PolicyError, UsageError
from heartify.hospital.broker_control import BrokerControl
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
