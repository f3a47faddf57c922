"""A hospital's home beside a node that knows its chain id, notes what it is asked, and includes no transaction."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

from heartify.broker.database import open_database
from heartify.broker.store import BrokerStore
from heartify.chain.deployment import Deployment, store_deployment
from heartify.cohort.dictionary_toml import parse_dictionary_toml
from heartify.cohort.encrypted.writer import write_version
from heartify.cohort.sources.csv_source import parse_csv
from heartify.cohort.storage.store import open_store
from heartify.hospital.home import HospitalSettings
from heartify.hospital.hospital import Hospital
from heartify.hospital.publishing.open_source import CohortSource
from heartify.party.home import store_document
from heartify.party.keystore import keystore_address, store_secret
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import encode_canonical

PASSWORD = b"a long password"
MEASUREMENT = bytes(range(32))
APP_RELEASE = AppRelease(
    name="heartify",
    version="1.0.0",
    source_digest="0x" + "35" * 32,
    measurements={"simulated-sgx": ("0x" + MEASUREMENT.hex(),)},
)
DICTIONARY_TOML = """
title = "Small"
description = ""
[[columns]]
name = "age"
title = "Age"
datatype = "number"
role = "factor"
unit = "a"
[[columns]]
name = "systolic"
title = "Systolic blood pressure"
datatype = "number"
role = "factor"
unit = "mm[Hg]"
loinc = "8480-6"
[[columns]]
name = "cvd"
title = "CVD"
datatype = "boolean"
role = "outcome"
"""
CSV = "age,systolic,cvd\n" + "".join(f"{40 + i % 10},{110 + 2 * (i % 15)},{i % 2}\n" for i in range(30))


class Node(http.server.ThreadingHTTPServer):
    """A JSON-RPC node of an empty chain: it says who it is and that nothing happened, and refuses everything else."""

    daemon_threads = True


class NodeHandler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(request["method"])
        answer = {"jsonrpc": "2.0", "id": request["id"]}
        known = {"eth_chainId": hex(31337), "eth_blockNumber": "0x1", "eth_getLogs": []}
        if request["method"] in known:
            answer["result"] = known[request["method"]]
        else:
            answer["error"] = {"code": -32601, "message": "this node knows of no contract"}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="session")
def node():
    server = Node(("127.0.0.1", 0), NodeHandler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture(scope="session")
def keystores(tmp_path_factory):
    """Keystores take a second each on purpose, so tests share them."""
    folder = tmp_path_factory.mktemp("keystores")
    for number, name in enumerate(("account", "broker", "vault"), 1):
        store_secret(folder / f"{name}.json", bytes([number]) * 32, PASSWORD)
    return folder


class Case:
    """One hospital with its files, and what would have been left behind."""

    password = PASSWORD
    app_release = APP_RELEASE
    measurement = MEASUREMENT
    dictionary_toml = DICTIONARY_TOML
    csv = CSV

    def __init__(self, folder, node, keystores):
        self.folder = folder
        self.node = node
        node.asked.clear()
        self.home = folder / "home"
        self.home.mkdir()
        for path in keystores.iterdir():
            (self.home / path.name).write_bytes(path.read_bytes())
        self.store_url = str(folder / "store")
        store_deployment(self.home / "deployment.json", self.deployment())
        settings = HospitalSettings(
            name="aspen",
            account=keystore_address(self.home / "account.json"),
            broker=keystore_address(self.home / "broker.json"),
            store_url=self.store_url,
            broker_url="http://127.0.0.1:8701",
        )
        store_document(self.home / "hospital.json", settings)
        self.hospital = Hospital(self.home, PASSWORD)
        self.broker_store = BrokerStore(open_database(self.hospital.home.database_url))

    def deployment(self) -> Deployment:
        return Deployment(
            chain_id=31337,
            rpc_url=f"http://127.0.0.1:{self.node.server_port}",
            market="0x" + "ab" * 20,
            registry="0x" + "ac" * 20,
            token="0x" + "ad" * 20,
            token_symbol="HTT",
            token_decimals=6,
            stake_bps=1000,
            block=0,
            embedded=True,
            finality="latest",
            app_release=json.loads(encode_canonical(APP_RELEASE)),
        )

    def publish(self, *, csv: str = CSV, dictionary: str = DICTIONARY_TOML, **options):
        (self.folder / "cohort.csv").write_text(csv)
        (self.folder / "dictionary.toml").write_text(dictionary)
        cohort = CohortSource(str(self.folder / "cohort.csv"), self.folder / "dictionary.toml")
        return self.hospital.publish(cohort, **options)

    def hold_version(self) -> str:
        """Put a version into store and broker as publish does, without the chain."""
        dictionary = parse_dictionary_toml(DICTIONARY_TOML, file="dictionary.toml")
        written = write_version(
            parse_csv(CSV.encode(), dictionary, file="cohort.csv"),
            dictionary,
            dataset="0x" + "21" * 32,
            previous=None,
            store=open_store(self.store_url),
        )
        manifest = encode_canonical(written.manifest)
        self.broker_store.add_version(written.version_id, manifest, encode_canonical(dictionary), b"wrapped" * 10)
        return written.version_id

    def left_behind(self) -> dict[str, object]:
        """What a publication or a grant leaves in store, broker, home and chain."""
        return {
            "store": open_store(self.store_url).list(),
            "versions": self.broker_store.versions(),
            "grants": self.broker_store.grants(),
            "reports": sorted((self.home / "publications").glob("*")),
            "transactions": [m for m in self.node.asked if m in ("eth_sendRawTransaction", "eth_estimateGas")],
        }


NOTHING = {"store": (), "versions": (), "grants": (), "reports": [], "transactions": []}


@pytest.fixture
def case(tmp_path, node, keystores) -> Case:
    return Case(tmp_path, node, keystores)


@pytest.fixture
def nothing() -> dict[str, object]:
    return dict(NOTHING)
