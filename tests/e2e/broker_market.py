"""A market to try what can befall a broker: two small hospitals, one behind a detour, one behind TLS, and a pool.

Everything is real and done by commands: the embedded chain, brokers, pool and collateral service are processes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import io
import ipaddress
import json
import os
import random
import signal
import sqlite3
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import heartify
from heartify.chain.deployment import store_deployment
from heartify.chain.node import EmbeddedChain, unsafe_fund
from heartify.chain.rpc import connect
from heartify.chain.sender import Sender
from heartify.cli.main import main
from heartify.demo.processes import Services, free_port
from heartify.market.launch import launch_market
from heartify.party.account import deposit, unsafe_faucet
from heartify.party.keystore import create_account, load_secret
from heartify.party.trust import trust_simulated_root
from heartify.tee.app_release import build_app_release
from tests.e2e.detour import Detour

TOKEN = 10**6
PASSWORD = b"a long password of a test"
PATIENTS = 400
ISOLATION = "sandbox,system-call-filter"
TEE_KINDS = ("simulated-sgx", "simulated-tdx")

DICTIONARY = """
title = "A small clinic"
description = ""
[[columns]]
name = "age"
title = "Age"
datatype = "integer"
role = "factor"
unit = "a"
minimum = 18
maximum = 110
[[columns]]
name = "smoker"
title = "Smokes"
datatype = "boolean"
role = "factor"
[[columns]]
name = "cvd"
title = "CVD"
datatype = "boolean"
role = "outcome"
[catalogue]
publisher = { name = "A Clinic", url = "https://clinic.example" }
contact = { name = "Data office", email = "data@clinic.example" }
"""
PLAN = """
title = "Age and smoking"
purpose = "health-research"
outcome = { column = "cvd", equals = "1" }
factors = [{ name = "age", column = "age" }, { name = "smoker", column = "smoker" }]
[analysis]
model = "logistic"
"""


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def run_command(*arguments: object, code: int = 0) -> Ran:
    """Run a command in this process; it must end with this code."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        found = main([str(argument) for argument in arguments])
    assert found == code, (arguments, found, err.getvalue())
    return Ran(found, out.getvalue(), err.getvalue())


@dataclasses.dataclass(frozen=True)
class Deal:
    """How a deal ended: its id, outcome, and who was left out for which reason."""

    deal_id: str
    outcome: str
    left_out: dict[str, str]


