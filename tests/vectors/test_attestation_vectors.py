"""Genuine quotes of Intel's hardware at frozen times, and the simulated vectors, through the one verify()."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from heartify.attestation.dcap.demands import SgxDemands, TdxDemands
from heartify.attestation.dcap.sgx_quote import parse_sgx_quote
from heartify.attestation.dcap.sgx_report_check import check_sgx_attributes, check_sgx_configuration, check_sgx_version
from heartify.attestation.dcap.td_quote import parse_td_quote
from heartify.attestation.dcap.td_report_check import check_td_attributes, check_td_configuration
from heartify.attestation.policy import PRODUCTION_POLICY, unsafe_simulation_policy
from heartify.attestation.roots import AMD_ROOTS
from heartify.attestation.td_measurement import td_measurement
from heartify.attestation.verifier import verify
from heartify.errors import AttestationError
from heartify.protocol.evidence import Evidence, TeeKind

VECTORS = Path(__file__).resolve().parents[2] / ".." / "shared" / "vectors" / "attestation"
pytestmark = pytest.mark.skipif(not VECTORS.is_dir(), reason="third-party vectors are absent: ../shared/vectors")

# FMSPC 00A067110000 and B0C06F000000; their collateral was valid at these seconds (README of the vectors).
SGX_NOW, TDX_NOW = 1752919277, 1752919234
SGX_MEASUREMENT = bytes.fromhex("33d8736db756ed4997e04ba358d27833188f1932ff7b1d156904d3f560452fbb")
SGX_REPORT_DATA = b"Hello, world!".ljust(64, b"\0")
# The four registers as dcap-qvl's own tool prints them, so that the measurement has another source than our parser.
TDX_MEASUREMENT = td_measurement(
    mr_td=bytes.fromhex(
        "91eb2b44d141d4ece09f0c75c2c53d247a3c68edd7fafe8a3520c942a604a407de03ae6dc5f87f27428b2538873118b7"
    ),
    rtmr0=bytes.fromhex(
        "44c0197b39157fdd7a4dcc44767f9d6b0bb3977c7a8e347b8492f827fe9d9e5c48aca29b220b80b6a540cf994b9bc9c0"
    ),
    rtmr1=bytes.fromhex(
        "0084452c01668329d4bc06acdf58a7205c26743304509973949e5619bf81a6a7aea8c323c173019b3093d54e579e9378"
    ),
    rtmr2=bytes.fromhex(
        "d833feef2cd945148aa38ead2c53e9b7f138190aaaebfc551dccd829fc207aa3ba80b70870d7330733642e01d48c3132"
    ),
)
TDX_REPORT_DATA = bytes.fromhex(
    "9a9d48e7f6799642d3d1b34e1e5e1742d4bb02dd6ddd551862c1211d35c304f9eca3efdbb481601c163cf52493d6e44aed55d51ec39b7e51"
    "8fadb92c2b523f20"
)
INTEL = replace(
    PRODUCTION_POLICY.intel,
    accepted_tcb_statuses=frozenset({"ConfigurationAndSWHardeningNeeded"}),
    accepted_advisories=frozenset({"INTEL-SA-00289", "INTEL-SA-00615"}),
)
POLICY = replace(PRODUCTION_POLICY, intel=INTEL)


def phala_evidence(tee_kind: str = "sgx") -> Evidence:
    name = "tdx" if "tdx" in tee_kind else "sgx"
    return Evidence(
        tee_kind=tee_kind,
        quote_hex=(VECTORS / "phala" / f"{name}_quote").read_bytes().hex(),
        collateral=(VECTORS / "phala" / f"{name}_quote_collateral.json").read_text(),
    )


def verify_phala(
    evidence=None, *, policy=POLICY, now=SGX_NOW, report_data=SGX_REPORT_DATA, measurement=SGX_MEASUREMENT
):
    return verify(
        evidence or phala_evidence(),
        policy,
        now,
        expected_report_data=report_data,
        reference_measurements=frozenset({measurement}),
    )


def verify_phala_tdx(
    evidence=None, *, policy=PRODUCTION_POLICY, now=TDX_NOW, report_data=TDX_REPORT_DATA, measurement=TDX_MEASUREMENT
):
    evidence = evidence or phala_evidence("tdx")
    return verify_phala(evidence, policy=policy, now=now, report_data=report_data, measurement=measurement)


def test_genuine_intel_quote_is_accepted_at_its_frozen_time():
    result = verify_phala()

    assert result.tee_kind is TeeKind.SGX
    assert not result.simulated
    assert result.root_name == "Intel SGX Root CA"
    assert result.status == "ConfigurationAndSWHardeningNeeded"
    assert result.advisories == ("INTEL-SA-00289", "INTEL-SA-00615")
    assert result.isolation is None
    assert any(mark.scope.endswith("/00a067110000") for mark in result.marks)
    assert 17 in [mark.number for mark in result.marks if mark.scope.startswith("tcb-info/")]


def test_genuine_tdx_quote_is_accepted_by_the_production_policy_at_its_frozen_time():
    result = verify_phala_tdx()

    assert result.tee_kind is TeeKind.TDX
    assert not result.simulated
    assert (result.status, result.advisories) == ("UpToDate", ())
    assert (result.product_id, result.security_version, result.isolation) == (None, None, None)
    assert [platform_id.hex() for platform_id in result.platform_ids] == [
        "811dca2a26b952e85bb6448b097ba4fd",
        "07828474603e7019dc930775ffe8cdd2",
    ]
    assert any(mark.scope.endswith("/tdx/b0c06f000000") for mark in result.marks)


def test_genuine_tdx_quote_comes_with_linux_padding_and_is_the_same_without():
    evidence = phala_evidence("tdx")
    blob = bytes.fromhex(evidence.quote_hex)
    quote, _ = parse_td_quote(blob)
    assert (len(blob), len(quote)) == (5006, 4936)

    assert verify_phala_tdx(replace_quote(evidence, quote)) == verify_phala_tdx()


@pytest.mark.parametrize("offset", [4936, 5005])
def test_genuine_tdx_quote_with_a_byte_in_its_padding_is_refused(offset):
    evidence = phala_evidence("tdx")
    blob = bytearray.fromhex(evidence.quote_hex)
    blob[offset] = 1

    with pytest.raises(AttestationError, match="70 trailing bytes that aren't zero"):
        verify_phala_tdx(replace_quote(evidence, bytes(blob)))


def test_intel_root_as_certificate_gives_the_same_result_as_the_one_inside_the_library():
    root = replace(POLICY.roots[0], der=(VECTORS / "phala" / "TrustedRootCA.der").read_bytes())

    assert verify_phala(policy=replace(POLICY, roots=(root,))) == verify_phala()
    assert verify_phala_tdx(policy=replace(PRODUCTION_POLICY, roots=(root,))) == verify_phala_tdx()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"report_data": b"\x01" * 64}, "report data are not those expected"),
        ({"measurement": bytes(32)}, "not among the 1 approved"),
        ({"now": SGX_NOW + 86400}, "no trust root"),
        ({"now": SGX_NOW - 60 * 86400}, "no trust root"),
        ({"policy": PRODUCTION_POLICY}, "ConfigurationAndSWHardeningNeeded"),
        ({"policy": replace(POLICY, intel=replace(INTEL, min_tcb_evaluation_data_number=18))}, "no trust root"),
        ({"policy": replace(POLICY, intel=replace(INTEL, accepted_advisories=frozenset()))}, "INTEL-SA-00289"),
        ({"policy": replace(POLICY, intel=replace(INTEL, accepted_sgx_types=frozenset({1})))}, "no trust root"),
        ({"policy": replace(POLICY, sgx=SgxDemands(min_isv_svn=1))}, "security version 0"),
        ({"policy": replace(POLICY, sgx=SgxDemands(config_id_hex="01" * 64))}, "CONFIGID"),
        ({"policy": replace(POLICY, accepted_tee_kinds=TeeKind.TDX)}, "kind sgx is not accepted"),
        ({"policy": replace(POLICY, maximum_collateral_age_days=29)}, "issued"),
        ({"policy": replace(POLICY, roots=AMD_ROOTS)}, "it lists none for this kind"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_genuine_intel_quote_is_refused_when_anything_expected_differs(changes, reason):
    with pytest.raises(AttestationError, match=reason):
        verify_phala(**changes)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"report_data": b"\x01" * 64}, "report data are not those expected"),
        ({"measurement": bytes(48)}, "not among the 1 approved"),
        ({"now": TDX_NOW + 86400}, "no trust root"),
        ({"now": TDX_NOW - 60 * 86400}, "no trust root"),
        ({"policy": replace(PRODUCTION_POLICY, tdx=TdxDemands(xfam_allowed=0xE7))}, "pkru, amx-config, amx-data"),
        ({"policy": replace(PRODUCTION_POLICY, tdx=TdxDemands(rtmr3_hex="01" * 48))}, "RTMR3"),
        ({"policy": replace(PRODUCTION_POLICY, accepted_tee_kinds=TeeKind.SGX)}, "kind tdx is not accepted"),
        ({"policy": replace(PRODUCTION_POLICY, maximum_collateral_age_days=20)}, "issued"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_genuine_tdx_quote_is_refused_when_anything_expected_differs(changes, reason):
    with pytest.raises(AttestationError, match=reason):
        verify_phala_tdx(**changes)


@pytest.mark.parametrize("feature", ["allow_dynamic_platform", "allow_cached_keys", "allow_smt"])
def test_genuine_server_is_refused_by_a_policy_that_lacks_one_of_its_features(feature):
    intel = replace(PRODUCTION_POLICY.intel, **{feature: False})

    with pytest.raises(AttestationError, match="no trust root"):
        verify_phala_tdx(policy=replace(PRODUCTION_POLICY, intel=intel))


@pytest.mark.parametrize("tee_kind", ["simulated-sgx", "simulated-tdx"])
def test_genuine_intel_quote_is_refused_as_simulated(tee_kind):
    check = verify_phala if "sgx" in tee_kind else verify_phala_tdx

    base = POLICY if "sgx" in tee_kind else PRODUCTION_POLICY
    kinds = base.accepted_tee_kinds | TeeKind.SIMULATED_SGX | TeeKind.SIMULATED_TDX

    with pytest.raises(AttestationError, match=f"claims {tee_kind} but its root is 'Intel"):
        check(phala_evidence(tee_kind), policy=replace(base, accepted_tee_kinds=kinds, allow_simulated=True))
    with pytest.raises(AttestationError, match=f"kind {tee_kind} is not accepted"):
        check(phala_evidence(tee_kind))


@pytest.mark.parametrize("tee_kind", ["sgx", "tdx"])
def test_genuine_intel_quote_is_refused_under_a_simulated_root(tee_kind):
    policy = unsafe_simulation_policy((VECTORS / "simulated" / "root.der").read_bytes())
    policy = replace(policy, accepted_tee_kinds=policy.accepted_tee_kinds | TeeKind.SGX | TeeKind.TDX)
    check = verify_phala if tee_kind == "sgx" else verify_phala_tdx

    with pytest.raises(AttestationError, match="no trust root of the policy accepts the evidence: Simulated"):
        check(phala_evidence(tee_kind), policy=policy)


def test_genuine_debug_enclave_of_occlum_is_refused():
    quote = (VECTORS / "coco-trustee" / "occlum_quote.dat").read_bytes()
    body = parse_sgx_quote(quote)

    with pytest.raises(AttestationError, match="debug mode"):
        check_sgx_attributes(body, POLICY.sgx)
    with pytest.raises(AttestationError, match="no trust root"):
        verify_phala(replace_quote(phala_evidence(), quote), report_data=body.report_data, measurement=body.mr_enclave)


def test_genuine_debug_trust_domain_of_trustee_is_parsed_and_refused():
    # There is no collateral for it; its attributes and processor state can be judged all the same.
    quote, body = parse_td_quote((VECTORS / "coco-trustee" / "tdx_quote_4.dat").read_bytes())
    without_debug = replace(body, attributes=body.attributes & ~1)

    assert (len(quote), body.attributes, body.xfam) == (4936, 0x10000001, 0x642E7)
    with pytest.raises(AttestationError, match="debug mode"):
        check_td_attributes(body, TdxDemands())
    with pytest.raises(AttestationError, match="user-interrupts"):
        check_td_attributes(without_debug, TdxDemands())
    assert check_td_configuration(body, TdxDemands(), simulated=False) is None


@pytest.mark.parametrize("name", ["tdx-quote.hex", "quote-from-tappd.hex"])
def test_genuine_trust_domain_that_extended_rtmr3_is_refused_unless_the_policy_names_the_value(name):
    text = (VECTORS / "phala" / name).read_text().strip().removeprefix("0x")
    _, body = parse_td_quote(bytes.fromhex(text))

    check_td_attributes(body, TdxDemands())
    with pytest.raises(AttestationError, match="RTMR3"):
        check_td_configuration(body, TdxDemands(), simulated=False)
    assert check_td_configuration(body, TdxDemands(rtmr3_hex=body.rtmr3.hex()), simulated=False) is None


def test_genuine_tdx_quote_of_version_5_is_refused():
    evidence = Evidence(
        tee_kind="tdx",
        quote_hex=(VECTORS / "phala" / "tdx_quote_outdated").read_bytes().hex(),
        collateral=(VECTORS / "phala" / "tdx_quote_outdated_collateral.json").read_text(),
    )

    with pytest.raises(AttestationError, match=r"not a TDX quote of version 4 .*: version 5"):
        verify_phala_tdx(evidence)


def replace_quote(evidence: Evidence, quote: bytes) -> Evidence:
    return Evidence(evidence.tee_kind, quote.hex(), evidence.collateral)


# ---- simulated vectors of another implementation


def simulated_vector(kind: str = "sgx") -> tuple[Evidence, dict, bytes]:
    folder = VECTORS / "simulated"
    quote = {"sgx": "sgx_v3.quote", "tdx": "tdx_v4.quote"}[kind]
    evidence = Evidence(
        f"simulated-{kind}",
        (folder / quote).read_bytes().hex(),
        (folder / f"{kind}_collateral.json").read_text(),
    )
    return evidence, json.loads((folder / "meta.json").read_text()), (folder / "root.der").read_bytes()


def verify_simulated(evidence, meta, policy):
    measurement = bytes.fromhex(meta["mr_enclave"])
    if evidence.tee_kind.endswith("tdx"):
        measurement = parse_td_quote(bytes.fromhex(evidence.quote_hex))[1].measurement
    return verify(
        evidence,
        policy,
        meta["now"],
        expected_report_data=bytes.fromhex(meta["report_data"]),
        reference_measurements=frozenset({measurement}),
    )


def test_simulated_vector_without_a_statement_of_isolation_is_refused():
    # Its CONFIGID is a deal's digest: the vector was made before simulations had to say what isolates them.
    evidence, meta, root_der = simulated_vector()

    with pytest.raises(AttestationError, match="does not state what isolated"):
        verify_simulated(evidence, meta, unsafe_simulation_policy(root_der))


def test_simulated_sgx_vector_of_another_implementation_passes_every_other_check():
    # Its configuration is the last but one of the quote's own members to be judged: version and root were accepted.
    evidence, meta, root_der = simulated_vector()
    body = parse_sgx_quote(bytes.fromhex(evidence.quote_hex))
    demands = SgxDemands(config_id_hex=meta["config_id"], isv_prod_id=7, min_isv_svn=3)

    check_sgx_attributes(body, demands)
    check_sgx_version(body, demands)
    assert check_sgx_configuration(body, demands, simulated=False) is None
    policy = replace(unsafe_simulation_policy(root_der), sgx=replace(demands, min_isv_svn=4))
    with pytest.raises(AttestationError, match="security version 3 is below the floor 4"):
        verify_simulated(evidence, meta, policy)


@pytest.mark.parametrize("kind", ["sgx", "tdx"])
def test_simulated_vector_under_the_name_of_hardware_is_refused_by_its_root(kind):
    evidence, meta, root_der = simulated_vector(kind)
    policy = unsafe_simulation_policy(root_der)
    policy = replace(policy, accepted_tee_kinds=policy.accepted_tee_kinds | TeeKind.SGX | TeeKind.TDX)

    with pytest.raises(AttestationError, match=f"claims {kind} but its root is 'Simulated"):
        verify_simulated(Evidence(kind, evidence.quote_hex, evidence.collateral), meta, policy)


def test_simulated_tdx_vector_with_undefined_processor_state_is_refused():
    # Its XFAM, 0xE702E7, sets bits that no processor has.
    evidence, meta, root_der = simulated_vector("tdx")

    with pytest.raises(AttestationError, match="exceeds the allowed state: hwp, bit 21, bit 22, bit 23"):
        verify_simulated(evidence, meta, unsafe_simulation_policy(root_der))


def test_simulated_tdx_vector_of_another_implementation_passes_all_but_state_and_isolation():
    evidence, meta, root_der = simulated_vector("tdx")
    policy = replace(unsafe_simulation_policy(root_der), tdx=TdxDemands(xfam_allowed=0xE702E7))

    with pytest.raises(AttestationError, match="does not state what isolated"):
        verify_simulated(evidence, meta, policy)


@pytest.mark.parametrize("kind", ["sgx", "tdx"])
def test_simulated_vector_is_refused_by_the_production_policy(kind):
    evidence, meta, _ = simulated_vector(kind)

    with pytest.raises(AttestationError, match=f"kind simulated-{kind} is not accepted"):
        verify_simulated(evidence, meta, PRODUCTION_POLICY)
    with pytest.raises(AttestationError, match="no trust root of the policy accepts"):
        verify_simulated(Evidence(kind, evidence.quote_hex, evidence.collateral), meta, PRODUCTION_POLICY)
