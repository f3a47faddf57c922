"""`heartify attest` on a simulated platform: inspecting, verifying, standing, policies, bundles."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.isolation import Isolation, encode_isolation
from heartify.attestation.simulated import SimulatedPlatform
from heartify.attestation.simulated.pki import build_certificates
from heartify.attestation.simulated.quote import SimulatedReport
from heartify.attestation.simulated.td_quote import SimulatedTdReport
from heartify.attestation.td_measurement import td_measurement
from heartify.party.http_service import RunningService
from heartify.party.trust import SIMULATED_ROOT_FILE
from heartify.party.unsafe_simulated_pccs import build_simulated_pccs_service, simulated_pccs_of
from heartify.protocol.app_release import AppRelease
from heartify.protocol.bundle import Receipt, ReleaseRecord
from heartify.protocol.canonical import encode_canonical, to_hex
from heartify.protocol.eip712 import Domain
from heartify.protocol.evidence import Evidence
from heartify.protocol.key_release import release_report_data
from heartify.protocol.plan import parse_plan

PROTOCOL_VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "protocol"

NOW = 1_795_000_000
AT = "2026-11-18T11:06:40Z"
MEASUREMENT = bytes(range(32))
REPORT_DATA = bytes(range(1, 65))
ISOLATION = Isolation.SANDBOX | Isolation.OWN_USER
REGISTERS = {name: bytes([number]) * 48 for number, name in enumerate(("mr_td", "rtmr0", "rtmr1", "rtmr2"), start=1)}


@pytest.fixture(scope="module")
def platform():
    return SimulatedPlatform.create(NOW)


@pytest.fixture
def home(tmp_path, platform):
    """A home that believes the simulated root."""
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / SIMULATED_ROOT_FILE).write_bytes(platform.certificates.root.public_bytes(Encoding.PEM))
    return folder


def sgx_quote(platform, **changes):
    report = SimulatedReport(
        **{
            "mr_enclave": MEASUREMENT,
            "report_data": REPORT_DATA,
            "cpu_svn": platform.identity.cpu_svn,
            "config_id": encode_isolation(ISOLATION, 64),
            **changes,
        }
    )
    return platform.quote_report(report)


def tdx_quote(platform):
    config_id = encode_isolation(ISOLATION, 48)
    return platform.quote_report(SimulatedTdReport(**REGISTERS, report_data=REPORT_DATA, mr_config_id=config_id))


@pytest.fixture
def files(tmp_path, platform):
    """A file of each kind that can be made here."""

    def write(name, data):
        (tmp_path / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        return tmp_path / name

    quote, collateral = sgx_quote(platform), platform.collateral(NOW)
    evidence = json.dumps({"tee_kind": "simulated-sgx", "quote_hex": quote.hex(), "collateral": collateral})
    release = AppRelease(
        name="heartify",
        version="1",
        source_digest="0x" + "00" * 32,
        measurements={"simulated-sgx": (to_hex(MEASUREMENT),)},
    )
    return {
        "sgx quote": write("sgx.quote", quote),
        "sgx quote in hex": write("sgx.hex", "0x" + quote.hex() + "\n"),
        "tdx quote": write("tdx.quote", tdx_quote(platform)),
        "padded tdx quote": write("padded.quote", tdx_quote(platform) + bytes(70)),
        "evidence": write("evidence.json", evidence),
        "collateral": write("collateral.json", collateral),
        "tdx collateral": write("tdx-collateral.json", platform.collateral(NOW, tdx=True)),
        "certificate": write("root.der", platform.root_der),
        "chain": write("root.pem", platform.certificates.root.public_bytes(Encoding.PEM) * 2),
        "crl": write("root.crl", bytes.fromhex(json.loads(collateral)["root_ca_crl"])),
        "app release": write("release.json", encode_canonical(release)),
    }


def section(document, title):
    return next(part["facts"] for part in document["sections"] if part["title"].startswith(title))


@pytest.mark.parametrize(
    ("name", "what", "simulated"),
    [
        ("sgx quote", "SGX quote of version 3", True),
        ("sgx quote in hex", "SGX quote of version 3", True),
        ("tdx quote", "TDX quote of version 4", True),
        ("evidence", "evidence of kind simulated-sgx", True),
        ("collateral", "collateral", None),
        ("certificate", "certificate", True),
        ("chain", "chain of 2 certificates", True),
        ("crl", "revocation list", True),
    ],
)
def test_inspect_says_what_a_file_is_and_that_nothing_was_verified(heartify, files, name, what, simulated):
    ran = heartify("attest", "inspect", files[name], "--json")

    assert ran.code == 0
    assert (ran.document["what"], ran.document["simulated"], ran.document["verified"]) == (what, simulated, False)
    assert "nothing here was verified" in heartify("attest", "inspect", files[name]).out


def test_inspect_names_the_fields_of_an_sgx_quote(heartify, files, platform):
    document = heartify("attest", "inspect", files["evidence"], "--json").document

    enclave, machine = section(document, "enclave"), section(document, "platform")
    assert enclave["measurement (MRENCLAVE)"] == MEASUREMENT.hex()
    assert enclave["report data"] == REPORT_DATA.hex()
    assert enclave["attributes"] == "INIT, MODE64BIT (0x5)"
    assert enclave["debug"] == "no"
    assert enclave["isolation of the simulated process"] == "sandbox, own-user"
    assert machine["PPID"] == platform.identity.ppid.hex()
    assert machine["FMSPC"] == "50494D000000"
    assert section(document, "certificate 3")["subject"].startswith("O=Simulated by Heartify\\, not Intel")
    assert re.match(r"number \d+, issued 2026-11-18 ", section(document, "collateral")["root revocation list"])


def test_inspect_names_the_fields_of_a_tdx_quote(heartify, files):
    document = heartify("attest", "inspect", files["padded tdx quote"], "--json").document

    domain = section(document, "trust domain")
    assert domain["measurement (of MRTD, RTMR0, RTMR1, RTMR2)"] == td_measurement(**REGISTERS).hex()
    assert domain["RTMR2"] == REGISTERS["rtmr2"].hex()
    assert domain["isolation of the simulated process"] == "sandbox, own-user"
    assert section(document, "quote")["what follows the quote"] == "70 bytes, all zero"


def test_inspect_shows_a_debug_enclave_that_a_verifier_refuses(heartify, tmp_path, platform):
    (tmp_path / "debug.quote").write_bytes(sgx_quote(platform, flags=0x7) + b"x")

    document = heartify("attest", "inspect", tmp_path / "debug.quote", "--json").document

    assert section(document, "enclave")["debug"].startswith("YES")
    assert section(document, "quote")["what follows the quote"] == "1 bytes, NOT all zero"


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"{", b"{}", b"ab" * 40, bytes(1000), b"-----BEGIN CERTIFICATE-----\n", b"\x30\x82\x00"]
)
def test_inspect_refuses_what_it_does_not_know(heartify, tmp_path, data):
    (tmp_path / "unknown").write_bytes(data)

    ran = heartify("attest", "inspect", tmp_path / "unknown")

    assert ran.code == 3
    assert "Traceback" not in ran.err


def test_inspect_of_a_truncated_quote_says_so(heartify, tmp_path, platform):
    (tmp_path / "short.quote").write_bytes(sgx_quote(platform)[:600])

    ran = heartify("attest", "inspect", tmp_path / "short.quote")

    assert (ran.code, "the quote is truncated: 600 bytes" in ran.err) == (5, True)


def verify(heartify, file, home, *more):
    return heartify("attest", "verify", file, "--home", home, "--at", AT, *more)


EXPECTED = ("--report-data", REPORT_DATA.hex(), "--measurement", MEASUREMENT.hex())


def test_verify_accepts_evidence_and_says_so(heartify, files, home):
    ran = verify(heartify, files["evidence"], home, *EXPECTED, "--json")

    [document] = ran.document
    assert (ran.code, document["verified"], document["simulated"]) == (0, True, True)
    assert document["freshness"] == "the report data are those expected"
    assert document["measurement"] == MEASUREMENT.hex()
    assert document["isolation"] == ["sandbox", "own-user"]
    assert "accepted" in verify(heartify, files["evidence"], home, *EXPECTED).out


def test_verify_takes_measurements_from_an_app_release(heartify, files, home):
    release = ("--app-release", files["app release"])

    assert verify(heartify, files["evidence"], home, *release, "--report-data", REPORT_DATA.hex()).code == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--report-data", "11" * 64, "--measurement", MEASUREMENT.hex()), "report data are not those expected"),
        (("--report-data", REPORT_DATA.hex(), "--measurement", "11" * 32), "is not among the 1 approved"),
    ],
)
def test_verify_refuses_with_exit_code_5_and_names_the_obligation(heartify, files, home, more, said):
    ran = verify(heartify, files["evidence"], home, *more)

    assert ran.code == 5
    assert said in ran.err


def test_verify_without_report_data_must_be_told_that_freshness_is_not_checked(heartify, files, home):
    measured = ("--measurement", MEASUREMENT.hex())

    refused = verify(heartify, files["evidence"], home, *measured)
    accepted = verify(heartify, files["evidence"], home, *measured, "--unsafe-any-report-data")

    assert refused.code == 2
    assert "--unsafe-any-report-data" in refused.err
    assert accepted.code == 0
    assert "NOT CHECKED" in accepted.out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--report-data", REPORT_DATA.hex()), "no measurement of simulated-sgx is given"),
        (("--report-data", "zz", "--measurement", MEASUREMENT.hex()), "--report-data is not hexadecimal"),
        ((*EXPECTED, "--at", "yesterday"), "is no time"),
        ((*EXPECTED, "--policy", "missing.toml"), "there is no file or folder missing.toml"),
        ((*EXPECTED, "--app-release", "missing.json"), "there is no file or folder missing.json"),
        ((*EXPECTED, "--pccs-url", "http://pccs.example"), "is not https"),
        ((*EXPECTED, "--pccs-url", "https://pccs.example", "--bundle", "b.json"), "collateral comes from one place"),
    ],
)
def test_verify_asked_wrongly_says_what_is_missing(heartify, files, home, more, said):
    ran = verify(heartify, files["evidence"], home, *more)

    assert ran.code == 2
    assert said in ran.err


def test_verify_needs_a_policy(heartify, files):
    ran = heartify("attest", "verify", files["evidence"], *EXPECTED)

    assert (ran.code, "give --policy or --home" in ran.err) == (2, True)


def test_verify_of_what_holds_no_evidence_says_so(heartify, files, home):
    assert verify(heartify, files["collateral"], home, *EXPECTED).code == 2


def test_verify_of_a_bare_quote_needs_collateral(heartify, files, home):
    alone = verify(heartify, files["sgx quote"], home, *EXPECTED)
    given = verify(heartify, files["sgx quote"], home, *EXPECTED, "--collateral", files["collateral"])

    assert (alone.code, "brings no collateral along" in alone.err) == (2, True)
    assert given.code == 0


def test_verify_asks_the_service_that_is_named_and_ignores_what_the_evidence_brings(heartify, tmp_path, home, platform):
    quote = sgx_quote(platform)
    (tmp_path / "evidence.json").write_bytes(
        json.dumps({"tee_kind": "simulated-sgx", "quote_hex": quote.hex(), "collateral": "chosen by the host"}).encode()
    )

    with RunningService(build_simulated_pccs_service(simulated_pccs_of(platform, lambda: NOW))) as service:
        ran = verify(heartify, tmp_path / "evidence.json", home, *EXPECTED, "--pccs-url", service.url)

    assert ran.code == 0, ran.err


def test_verify_uses_the_collateral_settings_of_the_home(heartify, files, home):
    (home / "collateral.toml").write_text('format = "heartify.collateral/1"\nbundle = "bundle.json"\n')
    saved = heartify(
        *("attest", "tcb-status", files["evidence"], "--at", AT, "--save", home / "bundle.json"),
    )

    assert saved.code == 0, saved.err
    assert verify(heartify, files["sgx quote"], home, *EXPECTED).code == 0


def test_a_production_policy_refuses_simulated_evidence(heartify, files, tmp_path):
    (tmp_path / "policy.toml").write_text('name = "production"\nroots = [{name = "Intel SGX Root CA"}]\n')

    ran = heartify(
        *("attest", "verify", files["evidence"], "--policy", tmp_path / "policy.toml", "--at", AT, *EXPECTED)
    )

    assert ran.code == 5
    assert "simulated-sgx is not accepted by policy 'production'" in ran.err


def test_tcb_status_shows_where_a_platform_stands(heartify, files, home):
    ran = heartify("attest", "tcb-status", files["evidence"], "--home", home, "--at", AT, "--json")

    [document] = ran.document
    assert document["need"] == "sgx/50494D000000/platform"
    assert document["evaluation_data_number"] == 18
    assert [level["platform_stands_here"] for level in document["levels"]] == [True, False, False, False, False]
    assert [level["accepted"] for level in document["levels"]] == [True, False, False, False, False]
    assert document["levels"][1]["refusal"] == "status SWHardeningNeeded is not accepted"
    assert {part["part"] for part in document["parts"]} == {
        *("root revocation list", "PCK revocation list", "TCB info", "QE identity")
    }
    shown = heartify("attest", "tcb-status", files["evidence"], "--home", home, "--at", AT).out
    assert "← this platform" in shown


def test_tcb_status_of_an_older_platform_stands_lower(heartify, tmp_path, platform):
    # The same keys and collateral, and a PCK certificate of another platform of the family.
    identity = replace(platform.identity, cpu_svn=bytes([4]) * 16)
    older = SimulatedPlatform(platform.keys, build_certificates(platform.keys, identity, NOW), identity)
    evidence = Evidence("simulated-sgx", sgx_quote(older).hex(), older.collateral(NOW))
    (tmp_path / "older.json").write_text(
        json.dumps({"tee_kind": evidence.tee_kind, "quote_hex": evidence.quote_hex, "collateral": evidence.collateral})
    )

    [document] = heartify("attest", "tcb-status", tmp_path / "older.json", "--at", AT, "--json").document

    standing = [level["status"] for level in document["levels"] if level["platform_stands_here"]]
    assert standing == ["SWHardeningNeeded"]


def test_tcb_status_of_a_family_is_asked_and_saved_and_read_again(heartify, tmp_path, platform):
    bundle = tmp_path / "bundle.json"
    family = ("--fmspc", "50494d000000", "--at", AT, "--json")

    with RunningService(build_simulated_pccs_service(simulated_pccs_of(platform, lambda: NOW))) as service:
        for tee in ("sgx", "tdx"):
            asked = heartify("attest", "tcb-status", *family, "--tee", tee, "--pccs-url", service.url, "--save", bundle)
            assert asked.code == 0, asked.err
    read = heartify("attest", "tcb-status", *family, "--tee", "tdx", "--bundle", bundle)

    assert [document["need"] for document in read.document] == ["tdx/50494D000000/platform"]
    inspected = heartify("attest", "inspect", bundle, "--json").document
    assert inspected["what"] == "collateral bundle for 2 platforms"


def test_a_bundle_never_goes_back(heartify, tmp_path, platform):
    bundle = tmp_path / "bundle.json"

    def save(issued_at):
        evidence = {"tee_kind": "simulated-sgx", "quote_hex": sgx_quote(platform).hex()}
        (tmp_path / "e.json").write_text(json.dumps({**evidence, "collateral": platform.collateral(issued_at)}))
        return heartify("attest", "tcb-status", tmp_path / "e.json", "--at", AT, "--save", bundle)

    assert save(NOW).code == 0
    before = bundle.read_bytes()
    ran = save(NOW - 86400)

    assert (ran.code, "collateral went back" in ran.err) == (5, True)
    assert bundle.read_bytes() == before


def test_a_hospital_shares_its_brokers_cache_whose_age_is_said(heartify, files, home, platform):
    settings = {"name": "aspen", "store_url": "file:///tmp/store", "broker_url": "http://127.0.0.1:8601"}
    account = "0x" + "00" * 20
    (home / "hospital.json").write_text(
        json.dumps({"format": "heartify.hospital/1", **settings, "account": account, "broker": account})
    )
    asked = ("attest", "tcb-status", files["sgx quote"], "--home", home, "--json", "--at")
    with RunningService(build_simulated_pccs_service(simulated_pccs_of(platform, lambda: NOW))) as service:
        (home / "collateral.toml").write_text(f'format = "heartify.collateral/1"\npccs_url = "{service.url}"\n')
        [first] = heartify(*asked, AT).document
    [kept] = heartify(*asked, "2026-11-18T12:06:40Z").document
    [stale] = heartify(*asked, "2026-11-19T11:06:40Z").document

    assert (first["age_seconds"], kept["age_seconds"], kept["not_refreshed_because"]) == (0, 3600, None)
    assert stale["age_seconds"] == 86400
    assert "can't be reached" in stale["not_refreshed_because"]


@pytest.fixture
def receipt(tmp_path, platform):
    """A receipt with one key release, whose quote binds what the receipt says."""
    case = json.loads((PROTOCOL_VECTORS / "plan.json").read_text(encoding="utf-8"))["positive"]
    plan = parse_plan(next(item["canonical"] for item in case if item["name"] == "story").encode())
    deal = json.loads((PROTOCOL_VECTORS / "typed_data.json").read_text(encoding="utf-8"))["deal"]
    address, nonce, encryption = "0x" + "cd" * 20, "0x" + "ab" * 32, "0x00"
    bound = release_report_data(
        Domain(31337, address),
        deal=deal["digest"],
        plan_digest=plan.digest(),
        broker=deal["message"]["grants"][0]["broker"],
        nonce=nonce,
        encryption_public_key=encryption,
        enclave=address,
    )
    made = Receipt(
        simulated=True,
        chain_id=31337,
        market=address,
        deal_id=deal["digest"],
        deal=deal["message"],
        plan=plan,
        app_release=AppRelease(name="heartify", version="1", source_digest=nonce, measurements={}),
        tee_kind="simulated-sgx",
        collateral=platform.collateral(NOW),
        enclave=address,
        encryption_public_key=encryption,
        releases=(
            ReleaseRecord(
                grant=0,
                nonce=nonce,
                quote="0x" + sgx_quote(platform, report_data=bound).hex(),
                key_receipt_signature="0x",
            ),
        ),
        settlement={},
        enclave_signature="0x",
    )

    def write(**changes):
        document = msgspec.structs.replace(made, **changes)
        (tmp_path / "receipt.json").write_bytes(msgspec.json.encode(document))
        return tmp_path / "receipt.json"

    return write


def test_inspect_reads_a_receipt_aloud(heartify, receipt):
    document = heartify("attest", "inspect", receipt(), "--json").document

    assert (document["what"], document["simulated"]) == ("public receipt of a run", True)
    assert section(document, "run")["key releases"] == "1"
    assert section(document, "key release 1: enclave")["measurement (MRENCLAVE)"] == MEASUREMENT.hex()


def test_verify_of_a_receipt_takes_report_data_from_the_receipt(heartify, receipt, home):
    ran = verify(heartify, receipt(), home, "--measurement", MEASUREMENT.hex(), "--json")

    [document] = ran.document
    assert (document["what"], document["verified"]) == ("key release 1", True)
    assert "of the receipt" in document["freshness"]


@pytest.mark.parametrize("changes", [{"deal_id": "0x" + "11" * 32}, {"enclave": "0x" + "11" * 20}, {"chain_id": 1}])
def test_verify_of_a_receipt_whose_evidence_is_for_another_deal_is_refused(heartify, receipt, home, changes):
    ran = verify(heartify, receipt(**changes), home, "--measurement", MEASUREMENT.hex())

    assert (ran.code, "report data are not those expected" in ran.err) == (5, True)


def test_verify_of_a_receipt_without_key_releases_finds_no_evidence(heartify, receipt, home):
    ran = verify(heartify, receipt(releases=()), home, "--measurement", MEASUREMENT.hex())

    assert (ran.code, "no key release" in ran.err) == (5, True)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "give quotes, or a platform family"),
        (("--fmspc", "12"), "an FMSPC is 12"),
        (("--fmspc", "50494D000000", "--tee", "snp"), "--tee is sgx or tdx"),
        (("--fmspc", "50494D000000", "--ca", "root"), "--ca is platform or processor"),
        (("--fmspc", "50494D000000"), "nothing says where to ask"),
    ],
)
def test_tcb_status_asked_wrongly_says_what_is_missing(heartify, more, said):
    ran = heartify("attest", "tcb-status", *more)

    assert (ran.code, said in ran.err) == (2, True)


def test_policy_says_a_policy_in_sentences(heartify, home):
    ran = heartify("attest", "policy", "--home", home)

    assert ran.code == 0
    assert "UNSAFE: simulated TEEs are accepted" in ran.out
    document = heartify("attest", "policy", "--home", home, "--json").document
    assert document["policy"] == "unsafe-simulation"
    assert len(document["sentences"]) > 5


def test_policy_needs_one_policy(heartify, home, tmp_path):
    assert heartify("attest", "policy").code == 2
    assert heartify("attest", "policy", tmp_path / "policy.toml", "--home", home).code == 2
    assert heartify("attest", "policy", tmp_path / "policy.toml").code == 2


def test_the_simulated_pccs_needs_a_platform(heartify, tmp_path):
    ran = heartify("attest", "unsafe-simulated-pccs", "--platform", tmp_path)

    assert (ran.code, "can't be read" in ran.err) == (3, True)