class BrokerMarket:
    """The market; `start` it, and `close` it in any case."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.password_file = work / "password"
        self.password_file.write_bytes(PASSWORD)
        self.ca_file = work / "ca.pem"
        self.services = Services(work / "logs", self.password_file)
        self.north_port, self.south_port = free_port(), free_port()
        self.pool_urls: dict[str, str] = {}
        self.detour = Detour(self.north_port)
        self.chain: EmbeddedChain | None = None

    @property
    def deployment(self) -> Path:
        return self.work / "deployment.json"

    @property
    def is_sandboxed(self) -> bool:
        """Tell whether this machine could isolate the pool's enclaves; then the north asks for it."""
        last_start = json.loads((self.home("pool") / "last-start.json").read_text())
        return all(word in last_start["isolation"] for word in ISOLATION.split(","))

    def home(self, name: str) -> Path:
        return self.work / name

    # building it

    def start(self) -> None:
        self.detour.__enter__()
        make_tls_files(self.work)
        self.chain = EmbeddedChain.start(self.work / "chain")
        self._launch()
        self.add_pool("pool", price=4, tee_kind="simulated-sgx")
        (self.work / "dictionary.toml").write_text(DICTIONARY)
        (self.work / "plan.toml").write_text(PLAN)
        self.start_pool("pool")
        isolation = ["--require-isolation", ISOLATION] if self.is_sandboxed else []
        self._add_hospital("north", self.detour.url, 1, isolation)
        self._add_hospital("south", f"https://127.0.0.1:{self.south_port}", 2, [])
        self.start_broker("north")
        self.start_broker("south")
        root = self.home("pool") / "unsafe-simulated-root.pem"
        self.lab("init", "--deployment", self.deployment, "--unsafe-trust-simulated-root", root)
        unsafe_faucet(self.home("lab"), PASSWORD, 10_000 * TOKEN)

    def close(self) -> None:
        self.services.__exit__(None, None, None)
        self.detour.__exit__()
        if self.chain is not None:
            self.chain.stop()

    def _launch(self) -> None:
        account = create_account(self.work / "operator.json", PASSWORD)
        unsafe_fund(self.chain.rpc_url, account, 100)
        private_key = load_secret(self.work / "operator.json", PASSWORD)
        sender = Sender(connect(self.chain.rpc_url), private_key)
        release = build_app_release(heartify.__version__)
        store_deployment(self.deployment, launch_market(sender, private_key, release, app_price=1, embedded=True))

    def add_pool(self, name: str, *, price: int, tee_kind: str) -> None:
        self.pool_urls[name] = f"http://127.0.0.1:{free_port()}"
        where = ["--deployment", self.deployment, "--url", self.pool_urls[name], "--home", self.home(name)]
        run_command("pool", "init", *where, "--price", price, "--tee-kind", tee_kind)
        unsafe_faucet(self.home(name), PASSWORD, 100 * TOKEN)
        deposit(self.home(name), PASSWORD, 100 * TOKEN)

    def _add_hospital(self, name: str, broker_url: str, seed: int, more: list[str]) -> None:
        root = self.home("pool") / "unsafe-simulated-root.pem"
        where = ["--deployment", self.deployment, "--store", self.work / f"{name}-store", "--broker-url", broker_url]
        self.hospital(name, "init", "--name", name, *where, "--unsafe-trust-simulated-root", root, *more)
        unsafe_faucet(self.home(name), PASSWORD, 0)
        write_cohort(self.work / f"{name}.csv", seed)
        files = [self.work / f"{name}.csv", "--dictionary", self.work / "dictionary.toml"]
        published = self.hospital(name, "publish", *files, "--dataset", "heart", "--json").document
        columns = [word for column in ("age", "smoker", "cvd") for word in ("--column", column)]
        kinds = [word for kind in TEE_KINDS for word in ("--tee", kind)]
        self.hospital(name, "grant", published["version"], "--price", 5, "--uses", 100, *columns, *kinds)
        self.hospital(name, "broker", "approve")

    def trust_root_of(self, pool: str) -> None:
        """Let every party believe the simulated machine of another pool, and start the brokers again."""
        isolation = ISOLATION.split(",") if self.is_sandboxed else []
        root = self.home(pool) / "unsafe-simulated-root.pem"
        for name, required in (("north", isolation), ("south", []), ("lab", [])):
            trust_simulated_root(self.home(name), root, required)
        for name in ("north", "south"):
            self.stop_broker(name)
            self.start_broker(name)

    # its processes

    def start_broker(self, name: str) -> None:
        tls = ["--tls-certificate", self.work / "south.pem", "--tls-key", self.work / "south.key"]
        more = ["--port", self.north_port] if name == "north" else tls
        command = ["hospital", "broker", "run", "--home", self.home(name), *more]
        self.services.start(f"broker-{name}", [str(word) for word in command])
        url = f"http://127.0.0.1:{self.north_port}" if name == "north" else f"https://127.0.0.1:{self.south_port}"
        self._wait_for(url)

    def kill_broker(self, name: str) -> None:
        """Kill it without a chance to say goodbye."""
        os.kill(self.services.process_id(f"broker-{name}"), signal.SIGKILL)
        self.services.stop(f"broker-{name}")

    def stop_broker(self, name: str) -> None:
        self.services.stop(f"broker-{name}")

    def start_pool(self, name: str) -> None:
        # The pool reaches a broker whose certificate a private authority signed, as an operator would tell it.
        before = os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = str(self.ca_file)
        try:
            self.services.start(name, ["pool", "start", "--home", str(self.home(name))])
        finally:
            os.environ.pop("SSL_CERT_FILE")
            if before is not None:
                os.environ["SSL_CERT_FILE"] = before
        self._wait_for(self.pool_urls[name])

    def _wait_for(self, url: str) -> None:
        tls, give_up = ssl.create_default_context(cafile=str(self.ca_file)), time.monotonic() + 60
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/v1/health", verify=tls, timeout=5, trust_env=False).status_code == 200:
                    return
            assert time.monotonic() < give_up, f"{url} did not start"
            time.sleep(0.1)

    # what its parties do

    def hospital(self, name: str, *arguments: object, code: int = 0) -> Ran:
        return run_command("hospital", *arguments, "--home", self.home(name), code=code)

    def lab(self, *arguments: object, code: int = 0) -> Ran:
        return run_command("lab", *arguments, "--home", self.home("lab"), code=code)

    def study(self) -> Deal:
        """Buy a study of both hospitals, which one is enough for, and open it."""
        ran = self.lab("run", self.work / "plan.toml", "--min-hospitals", 1, "--json").document
        opened = self.lab("open", ran["deal_id"], "--out", self.work / "results" / ran["deal_id"], "--json").document
        hospitals = opened["result"]["hospitals"]
        left_out = {item["name"]: item["reason"] for item in hospitals if item["status"] == "left_out"}
        return Deal(ran["deal_id"], opened["settlement"]["outcome"], left_out)

    def logged(self, event: str) -> list[dict[str, str]]:
        """Return the details of the north's audit entries of an event."""
        found = self.hospital("north", "audit", "show", "--event", event, "--limit", 1000, "--json").document
        return [entry["details"] for entry in found]

    def releases(self, deal_id: str) -> tuple[int, list[tuple[str, str]]]:
        """Return how many uses of a deal the north's broker counted, and enclave and attempt of each that it logged."""
        with contextlib.closing(sqlite3.connect(self.home("north") / "broker.sqlite")) as database:
            ((counted,),) = database.execute("SELECT count(*) FROM releases WHERE deal = ?", [deal_id]).fetchall()
        logged = [item for item in self.logged("keys-released") if item["deal"] == deal_id]
        return counted, [(item["enclave"], item["attempt"]) for item in logged]


