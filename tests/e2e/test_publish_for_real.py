"""A hospital's data office from its own CSV export to the destroyed key, on the Framingham teaching file.

Everything is done by commands, as a steward and a lab type them; chain, key broker, pool and enclave are real
processes. Each test looks at one thing that the story must have left, or must not have left.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from heartify.chain.deployment import load_deployment
from heartify.cli.main import main
from heartify.demo.processes import free_port
from heartify.demo.world import DemoWorld
from heartify.errors import ChainError, InputError, PolicyError, RevertError
from heartify.party.account import account_balance, unsafe_faucet
from heartify.party.market_access import open_market
from heartify.protocol.canonical import encode_canonical
from heartify.protocol.destruction import parse_destruction, verify_destruction
from tests.e2e.conftest import SHARED

PREFIX = "FHS-"
OPTED_OUT = 25
FACTORS = ("age", "sysBP", "totChol", "male", "currentSmoker")
CHOLESTEROL = 38.67  # mg/dL in one mmol/L

PLAN = """
title = "Which factors carry weight in coronary disease within ten years"
purpose = "health-research"
outcome = { column = "TenYearCHD", equals = "1" }
""" + "".join(f'[[factors]]\nname = "{name}"\ncolumn = "{name}"\n' for name in FACTORS)

CATALOGUE = """
[catalogue]
publisher = { name = "Framingham Clinic", url = "https://clinic.example", email = "office@clinic.example" }
contact = { name = "Data office", email = "data@clinic.example" }
keywords = ["cardiology"]
"""
EDUCATION = ("some high school", "high school", "some college", "college")


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def heartify(*arguments: object) -> Ran:
    """Run a command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    return Ran(code, out.getvalue(), err.getvalue())


@dataclasses.dataclass
class Office:
    """The hospital's data office: its folder with the export and what it writes, and its home."""

    world: DemoWorld
    folder: Path
    rows: list[dict[str, str]]

    @property
    def home(self) -> Path:
        return self.world.work / "hospitals" / "framingham"

    @property
    def store(self) -> Path:
        return self.world.work / "stores" / "framingham"

    @property
    def csv_file(self) -> Path:
        return self.folder / "export.csv"

    @property
    def dictionary(self) -> Path:
        return self.folder / "dictionary.toml"

    def hospital(self, command: str, *arguments: object) -> Ran:
        return heartify("hospital", command, *arguments, "--home", self.home, "--json")

    def lab(self, command: str, *arguments: object) -> Ran:
        return heartify("lab", command, *arguments, "--home", self.world.lab.home.path, "--json")

    def publish(self, *options: object) -> Ran:
        return self.hospital("publish", self.csv_file, "--dictionary", self.dictionary, "--dataset", "heart", *options)

    def export(self, rows: list[dict[str, str]]) -> None:
        """Write the export as the hospital's database does: with its record numbers, and ; between the fields."""
        with self.csv_file.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], delimiter=";")
            writer.writeheader()
            writer.writerows(rows)

    def stored(self) -> set[str]:
        return {str(path.relative_to(self.store)) for path in self.store.rglob("*") if path.is_file()}

    def chain_height(self) -> int:
        return int(rpc(self.world, "eth_blockNumber"), 16)


def rpc(world: DemoWorld, method: str, *parameters: object) -> Any:
    question = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    return httpx.post(world.chain.rpc_url, json=question, timeout=30).json()["result"]


def framingham_rows() -> list[dict[str, str]]:
    path = SHARED / "data" / "framingham_4240.csv"
    if not path.exists():
        pytest.skip("the Framingham teaching file is not beside the project: ../shared/data/framingham_4240.csv")
    with path.open(newline="") as file:
        return [{"record": f"{PREFIX}{700_000 + 7 * n}", **row} for n, row in enumerate(csv.DictReader(file))]


