"""Opening: only what is verified, settled and sealed to this lab is decrypted; outputs are written whole."""

from __future__ import annotations

import dataclasses
import json
import os

import msgspec
import pytest

from heartify.chain.deployment import store_deployment
from heartify.cli.main import main
from heartify.errors import DocumentError, HeartifyError, IntegrityError, KeystoreError, ServiceError, UsageError
from heartify.lab import lab as lab_module
from heartify.lab import pool_client
from heartify.lab.home import DealRecord, LabSettings
from heartify.lab.lab import Lab
from heartify.lab.opening import open_result
from heartify.lab.outputs import store_outputs
from heartify.party.home import store_document
from heartify.party.keystore import store_secret
from heartify.party.trust import trust_simulated_root
from heartify.protocol.canonical import parse_json, to_bytes, to_hex
from heartify.protocol.outcomes import DealState
from heartify.protocol.result import StudyResult, Table, encode_result, result_info
from heartify.protocol.sealing import SealingKey, seal

PASSWORD = b"a long password"


@pytest.fixture(scope="module")
def keystores(tmp_path_factory):
    """Keystores take a second each on purpose, so tests share them."""
    folder = tmp_path_factory.mktemp("keystores")
    store_secret(folder / "own.json", b"\x31" * 32, PASSWORD)
    store_secret(folder / "other.json", b"\x99" * 32, PASSWORD)
    return folder


@pytest.fixture
def home(tmp_path, run, keystores, monkeypatch):
    """A lab's home with the genuine bundle in it; the chain is the fake one."""
    home = tmp_path / "lab"
    home.mkdir()
    root = tmp_path / "root.pem"
    root.write_bytes(run.root_pem)
    trust_simulated_root(home, root)
    (home / "result-key.json").write_bytes((keystores / "own.json").read_bytes())
    store_deployment(home / "deployment.json", run.access.deployment)
    public_key = SealingKey.from_seed(b"\x31" * 32).public_key
    store_document(home / "lab.json", LabSettings(account="0x" + "38" * 20, result_key=to_hex(public_key)))
    record = DealRecord(
        deal_id=run.market.deal_id,
        plan="0x",
        pool_url="http://127.0.0.1:9",
        deadline=1,
        match_gas=1,
        match_tx="0x" + "01" * 32,
    )
    store_document(bundle_file(home, run).with_name("deal.json"), record)
    store_document(bundle_file(home, run), run.bundle)
    monkeypatch.setattr(lab_module, "open_market", lambda _home, _private_key=None: run.access)
    return home


def bundle_file(home, run):
    return home / "deals" / run.market.deal_id.removeprefix("0x") / "bundle.json"


def open_deal(home, run):
    return Lab(home, PASSWORD).open(run.market.deal_id)


def test_verified_bundle_opens_to_its_result(home, run):
    opened = open_deal(home, run)

    assert opened.verification.verified
    assert opened.result is not None
    assert [weight.factor for weight in opened.result.weights] == ["age"]
    assert opened.settlement.outcome == "delivered"
    assert opened.settlement.settle_gas == 123_456
    assert sum(int(row.amount) for row in opened.settlement.payments) == run.deal.total_price()


def test_bundle_that_is_not_verified_is_never_decrypted(home, run, monkeypatch):
    forged = msgspec.structs.replace(
        run.bundle, receipt=msgspec.structs.replace(run.bundle.receipt, enclave_signature="0x")
    )
    store_document(bundle_file(home, run), forged)

    def decrypt(*_arguments):
        raise AssertionError("decrypted what was not verified")

    monkeypatch.setattr(SealingKey, "open", decrypt)

    with pytest.raises(IntegrityError, match="not verified: enclave signature"):
        open_deal(home, run)


def test_sealed_result_of_other_bytes_is_refused(home, run):
    sealed = to_bytes(run.bundle.sealed_result)
    store_document(
        bundle_file(home, run),
        msgspec.structs.replace(run.bundle, sealed_result=to_hex(sealed[:-1] + bytes([sealed[-1] ^ 1]))),
    )

    with pytest.raises(IntegrityError, match="not verified: result"):
        open_deal(home, run)


@pytest.mark.parametrize(("n", "refused"), [(345, False), (343, True)])
def test_a_table_off_its_grid_is_refused_when_it_is_opened(run, result_seed, n, refused):
    key = SealingKey.from_seed(result_seed)
    genuine = open_result(run.bundle, key)
    table = Table(name="flow", columns=("hospital", "step", "n"), rows=(("aspen", "read", n),))
    result = msgspec.structs.replace(genuine, tables=(table,))
    sealed = seal(encode_result(result), key.public_key, result_info(run.market.deal_id))
    bundle = msgspec.structs.replace(run.bundle, sealed_result=to_hex(sealed))

    if refused:
        with pytest.raises(IntegrityError, match="disclosure rules"):
            open_result(bundle, key)
    else:
        assert open_result(bundle, key) == result


def test_lab_without_the_simulated_root_does_not_open_a_simulated_run(home, run):
    (home / "unsafe-simulated-root.pem").unlink()

    with pytest.raises(IntegrityError, match="key release 1"):
        open_deal(home, run)


def test_another_labs_key_is_refused(home, run, keystores):
    (home / "result-key.json").write_bytes((keystores / "other.json").read_bytes())

    with pytest.raises(IntegrityError, match="another lab's key"):
        open_deal(home, run)


