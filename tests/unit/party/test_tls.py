"""A service proves itself by a certificate, which is checked before it listens."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from heartify.errors import InputError, UsageError
from heartify.party.http_service import RunningService, build_service, json_answer, port_of
from heartify.party.tls import choose_tls

NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "broker of a test")])


def write_pair(folder, name="service", *, encryption=None):
    """Write a self-signed certificate for loopback and its key; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()))
    paths[1].chmod(0o600)
    return paths


def hello():
    app = build_service("hello")

    async def answer(_request):
        return json_answer("hello")

    app.add_route("/hello", answer, methods=["GET"])
    return app


def test_service_with_a_certificate_speaks_tls_and_nothing_else(tmp_path):
    certificate, key = write_pair(tmp_path)
    trust = ssl.create_default_context(cafile=str(certificate))

    with RunningService(hello(), tls=choose_tls(certificate, key)) as service:
        assert service.url.startswith("https://")
        with httpx.Client(verify=trust, trust_env=False) as client:
            assert client.get(f"{service.url}/hello").json() == "hello"
        with httpx.Client(trust_env=False) as client, pytest.raises(httpx.TransportError):
            client.get(service.url.replace("https", "http") + "/hello")


def test_old_versions_of_tls_are_refused(tmp_path):
    certificate, key = write_pair(tmp_path)
    old = ssl.create_default_context(cafile=str(certificate))
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1

    with (
        RunningService(hello(), tls=choose_tls(certificate, key)) as service,
        httpx.Client(verify=old, trust_env=False) as client,
        pytest.raises(httpx.TransportError),
    ):
        client.get(f"{service.url}/hello")


def test_no_files_mean_no_tls():
    assert choose_tls(None, None) is None


def test_certificate_without_its_key_is_refused(tmp_path):
    certificate, key = write_pair(tmp_path)

    for given in ((certificate, None), (None, key)):
        with pytest.raises(UsageError, match="needs its key"):
            choose_tls(*given)


def test_key_that_others_can_read_is_refused(tmp_path):
    certificate, key = write_pair(tmp_path)
    key.chmod(0o640)

    with pytest.raises(InputError, match="open to other users"):
        choose_tls(certificate, key)


def test_key_of_another_certificate_is_refused(tmp_path):
    certificate, _ = write_pair(tmp_path)
    _, other = write_pair(tmp_path, "other")

    with pytest.raises(InputError, match="don't make a chain"):
        choose_tls(certificate, other)


def test_key_with_a_passphrase_is_refused_and_nobody_is_asked(tmp_path):
    certificate, key = write_pair(tmp_path, encryption=BestAvailableEncryption(b"secret"))

    with pytest.raises(InputError, match="don't make a chain"):
        choose_tls(certificate, key)


def test_missing_file_is_an_input_error(tmp_path):
    certificate, _ = write_pair(tmp_path)

    with pytest.raises(InputError, match="FileNotFoundError"):
        choose_tls(certificate, tmp_path / "nothing.key")


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://a", 80), ("https://a", 443), ("https://a:8443/x", 8443), ("http://127.0.0.1:9", 9)],
)
def test_service_listens_where_its_url_leads(url, port):
    assert port_of(url) == port