def review(draft: str) -> str:
    """What a steward corrects in the draft: names, meanings of codes, and cholesterol in the unit that labs expect."""
    text = draft.replace("reviewed = false", "reviewed = true")
    text = re.sub(r'^title = "Draft.*"$', 'title = "Framingham clinic"', text, count=1, flags=re.MULTILINE)
    for code, label in enumerate(EDUCATION, 1):
        text = text.replace(f'"code {code} (describe)"', f'"{label}"')
    head, _, tail = text.partition('name = "totChol"')
    column, separator, rest = tail.partition("[[columns]]")
    column = re.sub(r'unit = "mg/dL".*', 'unit = "mmol/L"\nsource = { name = "totChol", unit = "mg/dL" }', column)
    column = re.sub(r"minimum = .*", "minimum = 1\ndecimals = 2", column)
    column = re.sub(r"maximum = .*", "maximum = 20", column).replace('"integer"', '"number"')
    column = re.sub(r"loinc = .*", 'loinc = "14647-2"', column)
    return f'{head}name = "totChol"{column}{separator}{rest}{CATALOGUE}'


@dataclasses.dataclass
class Story:
    """What every step of the story left."""

    office: Office
    draft: str
    unreviewed: Ran
    checked: Ran
    unaccepted: Ran
    first: Ran
    too_few: Ran
    stored_before_refusal: set[str]
    stored_after_refusal: set[str]
    told: Ran
    second: Ran
    catalogue: Ran
    looked: Ran
    wealth: list[int]
    heights: list[int]
    dry: Ran
    opened: Ran
    withdrawn: Ran
    later: dict[str, Ran]
    late_deal: ChainError | None


