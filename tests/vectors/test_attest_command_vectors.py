"""`heartify attest` on genuine evidence of Intel and AMD, at the times at which its collateral was valid."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest

from heartify.attestation.snp.collateral import encode_snp_collateral
from heartify.cli.main import main

VECTORS = Path(__file__).resolve().parents[2] / ".." / "shared" / "vectors" / "attestation"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="third-party vectors are absent: ../shared/vectors")

SGX, SGX_COLLATERAL = VECTORS / "phala" / "sgx_quote", VECTORS / "phala" / "sgx_quote_collateral.json"
TDX, TDX_COLLATERAL = VECTORS / "phala" / "tdx_quote", VECTORS / "phala" / "tdx_quote_collateral.json"
AT = "2025-07-19T10:01:17Z"  # 1752919277, of the vectors' README
TDX_AT = "2025-07-19T10:00:34Z"  # 1752919234
SGX_MEASUREMENT = "33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb"
HELLO = b"Hello, world!".ljust(64, b"\0").hex()
POLICY = """
name = "trial"
roots = [{name = "Intel SGX Root CA"}]
[intel]
accepted_tcb_statuses = ["UpToDate", "ConfigurationAndSWHardeningNeeded"]
accepted_advisories = ["INTEL-SA-00289", "INTEL-SA-00615"]
accepted_sgx_types = [0, 1]
allow_dynamic_platform = true
allow_cached_keys = true
allow_smt = true
"""


@pytest.fixture
def heartify(capsys):
    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture
def policy(tmp_path):
    (tmp_path / "policy.toml").write_text(POLICY)
    return tmp_path / "policy.toml"


def inspected(heartify, path):
    code, out, err = heartify("attest", "inspect", path, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["verified"] is False
    return document["what"], {part["title"]: part["facts"] for part in document["sections"]}


def test_a_genuine_sgx_quote_is_read_aloud(heartify):
    what, parts = inspected(heartify, SGX)

    assert what == "SGX quote of version 3"
    assert parts["enclave"]["measurement (MRENCLAVE)"] == SGX_MEASUREMENT
    assert parts["enclave"]["report data"] == HELLO
    assert parts["platform, by its PCK certificate"]["FMSPC"] == "00A067110000"
    assert parts["platform, by its PCK certificate"]["PPID"] == "d04ec06d4e6d92dc90d0ad3cf5ee2ddf"
    assert parts["quoting enclave"]["security version (ISVSVN)"] == "10"


def test_a_genuine_debug_enclave_is_named_as_such(heartify):
    _, parts = inspected(heartify, VECTORS / "coco-trustee" / "occlum_quote.dat")

    assert parts["enclave"]["debug"].startswith("YES")
    assert "DEBUG" in parts["enclave"]["attributes"]


@pytest.mark.parametrize("name", ["phala/tdx_quote", "phala/tdx-quote.hex", "phala/quote-from-tappd.hex"])
def test_a_genuine_tdx_quote_is_read_aloud_with_its_padding(heartify, name):
    what, parts = inspected(heartify, VECTORS / name)

    assert what == "TDX quote of version 4"
    assert parts["trust domain"]["attributes"] == "sept-ve-disable (0x10000000)"
    assert parts["platform, by its PCK certificate"]["FMSPC"] == "B0C06F000000"
    assert parts["quote"]["what follows the quote"] == "70 bytes, all zero"


def test_a_genuine_tdx_quote_of_version_5_is_read_aloud(heartify):
    what, parts = inspected(heartify, VECTORS / "phala" / "tdx_quote_outdated")

    assert what == "TDX quote of version 5"
    assert parts["trust domain"]["TDX module's signer (MRSIGNERSEAM)"] == "Intel (zero)"
    assert parts["trust domain"]["TEE TCB SVN"].startswith("07010300")
    assert parts["platform, by its PCK certificate"]["FMSPC"] == "90C06F000000"


def test_a_genuine_snp_report_is_read_aloud(heartify):
    what, parts = inspected(heartify, VECTORS / "sev-snp" / "gosev_attestation.bin")

    assert what == "SEV-SNP attestation report"
    assert parts["guest"]["guest policy"] == "SMT, DEBUG (0xb0000)"
    assert parts["guest"]["debug"].startswith("YES")
    assert parts["platform"]["TCB, reported"].startswith("boot_loader=2 tee=0 snp=5 microcode=68")
    assert parts["platform"]["chip id"].startswith("3ac3fe21e13fb099")


def test_a_genuine_vcek_says_its_chip(heartify):
    what, parts = inspected(heartify, VECTORS / "sev-snp" / "gosev_vcek.testcer")

    assert what == "certificate"
    assert parts["certificate"]["product"] == "Milan-B0"
    assert parts["certificate"]["chip id"].startswith("3ac3fe21e13fb099")


def test_genuine_collateral_says_its_numbers_and_dates(heartify):
    _, parts = inspected(heartify, SGX_COLLATERAL)

    assert parts["collateral"]["TCB info"] == (
        "number 17, issued 2025-06-19 10:56:11 UTC, next update 2025-07-19 10:56:11 UTC"
    )


def verify_sgx(heartify, policy, *more, collateral=SGX_COLLATERAL, at=AT):
    given = ("--policy", policy, "--collateral", collateral, "--at", at, "--measurement", SGX_MEASUREMENT)
    return heartify("attest", "verify", SGX, *given, *more)


def test_a_genuine_sgx_quote_is_accepted_at_its_time(heartify, policy):
    code, out, err = verify_sgx(heartify, policy, "--report-data", HELLO, "--json")

    assert code == 0, err
    [document] = json.loads(out)
    assert (document["tee_kind"], document["simulated"]) == ("sgx", False)
    assert document["status"] == "ConfigurationAndSWHardeningNeeded"
    assert document["advisories"] == ["INTEL-SA-00289", "INTEL-SA-00615"]


@pytest.mark.parametrize(
    "changes", [{"at": "2025-09-01T00:00:00Z"}, {"at": "2025-01-01"}, {"collateral": TDX_COLLATERAL}], ids=str
)
def test_a_genuine_sgx_quote_is_refused_at_another_time_or_with_other_collateral(heartify, policy, changes):
    code, _, err = verify_sgx(heartify, policy, "--report-data", HELLO, **changes)

    assert code == 5, err


def test_a_genuine_tdx_quote_is_accepted_at_its_time(heartify, policy):
    _, parts = inspected(heartify, TDX)
    domain = parts["trust domain"]
    measurement = domain["measurement (of MRTD, RTMR0, RTMR1, RTMR2)"]

    code, out, err = heartify(
        *("attest", "verify", TDX, "--policy", policy, "--collateral", TDX_COLLATERAL, "--at", TDX_AT),
        *("--measurement", measurement, "--report-data", domain["report data"], "--json"),
    )

    assert code == 0, err
    assert json.loads(out)[0]["status"] == "UpToDate"


@pytest.mark.parametrize(
    ("quote", "collateral", "at", "need", "standing"),
    [
        (SGX, SGX_COLLATERAL, AT, "sgx/00A067110000/processor", "ConfigurationAndSWHardeningNeeded"),
        (TDX, TDX_COLLATERAL, TDX_AT, "tdx/B0C06F000000/platform", "UpToDate"),
    ],
    ids=["sgx", "tdx"],
)
def test_a_genuine_platform_stands_where_the_quote_library_says(
    heartify, tmp_path, quote, collateral, at, need, standing
):
    kind = need[:3]
    evidence = {"tee_kind": kind, "quote_hex": quote.read_bytes().hex(), "collateral": collateral.read_text()}
    (tmp_path / "evidence.json").write_text(json.dumps(evidence))

    code, out, err = heartify("attest", "tcb-status", tmp_path / "evidence.json", "--at", at, "--json")

    assert code == 0, err
    [document] = json.loads(out)
    assert document["need"] == need
    assert [level["status"] for level in document["levels"] if level["platform_stands_here"]] == [standing]
    assert not any(part["expired"] for part in document["parts"])


@pytest.fixture
def snp_evidence(tmp_path):
    """A genuine report of a Milan chip with its genuine certificates; any list will do, none is verified here."""
    folder = VECTORS / "sev-snp"
    chain = (folder / "gosev_ask_ark_milan.pem").read_bytes()
    issuer, root = (ssl.PEM_cert_to_DER_cert(part) for part in split_certificates(chain.decode()))
    crl = bytes.fromhex(json.loads(SGX_COLLATERAL.read_text())["root_ca_crl"])
    collateral = encode_snp_collateral((folder / "gosev_vcek.testcer").read_bytes(), issuer, root, crl)
    report = (folder / "gosev_attestation.bin").read_bytes().hex()
    (tmp_path / "snp.json").write_text(
        json.dumps({"tee_kind": "sev-snp", "quote_hex": report, "collateral": collateral})
    )
    return tmp_path / "snp.json"


def split_certificates(text):
    end = "-----END CERTIFICATE-----\n"
    return [part + end for part in text.split(end) if "BEGIN" in part]


@pytest.mark.parametrize(("snp", "accepted"), [(5, True), (6, False)])
def test_a_genuine_amd_chip_stands_above_or_below_the_policys_minimum(heartify, tmp_path, snp_evidence, snp, accepted):
    minimum = f'minimum_tcb = ["Milan boot_loader=2 tee=0 snp={snp} microcode=68"]'
    (tmp_path / "amd.toml").write_text(f'name = "amd"\nroots = [{{name = "AMD ARK Milan"}}]\n[sev_snp]\n{minimum}\n')
    asked = ("attest", "tcb-status", snp_evidence, "--policy", tmp_path / "amd.toml")

    code, out, err = heartify(*asked, "--json")

    assert code == 0, err
    [document] = json.loads(out)
    assert document["need"].startswith("sev-snp/Milan/vcek/3ac3fe21e13fb099")
    assert document["tcb"] == {"boot_loader": 2, "tee": 0, "snp": 5, "microcode": 68}
    assert (document["minimum_tcb"]["snp"], document["accepted"]) == (snp, accepted)
    assert ("refused by the policy" in heartify(*asked)[1]) is not accepted
