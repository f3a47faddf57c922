"""`heartify hospital withdraw`: a receipt on stdout, a version that nobody finds any more, and the same once again."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from heartify.errors import InputError, UsageError
from heartify.hospital.hospital import Hospital
from heartify.protocol.destruction import DestructionReason, DestructionReceipt, parse_destruction, verify_destruction


@pytest.fixture
def published(run, patients, write_csv, dictionary, request):
    ran = run(
        *("hospital", "publish", write_csv(patients), "--dictionary", dictionary, "--dataset", request.node.name),
        "--json",
    )
    assert ran.code == 0
    return ran.document["version"]


def test_receipt_is_the_document_and_says_the_reason(run, market, published):
    ran = run("hospital", "withdraw", published, "--reason", "opt-out", "--json")

    receipt = msgspec.convert(ran.document, DestructionReceipt)
    assert ran.code == 0
    assert (receipt.dataset_version, receipt.reason) == (published, DestructionReason.OPT_OUT)
    verify_destruction(receipt, Hospital(market.hospital, b"").settings.broker, version=published)


def test_withdrawn_version_is_found_by_nobody(run, published, plan):
    before = run("lab", "catalogue", "--json")
    run("hospital", "withdraw", published)

    after = run("lab", "catalogue", "--json")
    looked = run("lab", "dataset", published, "--json")
    rehearsed = run("lab", "dry-run", plan, "--dataset-version", published, "--json")
    status = run("hospital", "status", "--json")

    assert published in {entry["version"] for entry in before.document}
    assert published not in {entry["version"] for entry in after.document}
    assert looked.code == rehearsed.code == InputError.exit_code
    assert {item["version"]: item["revoked"] for item in status.document["versions"]}[published] is True


def test_withdrawing_once_more_gives_the_same_receipt(run, published):
    first = run("hospital", "withdraw", published, "--json")

    second = run("hospital", "withdraw", published, "--json")

    assert (first.code, second.code) == (0, 0)
    assert first.document == second.document


def test_people_are_told_where_the_receipt_lies(run, market, published):
    ran = run("hospital", "withdraw", published)

    told = next(line for line in ran.out.splitlines() if line.startswith("receipt: "))
    stored = (market.store / published.removeprefix("0x") / "destroyed.json").read_bytes()
    assert parse_destruction(Path(told.removeprefix("receipt: ")).read_bytes()) == parse_destruction(stored)


def test_files_are_removed_on_demand(run, market, published):
    folder = market.store / published.removeprefix("0x")
    there = folder.is_dir()

    ran = run("hospital", "withdraw", published, "--remove-files")

    assert ran.code == 0
    assert there
    assert not list(folder.rglob("manifest.json"))
    assert "destroy the backups of broker.sqlite too" in ran.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["0x" + "ab" * 32], "version"), (["0x" + "ab" * 32, "--reason", "boredom"], "boredom")],
)
def test_what_cannot_be_withdrawn_is_a_usage_error(run, arguments, words):
    ran = run("hospital", "withdraw", *arguments, "--json")

    assert ran.code == UsageError.exit_code
    assert words in ran.document["message"]
    assert ran.document["hint"]
