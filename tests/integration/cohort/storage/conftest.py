"""Servers on loopback: S3 (moto always, OpenStack Swift where it is installed), https with an own CA, a breakable wire.

Swift is used when HEARTIFY_TEST_SWIFT_PYTHON names a Python that has the package `swift`, in an environment of its own.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import itertools
import os
import selectors
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from heartify.cohort.storage.objects import publish_version, put_object
from heartify.cohort.storage.store import Store
from heartify.protocol.canonical import encode_canonical, sha256_digest
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import ColumnFile, Manifest

HERE = Path(__file__).parent
_NUMBERS = itertools.count()


# a breakable wire


class Wire:
    """A TCP proxy on loopback that counts what goes to the server, and stops or cuts when told."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sent = 0
        self.reached = threading.Event()
        self._stall_after: int | None = None
        self._cut_after: int | None = None
        self._cuts = 0
        self._sockets: set[socket.socket] = set()
        self._closing = False
        threading.Thread(target=self._accept, daemon=True).start()

    def stall_after(self, count: int) -> None:
        """Pass on no more than so many bytes; the connections stay open."""
        self._stall_after = count

    def cut_after(self, count: int, *, times: int) -> None:
        """Break the connection after so many bytes, and the next ones at once."""
        self._cut_after, self._cuts = count, times

    def mend(self) -> None:
        self.sent, self._stall_after, self._cut_after = 0, None, None
        self.reached.clear()

    def close(self) -> None:
        self._closing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for open_socket in list(self._sockets):
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._target_port)) as server:
            self._sockets |= {client, server}
            selector = selectors.DefaultSelector()
            with selector:
                selector.register(client, selectors.EVENT_READ, server)
                selector.register(server, selectors.EVENT_READ, client)
                while self._pass_on(selector, client):
                    pass
        self._sockets.discard(client)

    def _pass_on(self, selector: selectors.BaseSelector, client: socket.socket) -> bool:
        for key, _ in selector.select(timeout=1):
            data = key.fileobj.recv(65536)
            if not data:
                return False
            if key.fileobj is client:
                self.sent += len(data)
                if self._stall_after is not None and self.sent > self._stall_after:
                    self.reached.set()
                    self._wait_for_end(client)
                    return False
                if self._cuts and self._cut_after is not None and self.sent > self._cut_after:
                    self._cuts -= 1
                    self.reached.set()
                    return False
            key.data.sendall(data)
        return not self._closing

    def _wait_for_end(self, client: socket.socket) -> None:
        while not self._closing and client.recv(65536):
            pass


@pytest.fixture
def wire() -> Iterator[Callable[[int], Wire]]:
    wires: list[Wire] = []

    def make(port: int) -> Wire:
        wires.append(Wire(port))
        return wires[-1]

    yield make
    for made in wires:
        made.close()


# S3


@dataclass(frozen=True)
class S3Server:
    """A server with the S3 API on loopback."""

    port: int
    key_id: str
    secret: str

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self):
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self.key_id,
            aws_secret_access_key=self.secret,
            config=Config(request_checksum_calculation="when_required", response_checksum_validation="when_required"),
        )


@pytest.fixture(scope="session", params=["moto", "swift"])
def s3_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with _moto() if request.param == "moto" else _swift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@contextlib.contextmanager
def _moto() -> Iterator[S3Server]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        yield S3Server(server.get_host_and_port()[1], "test-key", "test-secret")
    finally:
        server.stop()