def write_cohort(path: Path, seed: int) -> None:
    """Write a cohort in which the outcome depends on the factors a little."""
    draw = random.Random(seed)
    lines = ["age,smoker,cvd"]
    for _ in range(PATIENTS):
        age, smoker = draw.randint(30, 79), int(draw.random() < 0.3)
        lines.append(f"{age},{smoker},{int(draw.random() < 0.1 + (age - 30) / 250 + smoker / 6)}")
    path.write_text("\n".join(lines) + "\n")


def make_tls_files(folder: Path) -> None:
    """Write a private authority's certificate, and a certificate of it for the south's broker."""
    now = dt.datetime.now(dt.UTC)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, name = (
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)]) for text in ("A hospital's CA", "south")
    )

    def builder(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        dates = x509.CertificateBuilder().not_valid_before(now - dt.timedelta(hours=1))
        made = dates.not_valid_after(now + dt.timedelta(days=1)).serial_number(x509.random_serial_number())
        return made.subject_name(subject).issuer_name(ca_name).public_key(public_key)

    ca_identifier = x509.SubjectKeyIdentifier.from_public_key(ca_key.public_key())
    ca = builder(ca_name, ca_key.public_key()).add_extension(x509.BasicConstraints(True, 0), True)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    ca_signed = ca.add_extension(usage, True).add_extension(ca_identifier, False).sign(ca_key, hashes.SHA256())
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier)
    leaf = builder(name, key.public_key()).add_extension(address, False).add_extension(issuer, False)
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(ca_signed.public_bytes(pem))
    (folder / "south.pem").write_bytes(leaf.sign(ca_key, hashes.SHA256()).public_bytes(pem))
    secret = folder / "south.key"
    secret.touch(mode=0o600)
    secret.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