def test_wrong_password_is_refused(home, run):
    with pytest.raises(KeystoreError, match="does not open"):
        Lab(home, b"another password").open(run.market.deal_id)


def test_open_deal_is_not_opened(home, run):
    run.market.state, run.market.settled = DealState.OPEN, None

    with pytest.raises(UsageError, match="still open"):
        open_deal(home, run)


def test_deal_without_an_enclaves_word_has_nothing_to_open(home, run):
    run.market.state, run.market.settled = DealState.RECLAIMED, None

    with pytest.raises(UsageError, match="without an enclave's word"):
        open_deal(home, run)


def test_bundle_of_another_deal_is_refused(home, run):
    other = msgspec.structs.replace(
        run.bundle, receipt=msgspec.structs.replace(run.bundle.receipt, deal_id="0x" + "99" * 32)
    )
    store_document(bundle_file(home, run), other)

    with pytest.raises(IntegrityError, match="another deal"):
        open_deal(home, run)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"\xff"])
def test_damaged_bundle_file_is_a_document_error(home, run, content):
    bundle_file(home, run).write_bytes(content)

    with pytest.raises(DocumentError):
        open_deal(home, run)


def test_bundle_that_the_pool_does_not_give_is_a_service_error(home, run):
    bundle_file(home, run).unlink()

    with pytest.raises(ServiceError, match="can't be reached"):
        open_deal(home, run)
    assert not bundle_file(home, run).exists()


@pytest.mark.parametrize("answer", [[], "text", 7, {"state": 1}, {"state": None}])
def test_nonsense_of_a_pool_is_no_stack_trace(home, run, monkeypatch, answer):
    run.market.state = DealState.DELIVERED
    monkeypatch.setattr(pool_client, "get_json", lambda _url: answer)

    status = Lab(home, b"").status(run.market.deal_id)

    assert (status.state, status.pool_state) == (DealState.DELIVERED, "unknown")
    assert "not a work order" in status.problem


@pytest.mark.parametrize("wrong", [{"min_grants": 0}, {"min_grants": 3}, {"min_grants": -1}, {"deadline_seconds": -5}])
def test_run_whose_demands_make_no_sense_sends_nothing(home, wrong):
    class TwoHospitals:
        grants = (None, None)
        total = 1

    with pytest.raises(UsageError, match="hospitals fit"):
        Lab(home, PASSWORD).run(TwoHospitals, **wrong)


def test_price_over_the_limit_sends_nothing(home):
    class Dear:
        grants = (None,)
        total = 101

    with pytest.raises(UsageError, match="over the limit of 100"):
        Lab(home, PASSWORD).run(Dear, max_total=100)


def test_lab_home_is_never_initialised_twice(home, tmp_path):
    before = sorted(path.name for path in home.iterdir())

    with pytest.raises(UsageError, match="home already"):
        Lab.init(home, PASSWORD, deployment=tmp_path / "none.json")
    assert sorted(path.name for path in home.iterdir()) == before


# ---- outputs


def test_outputs_are_the_documents_themselves(home, run, tmp_path):
    opened = open_deal(home, run)

    files = store_outputs(tmp_path / "out", opened)

    assert {path.name for path in files} == {"receipt.json", "report.html", "result.json", "settlement.json"}
    assert parse_json((tmp_path / "out" / "result.json").read_bytes(), StudyResult) == opened.result
    assert json.loads((tmp_path / "out" / "settlement.json").read_text())["deal"] == run.market.deal_id
    assert "simulated" in (tmp_path / "out" / "report.html").read_text().lower()


def test_output_that_fails_half_way_leaves_no_part_of_a_file(home, run, tmp_path, monkeypatch):
    opened = open_deal(home, run)

    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(HeartifyError, match="No space left"):
        store_outputs(tmp_path / "out", opened)
    assert list((tmp_path / "out").iterdir()) == []


def test_withheld_deal_leaves_no_older_result_beside_its_receipt(home, run, tmp_path):
    opened = open_deal(home, run)
    store_outputs(tmp_path / "out", opened)

    files = store_outputs(tmp_path / "out", withheld(opened))

    assert "result.json" not in {path.name for path in files}
    assert not (tmp_path / "out" / "result.json").exists()


def withheld(opened):
    """The same deal, had the disclosure rules said no."""
    receipt = opened.bundle.receipt
    settlement = {**receipt.settlement, "outcome": "3", "code": "3", "resultDigest": "0x" + "00" * 32}
    receipt = msgspec.structs.replace(receipt, settlement=settlement)
    return dataclasses.replace(
        opened,
        result=None,
        bundle=msgspec.structs.replace(opened.bundle, receipt=receipt, sealed_result=None),
        settlement=msgspec.structs.replace(opened.settlement, state="withheld", outcome="withheld: disclosure code 3"),
    )


# ---- through the command line


def test_verify_command_prints_one_document_and_says_no_by_its_exit_code(home, run, tmp_path, capsys):
    receipt = tmp_path / "receipt.json"
    store_document(receipt, run.bundle.receipt)
    assert main(["lab", "verify", str(receipt), "--home", str(home), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verified"] is True
    store_document(receipt, msgspec.structs.replace(run.bundle.receipt, simulated=False))

    code = main(["lab", "verify", str(receipt), "--home", str(home), "--json"])

    document = json.loads(capsys.readouterr().out)
    assert code == 4
    assert document["verified"] is False
    assert [check["name"] for check in document["checks"] if not check["passed"]] == ["deal"]
