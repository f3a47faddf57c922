"""A market on an embedded chain with one hospital and one lab, whom tests drive through the command line alone."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import heartify
from heartify.chain.deployment import store_deployment
from heartify.chain.node import EmbeddedChain, unsafe_fund
from heartify.chain.rpc import connect
from heartify.chain.sender import Sender
from heartify.cli.main import main
from heartify.market.launch import launch_market
from heartify.party.account import unsafe_faucet
from heartify.party.keystore import create_account, load_secret
from heartify.tee.app_release import build_app_release

PASSWORD = b"a long password of a test"
SHARED = Path(__file__).parents[3] / ".." / "shared" / "data"
PATIENTS = 400


@dataclass(frozen=True)
class Ran:
    """What a command left: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Market:
    """The homes of a hospital and a lab, and where the hospital's versions lie."""

    hospital: Path
    lab: Path
    store: Path
    deployment: Path
    password_file: Path

    def add_hospital(self, name: str, home: Path, store: str) -> None:
        """Make the home of a hospital whose versions go to a store, and give its account gas."""
        shared = ["--deployment", str(self.deployment), "--password-file", str(self.password_file), "--json"]
        where = ["--store", store, "--broker-url", "http://127.0.0.1:1", "--home", str(home)]
        assert main(["hospital", "init", "--name", name, *where, *shared]) == 0
        unsafe_faucet(home, PASSWORD, 0)


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Market]:
    """A deployed market; each test publishes datasets of its own name."""
    base = tmp_path_factory.mktemp("market")
    password_file = base / "password"
    password_file.write_bytes(PASSWORD)
    chain = EmbeddedChain.start(base / "chain")
    try:
        account = create_account(base / "operator.json", PASSWORD)
        unsafe_fund(chain.rpc_url, account, 100)
        private_key = load_secret(base / "operator.json", PASSWORD)
        sender = Sender(connect(chain.rpc_url), private_key)
        release = build_app_release(heartify.__version__)
        store_deployment(
            base / "deployment.json", launch_market(sender, private_key, release, app_price=1, embedded=True)
        )
        made = Market(base / "hospital", base / "lab", base / "store", base / "deployment.json", password_file)
        made.add_hospital("aspen", made.hospital, str(made.store))
        lab = ["--home", str(made.lab), "--deployment", str(made.deployment), "--password-file", str(password_file)]
        assert main(["lab", "init", *lab]) == 0
        yield made
    finally:
        chain.stop()


@pytest.fixture
def run(market: Market, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run a command of the hospital or the lab, in its home and with its password."""
    monkeypatch.setenv("HEARTIFY_PASSWORD_FILE", str(market.password_file))

    def call(*arguments: object, home: Path | None = None) -> Ran:
        home = home or (market.lab if arguments[0] == "lab" else market.hospital)
        capsys.readouterr()
        code = main([*(str(argument) for argument in arguments), "--home", str(home)])
        shown = capsys.readouterr()
        return Ran(code, shown.out, shown.err)

    return call


@dataclass(frozen=True)
class Patient:
    """One row of a cohort."""

    key: str
    age: int
    systolic: int
    chol: str
    smoker: int
    cvd: int

    @property
    def cells(self) -> tuple[str | int, ...]:
        """The row in the order of the columns."""
        return self.key, self.age, self.systolic, self.chol, self.smoker, self.cvd


@pytest.fixture
def patients() -> list[Patient]:
    """A cohort in which the outcome depends on the factors a little."""
    draw = random.Random(7)
    rows = []
    for number in range(PATIENTS):
        age, systolic, smoker = draw.randint(30, 79), draw.randint(100, 180), int(draw.random() < 0.3)
        risk = 0.1 + (age - 30) / 250 + smoker / 6
        chol = f"{draw.uniform(3, 8):.1f}"
        rows.append(Patient(f"KRANK{9000 + 13 * number}", age, systolic, chol, smoker, int(draw.random() < risk)))
    return rows


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[[list[Patient]], Path]:
    """Write patients as the hospital's CSV file."""

    def write(rows: list[Patient]) -> Path:
        lines = ["patient,age,systolic,chol,smoker,cvd"]
        lines += [",".join(map(str, row.cells)) for row in rows]
        path = tmp_path / "cohort.csv"
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    """The reviewed dictionary of the cohort."""
    path = tmp_path / "dictionary.toml"
    path.write_text(DICTIONARY)
    return path


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A study plan that fits the cohort."""
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return path


DICTIONARY = """
title = "Aspen clinic"
description = ""
[[columns]]
name = "patient"
title = "Patient"
datatype = "category"
role = "id"
[[columns]]
name = "age"
title = "Age"
datatype = "integer"
role = "factor"
unit = "a"
minimum = 18
maximum = 110
[[columns]]
name = "systolic"
title = "Systolic blood pressure"
datatype = "integer"
role = "factor"
unit = "mm[Hg]"
minimum = 40
maximum = 350
[[columns]]
name = "chol"
title = "Total cholesterol"
datatype = "number"
role = "factor"
unit = "mmol/L"
minimum = 1
maximum = 20
decimals = 1
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
publisher = { name = "Aspen Clinic", url = "https://aspen.example" }
contact = { name = "Data office", email = "data@aspen.example" }
"""
PLAN = """
title = "Age and smoking"
purpose = "health-research"
outcome = { column = "cvd", equals = "1" }
factors = [{ name = "age", column = "age" }, { name = "smoker", column = "smoker" }]
[analysis]
model = "logistic"
"""
