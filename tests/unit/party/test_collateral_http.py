"""Fetching over HTTP: only where it is allowed, bounded, never redirected; and a client of others agrees with ours."""

from __future__ import annotations

import asyncio
import datetime as dt
import http.server
import ipaddress
import json
import ssl
import threading

import dcap_qvl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from heartify.attestation.collateral_service.needs import dcap_need
from heartify.attestation.collateral_service.pccs_client import PccsClient
from heartify.attestation.collateral_service.unsafe_simulated_pccs import UnsafeSimulatedPccs
from heartify.attestation.simulated import SimulatedPlatform
from heartify.attestation.simulated.td_quote import SimulatedTdReport
from heartify.errors import InputError, ServiceError, UsageError
from heartify.party.collateral_http import MAX_ANSWER_BYTES, CollateralHttp, check_service_url
from heartify.party.http_service import RunningService
from heartify.party.unsafe_simulated_pccs import build_simulated_pccs_service, simulated_pccs_of

NOW = 1_795_000_000


class Server:
    """A server on loopback that answers every GET with what the test says; with TLS if it is given a context."""

    def __init__(self, status=200, headers=None, body=b"", tls=None, parts=1):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body) * parts))
                self.end_headers()
                for _ in range(parts):
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def test_an_answer_comes_with_status_lower_case_headers_and_bytes():
    with Server(404, {"X-Chain": "a%20b"}, b"\x00\x01") as server:
        answer = CollateralHttp()(server.url)

    assert (answer.status, answer.headers["x-chain"], answer.body) == (404, "a%20b", b"\x00\x01")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status):
    with Server(status, {"Location": "http://127.0.0.1:1/"}) as server, pytest.raises(ServiceError, match="redirects"):
        CollateralHttp()(server.url)


def test_an_answer_that_is_too_large_is_refused():
    with (
        Server(body=b"x" * 65536, parts=MAX_ANSWER_BYTES // 65536 + 1) as server,
        pytest.raises(ServiceError, match="over 1048576 bytes"),
    ):
        CollateralHttp()(server.url)


def test_an_answer_with_endless_headers_is_refused():
    with (
        Server(headers={f"h{number}": "x" * 8000 for number in range(12)}) as server,
        pytest.raises(ServiceError, match=r"characters of headers|can't be reached"),
    ):
        CollateralHttp()(server.url)


def test_an_answer_that_does_not_end_in_time_is_refused():
    ticks = iter(range(0, 1000, 20))
    with Server(body=b"x") as server, pytest.raises(ServiceError, match="did not finish its answer in 15 seconds"):
        CollateralHttp(clock=lambda: next(ticks))(server.url)


def test_a_service_that_is_not_there_is_an_error_of_the_service():
    with Server() as server:
        url = server.url

    with pytest.raises(ServiceError, match="can't be reached"):
        CollateralHttp()(url)


def test_proxies_of_the_environment_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    with Server(body=b"direct") as server:
        assert CollateralHttp()(server.url).body == b"direct"


@pytest.mark.parametrize(
    "url", ["https://pccs.example", "http://127.0.0.1:8081", "http://localhost", "http://[::1]:80", "http://127.8.0.1/"]
)
def test_https_and_http_on_this_machine_are_allowed(url):
    check_service_url(url)


@pytest.mark.parametrize(
    "url",
    ["http://pccs.example", "http://10.0.0.1", "ftp://127.0.0.1", "file:///etc/passwd", "http://localhost.example"],
)
def test_http_elsewhere_and_other_schemes_are_refused(url):
    with pytest.raises(UsageError):
        CollateralHttp()(url)


def test_http_elsewhere_needs_a_setting_that_says_unsafe():
    check_service_url("http://pccs.example", unsafe_allow_http=True)
    with pytest.raises(UsageError):
        check_service_url("ftp://pccs.example", unsafe_allow_http=True)


@pytest.mark.parametrize("url", ["https://user:secret@pccs.example", "https://user@pccs.example", "https://"])
def test_an_address_with_a_user_or_without_a_host_is_refused(url):
    with pytest.raises(UsageError) as caught:
        check_service_url(url)

    assert "secret" not in caught.value.message


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, as Intel's PCCS makes one at installation, and a server's TLS."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pccs")])
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + dt.timedelta(365 * 80))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "pccs.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "pccs.pem", folder / "key.pem")
    return folder / "pccs.pem", tls


def test_an_unknown_authority_is_refused(authority):
    with Server(tls=authority[1]) as server, pytest.raises(ServiceError, match="can't be reached"):
        CollateralHttp()(server.url)


def test_an_authority_of_ones_own_is_believed_when_its_file_is_given(authority):
    with Server(tls=authority[1], body=b"ok") as server:
        assert CollateralHttp(ca_file=authority[0])(server.url).body == b"ok"


def test_a_file_that_holds_no_authority_is_refused(tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(InputError, match="no PEM certificates"):
            CollateralHttp(ca_file=tmp_path / name)


@pytest.fixture(scope="module")
def platform():
    return SimulatedPlatform.create(NOW)


def td_quote(platform):
    registers = dict.fromkeys(("mr_td", "rtmr0", "rtmr1", "rtmr2"), bytes(48))
    return platform.quote_report(SimulatedTdReport(**registers, report_data=bytes(64), mr_config_id=bytes(48)))


@pytest.mark.parametrize("tee", ["sgx", "tdx"])
def test_the_quote_librarys_own_client_gets_the_same_collateral_and_both_verify(platform, tee):
    issued = {kind: platform.collateral(NOW, tdx=kind == "tdx") for kind in ("sgx", "tdx")}
    pccs = UnsafeSimulatedPccs(platform.identity.fmspc, issued.get)  # one issue for both: signatures are random
    lists = {name: json.loads(issued["sgx"])[name] for name in ("root_ca_crl", "pck_crl")}
    quote = platform.quote(bytes(32), bytes(64)) if tee == "sgx" else td_quote(platform)

    with RunningService(build_simulated_pccs_service(pccs)) as service:
        ours = json.loads(PccsClient(service.url, CollateralHttp()).collateral(dcap_need(quote)))
        referee = asyncio.run(_get_collateral(service.url, quote))

    theirs = json.loads(referee.to_json())
    theirs.pop("pck_certificate_chain")
    assert ours == theirs == {**json.loads(issued[tee]), **lists}
    for collateral in (dcap_qvl.QuoteCollateralV3.from_json(json.dumps(ours)), referee):
        assert dcap_qvl.verify_with_root_ca(quote, collateral, platform.root_der, NOW).status == "UpToDate"


async def _get_collateral(url, quote):
    return await dcap_qvl.get_collateral(url, quote)


def test_the_simulated_pccs_knows_no_other_platform(platform):
    with RunningService(build_simulated_pccs_service(simulated_pccs_of(platform))) as service:
        statuses = [
            CollateralHttp()(f"{service.url}/{path}").status
            for path in (
                "sgx/certification/v4/tcb?fmspc=00A067110000",
                "sgx/certification/v4/pckcrl?ca=processor",
                "sgx/certification/v3/tcb?fmspc=50494D000000",
                "tdx/certification/v4/rootcacrl",
                "",
                "sgx/certification/v4/tcb?fmspc=50494d000000",
            )
        ]

    assert statuses == [404, 404, 404, 404, 404, 200]