@contextlib.contextmanager
def _swift(folder: Path) -> Iterator[S3Server]:
    python = os.environ.get("HEARTIFY_TEST_SWIFT_PYTHON")
    if not python:
        pytest.skip("HEARTIFY_TEST_SWIFT_PYTHON names no Python that has OpenStack Swift")
    port = _four_free_ports()
    command = [python, str(HERE / "run_swift.py"), str(folder / "swift"), str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        _wait_until_open(port)
        yield S3Server(port, "test:tester", "testing")
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def _four_free_ports() -> int:
    for first in range(42000, 60000, 7):
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(first, first + 4):
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
    pytest.skip("no four free ports in a row")


def _wait_until_open(first_port: int) -> None:
    for port in range(first_port, first_port + 4):
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            threading.Event().wait(0.05)


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """A fresh bucket, which the environment leads to as an operator's would: endpoint, region and credentials."""
    bucket = f"heartify-{next(_NUMBERS)}-{os.getpid()}"
    s3_server.client().create_bucket(Bucket=bucket)
    settings = {
        "AWS_ENDPOINT_URL_S3": s3_server.url,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": s3_server.key_id,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret,
        "AWS_CONFIG_FILE": str(tmp_path / "no-aws-config"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return SimpleNamespace(
        server=s3_server, client=s3_server.client(), bucket=bucket, url=f"s3://{bucket}/stores/aspen"
    )


# https


@dataclass
class Answers:
    """What the web server sends: files by path, and per path one behaviour for each of the next requests."""

    files: dict[str, bytes] = field(default_factory=dict)
    behaviours: dict[str, list[str]] = field(default_factory=dict)
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    redirect_to: str = ""
    knows_ranges: bool = True
    knows_head: bool = True
    released: threading.Event = field(default_factory=threading.Event)


class Handler(BaseHTTPRequestHandler):
    """Serves `Answers`."""

    protocol_version = "HTTP/1.1"
    answers: Answers

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, *, body: bool) -> None:
        answers, asked = self.answers, self.headers.get("range")
        answers.requests.append((self.command, self.path, asked))
        answers.hosts.add(str(self.headers.get("host")))
        behaviours = answers.behaviours.get(self.path, [])
        behaviour = behaviours.pop(0) if behaviours else ""
        data = answers.files.get(self.path)
        if not body and not answers.knows_head:
            self._send(405, b"")
        elif behaviour.isdigit():
            self._send(int(behaviour), b"in the server's own words")
        elif behaviour == "redirect":
            self._send(302, b"", location=answers.redirect_to)
        elif data is None:
            self._send(404, b"")
        else:
            self._send_file(data, asked, behaviour, body=body)

    def _send_file(self, data: bytes, asked: str | None, behaviour: str, *, body: bool) -> None:
        start, status, headers = 0, 200, {}
        if asked and self.answers.knows_ranges:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), int(last or len(data) - 1) + 1
            if start >= len(data):
                self._send(416, b"")
                return
            claimed = start + (1 if behaviour == "wrong-range" else 0)
            headers["content-range"] = f"bytes {claimed}-{end - 1}/{len(data)}"
            data, status = data[start:end], 206
        if behaviour == "lie":
            data = bytes([data[0] ^ 1]) + data[1:]
        if behaviour == "more":
            data += b"more"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if not body:
            return
        if behaviour in {"truncate", "stall"}:
            self.wfile.write(data[: len(data) // 2])
            self.wfile.flush()
            if behaviour == "stall":
                self.answers.released.wait(20)
            self.close_connection = True
            return
        self.wfile.write(data)

    def _send(self, status: int, data: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


class QuietServer(ThreadingHTTPServer):
    """A client that goes away in the middle is no error here."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _serving(tls: ssl.SSLContext | None) -> Iterator[tuple[Answers, int]]:
    answers = Answers()
    server = QuietServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"answers": answers}))
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield answers, server.server_port
    finally:
        answers.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A CA of our own, and a server's certificate for store.test, localhost and 127.0.0.1."""
    folder = tmp_path_factory.mktemp("ca")
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test CA")])
    names = [x509.DNSName("store.test"), x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    ca = (
        _certificate(ca_name, ca_key.public_key(), ca_name)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "store.test")])
    leaf = (
        _certificate(subject, key.public_key(), ca_name)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    ca_file, leaf_file = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    leaf_file.write_bytes(private + leaf.public_bytes(serialization.Encoding.PEM))
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(leaf_file)
    return SimpleNamespace(
        ca_file=ca_file, server_side=server_side, client_side=ssl.create_default_context(cafile=str(ca_file))
    )


def _certificate(subject: x509.Name, public_key: ec.EllipticCurvePublicKey, issuer: x509.Name):
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
    )


@pytest.fixture
def web(authority: SimpleNamespace) -> Iterator[SimpleNamespace]:
    """An https server: what it answers, its port, and its CA."""
    with _serving(authority.server_side) as (answers, port):
        yield SimpleNamespace(answers=answers, port=port, **vars(authority))


@pytest.fixture
def plain_web() -> Iterator[SimpleNamespace]:
    """The same over plain http, as an IPFS gateway on the own machine."""
    with _serving(None) as (answers, port):
        yield SimpleNamespace(answers=answers, port=port)


# versions


@dataclass(frozen=True)
class SmallVersion:
    """A version whose files are random bytes: storage never looks into them."""

    manifest: Manifest
    dictionary: bytes
    files: tuple[Path, ...]

    def publish(self, store: Store) -> str:
        for entry, path in zip(self.manifest.columns, self.files, strict=True):
            put_object(store, path, entry.digest, entry.size)
        return publish_version(store, encode_canonical(self.manifest), {"dictionary.json": self.dictionary})

    def served(self, below: str) -> dict[str, bytes]:
        """Return path → bytes, as a web server has a store's files."""
        folder = self.manifest.version_id().removeprefix("0x")
        entries = zip(self.manifest.columns, self.files, strict=True)
        objects = {f"{below}/objects/{entry.object_name}": path.read_bytes() for entry, path in entries}
        documents = {"manifest.json": encode_canonical(self.manifest), "dictionary.json": self.dictionary}
        return objects | {f"{below}/{folder}/{name}": data for name, data in documents.items()}


@pytest.fixture
def make_version(tmp_path: Path) -> Callable[..., SmallVersion]:
    def make(*sizes: int) -> SmallVersion:
        folder = tmp_path / f"to-upload-{next(_NUMBERS)}"
        folder.mkdir()
        entries, files = [], []
        for number, size in enumerate(sizes):
            data = os.urandom(size)
            files.append(folder / str(number))
            files[-1].write_bytes(data)
            place = {"part": 0, "first_row": 0, "padded_rows": 512}
            entries.append(ColumnFile(column=f"c{number}", size=size, digest=sha256_digest(data), **place))
        columns = tuple(
            Column(name=e.column, title=e.column, datatype="number", role="factor", unit="1") for e in entries
        )
        dictionary = encode_canonical(DataDictionary(title="Small", description="", columns=columns))
        manifest = Manifest(
            dataset="0x" + "11" * 32,
            previous=None,
            version_nonce="0x" + os.urandom(32).hex(),
            dictionary_digest=sha256_digest(dictionary),
            report_digest="0x" + "22" * 32,
            rows_rounded=500,
            columns=tuple(entries),
        )
        return SmallVersion(manifest, dictionary, tuple(files))

    return make