@pytest.fixture(scope="module")
def story(world: DemoWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HEARTIFY_PASSWORD_FILE", str(world.work / "password"))
        office = Office(world, tmp_path_factory.mktemp("office"), framingham_rows())
        try:
            yield tell(office)
        finally:
            world.services.stop("broker-framingham")


def tell(office: Office) -> Story:
    world, port = office.world, free_port()
    office.hospital(
        *("init", "--name", "framingham", "--deployment", world.deployment_file, "--store", office.store),
        *("--broker-url", f"http://127.0.0.1:{port}"),
        *("--unsafe-trust-simulated-root", world.pool.home.simulated_root_file),
    )
    unsafe_faucet(office.home, world.password, 0)

    office.export(office.rows)
    heartify("hospital", "describe", office.csv_file, "--out", office.dictionary)
    draft = office.dictionary.read_text()
    unreviewed = office.hospital("check", office.csv_file, "--dictionary", office.dictionary)
    office.dictionary.write_text(review(draft))
    checked = office.hospital("check", office.csv_file, "--dictionary", office.dictionary)
    unaccepted = office.publish()
    accepted = [
        f"--accept={finding['name']}=public teaching file, agreed with the data protection officer"
        for finding in checked.document["findings"]
    ]
    first = office.publish(*accepted)

    before = office.stored()
    office.export([{**row, "heartRate": "70"} if n < 9 else row for n, row in enumerate(office.rows)])
    too_few = office.publish(*accepted)
    after = office.stored()

    ids = office.folder / "told.txt"
    ids.write_text("".join(row["record"] + "\n" for row in office.rows[:OPTED_OUT]))
    told = office.hospital("opt-out", ids)
    office.export(office.rows)
    second = office.publish(*accepted)
    ids.unlink()

    version = second.document["version"]
    columns = [word for name in (*FACTORS, "TenYearCHD") for word in ("--column", name)]
    office.hospital("grant", version, "--price", "120", "--uses", "5", "--tee", "simulated-sgx", *columns)
    world.services.start("broker-framingham", ["hospital", "broker", "--home", str(office.home)])
    world.services.wait_until_ready("broker-framingham", f"http://127.0.0.1:{port}")

    plan = office.folder / "plan.toml"
    plan.write_text(PLAN)
    catalogue = office.lab("catalogue")
    looked = office.lab("dataset", version)
    wealth, heights = [lab_wealth(world)], [office.chain_height()]
    dry = office.lab("dry-run", plan, "--dataset-version", version)
    wealth.append(lab_wealth(world))
    heights.append(office.chain_height())
    ran = office.lab("run", plan, "--dataset-version", version)
    opened = office.lab("open", ran.document["deal_id"], "--out", office.folder / "results")
    wealth.append(lab_wealth(world))

    quoted = world.lab.quote(world.lab.plan(plan), versions=[version])
    withdrawn = office.hospital("withdraw", version, "--reason", "opt-out")
    later = {name: office.lab(name, plan, "--dataset-version", version) for name in ("quote", "dry-run", "run")}
    late_deal = None
    try:
        world.lab.run(quoted)
    except ChainError as exc:
        late_deal = exc
    wealth.append(lab_wealth(world))
    return Story(
        office=office,
        draft=draft,
        unreviewed=unreviewed,
        checked=checked,
        unaccepted=unaccepted,
        first=first,
        too_few=too_few,
        stored_before_refusal=before,
        stored_after_refusal=after,
        told=told,
        second=second,
        catalogue=catalogue,
        looked=looked,
        wealth=wealth,
        heights=heights,
        dry=dry,
        opened=opened,
        withdrawn=withdrawn,
        later=later,
        late_deal=late_deal,
    )


def lab_wealth(world: DemoWorld) -> int:
    balance = account_balance(world.lab.home.path)
    return balance.tokens + balance.free + balance.locked


def test_draft_guesses_and_is_refused_until_it_was_reviewed(story: Story) -> None:
    assert story.draft.count("# guess: ") > 30
    assert PREFIX not in story.draft
    assert story.unreviewed.code == InputError.exit_code
    assert "has not been reviewed" in story.unreviewed.document["message"]


def test_check_finds_what_must_be_decided_and_publishing_insists_on_it(story: Story) -> None:
    names = [finding["name"] for finding in story.checked.document["findings"]]

    assert story.checked.document["rows"] == 4240
    assert names == ["unique-combination:male+age+education"]
    assert story.unaccepted.code == InputError.exit_code
    assert names[0] in story.unaccepted.document["message"]


def test_version_with_accepted_findings_is_published(story: Story) -> None:
    assert story.first.code == 0, story.first.err
    assert story.first.document["rows_rounded"] == 4240
    assert "record" not in story.first.document["columns"]
    assert story.first.document["opted_out"] == 0


def test_nine_changed_patients_are_too_few_and_nothing_is_written(story: Story) -> None:
    assert story.too_few.code == PolicyError.exit_code
    assert story.stored_after_refusal == story.stored_before_refusal


def test_opted_out_patients_are_not_in_the_next_version(story: Story) -> None:
    assert story.told.document["changed"] == OPTED_OUT
    assert story.second.code == 0, story.second.err
    assert story.second.document["opted_out"] == OPTED_OUT
    assert story.second.document["rows_rounded"] == 4240 - OPTED_OUT
    assert story.second.document["dataset"] == story.first.document["dataset"]


def test_lab_finds_the_version_and_its_statistics(story: Story) -> None:
    version = story.second.document["version"]
    entry = next(item for item in story.catalogue.document if item["version"] == version)
    columns = {column["name"]: column for column in story.looked.document["statistics"]["columns"]}

    assert entry["hospital"] == "framingham"
    assert entry["rows_rounded"] == 4240 - OPTED_OUT
    assert abs(columns["totChol"]["median"] - 234 / CHOLESTEROL) < 0.2
    assert abs(columns["age"]["median"] - 49) <= 1


def test_dry_run_is_free_and_leaves_nothing_on_the_chain(story: Story) -> None:
    assert story.dry.code == 0, story.dry.err
    assert story.dry.document["verdict"] == "delivered"
    assert story.wealth[0] == story.wealth[1]
    assert story.heights[0] == story.heights[1]


def test_dry_run_has_the_schema_of_the_real_result(story: Story) -> None:
    synthetic, real = story.dry.document["result"], story.opened.document["result"]

    assert story.opened.code == 0, story.opened.err
    assert schema(synthetic) == schema(real)
    assert [(table["name"], table["columns"]) for table in synthetic["tables"]] == [
        (table["name"], table["columns"]) for table in real["tables"]
    ]
    assert [weight["factor"] for weight in synthetic["weights"]] == [weight["factor"] for weight in real["weights"]]


def schema(value: Any) -> Any:
    """The keys of a document, all the way down; entries of a list share theirs."""
    if isinstance(value, dict):
        return {key: schema(item) for key, item in value.items() if key != "tables"}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [sorted({key for item in value for key in item})]
    return None


def test_paid_result_is_that_of_the_patients_who_did_not_opt_out(story: Story) -> None:
    real = story.opened.document["result"]
    beta, errors, n = logistic(story.office.rows[OPTED_OUT:])

    assert abs(real["n"] - n) <= 5
    assert [weight["factor"] for weight in real["weights"]] == list(FACTORS)
    for weight, exact, error in zip(real["weights"], beta[1:], errors[1:], strict=True):
        assert abs(weight["beta"] - exact) <= 0.06 * error, weight["factor"]
    assert story.wealth[1] - story.wealth[2] == sum(
        int(row["amount"]) for row in story.opened.document["settlement"]["payments"] if row["role"] != "refund"
    )


def logistic(rows: list[dict[str, str]]) -> tuple[np.ndarray, np.ndarray, int]:
    """Newton's method on the complete cases, straight from the export."""
    kept = [row for row in rows if all(row[name] for name in (*FACTORS, "TenYearCHD"))]
    design = np.array([[1.0, *(float(row[name]) for name in FACTORS)] for row in kept])
    design[:, 1 + FACTORS.index("totChol")] /= CHOLESTEROL
    outcome = np.array([float(row["TenYearCHD"]) for row in kept])
    beta = np.zeros(design.shape[1])
    for _ in range(30):
        p = 1 / (1 + np.exp(-design @ beta))
        information = design.T @ (design * (p * (1 - p))[:, None])
        beta = beta + np.linalg.solve(information, design.T @ (outcome - p))
    return beta, np.sqrt(np.diag(np.linalg.inv(information))), len(kept)


def test_withdrawn_version_is_used_by_nobody_any_more(story: Story) -> None:
    assert story.withdrawn.code == 0, story.withdrawn.err
    for name, ran in story.later.items():
        assert ran.code == InputError.exit_code, name
        assert story.second.document["version"] in ran.document["message"], name
    assert isinstance(story.late_deal, RevertError)
    assert story.wealth[3] == story.wealth[2]


def test_destruction_receipt_verifies_against_the_chain(story: Story) -> None:
    office, version = story.office, story.second.document["version"]
    access = open_market(office.world.lab.home.path)
    stored = (office.store / version.removeprefix("0x") / "destroyed.json").read_bytes()
    receipt = parse_destruction(stored)

    assert json.loads(stored) == story.withdrawn.document
    broker = access.registry.broker_of(story.second.document["dataset"])
    verify_destruction(receipt, broker, version=version, domain=load_deployment(office.world.deployment_file).domain)
    assert encode_canonical(receipt) == stored


def test_earlier_version_is_still_there(story: Story) -> None:
    entries = story.office.lab("catalogue").document

    assert story.first.document["version"] in {entry["version"] for entry in entries}
    assert story.second.document["version"] not in {entry["version"] for entry in entries}


def test_no_record_number_is_anywhere_but_in_the_export(story: Story) -> None:
    work = story.office.world.work
    searched = [path for path in work.rglob("*") if path.is_file()]
    outputs = [path for path in story.office.folder.rglob("*") if path.is_file() and path != story.office.csv_file]

    assert PREFIX.encode() in story.office.csv_file.read_bytes()
    assert {"framingham", "logs", "lab", "pool", "chain"} <= {part for path in searched for part in path.parts}
    assert len(searched) > 100
    assert [path for path in [*searched, *outputs] if carries_record(path.read_bytes())] == []


def test_no_record_number_is_in_the_state_or_the_transactions_of_the_chain(story: Story) -> None:
    world = story.office.world
    dumped = bytes.fromhex(rpc(world, "anvil_dumpState").removeprefix("0x"))
    height = story.office.chain_height()
    blocks = [json.dumps(rpc(world, "eth_getBlockByNumber", hex(n), True)) for n in range(height + 1)]

    state = gzip.decompress(dumped) if dumped[:2] == b"\x1f\x8b" else dumped
    assert len(state) > 100_000
    assert any("input" in block for block in blocks)
    assert not carries_record(state)
    assert not any(carries_record(block.encode()) for block in blocks)


def test_no_record_number_was_printed(story: Story) -> None:
    ran = [value for value in vars(story).values() if isinstance(value, Ran)] + list(story.later.values())

    assert len(ran) > 12
    assert not any(carries_record((one.out + one.err).encode()) for one in ran)


def carries_record(data: bytes) -> bool:
    """Tell whether a record number stands there, as text or in hexadecimal."""
    return PREFIX.encode() in data or PREFIX.encode().hex().encode() in data.lower()
