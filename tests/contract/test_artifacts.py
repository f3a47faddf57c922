"""The shipped artifacts are what the sources compile to, and no refusal is undocumented or untested."""

from __future__ import annotations

import importlib.util
import json
import re
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ARTIFACTS = PROJECT / "src" / "heartify" / "chain" / "artifacts"
SOURCES = ["Market.vy", "Registry.vy", "test/UnsafeTestToken.vy"]
MAX_CODE_BYTES = 24_576  # EIP-170


@pytest.fixture(scope="module")
def compiler() -> ModuleType:
    """The tool, loaded from its file, with each contract compiled once for all tests."""
    spec = importlib.util.spec_from_file_location("compile_contracts", PROJECT / "tools" / "compile_contracts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.compile_artifact = cache(module.compile_artifact)
    return module


@pytest.fixture
def copies(tmp_path):
    for path in ARTIFACTS.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def test_the_shipped_artifacts_are_current(compiler):
    assert compiler.main(["--check"]) == 0


def test_writing_makes_exactly_the_shipped_artifacts(compiler, tmp_path):
    assert compiler.main([], tmp_path) == 0

    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {p.name: p.read_text() for p in ARTIFACTS.iterdir()}


@pytest.mark.parametrize("field", ["abi", "bytecode", "compiler", "evm_version", "name", "source_sha256"])
def test_a_changed_artifact_is_found(compiler, copies, capsys, field):
    path = copies / "Registry.json"
    document = json.loads(path.read_text())
    document[field] = document[field][:-1]
    path.write_text(compiler.encode_artifact(document))

    assert compiler.main(["--check"], copies) == 1
    assert "not current: Registry;" in capsys.readouterr().err


def test_a_missing_and_an_unknown_artifact_are_found(compiler, copies, capsys):
    (copies / "Market.json").rename(copies / "Bazaar.json")

    assert compiler.main(["--check"], copies) == 1
    assert "not current: Market, Bazaar;" in capsys.readouterr().err


def test_another_compiler_is_refused(compiler, monkeypatch):
    monkeypatch.setattr(compiler, "vyper_version", "0.4.2+commit.0")

    with pytest.raises(RuntimeError, match=r"vyper 0\.4\.3 is needed"):
        compiler.compile_artifact.__wrapped__("Market")


@pytest.mark.parametrize("path", sorted(ARTIFACTS.glob("*.json")), ids=lambda path: path.stem)
def test_a_contract_is_under_the_chains_size_limit(path):
    assert len(json.loads(path.read_text())["bytecode"]) // 2 < MAX_CODE_BYTES


def test_no_contract_of_the_product_has_an_administrator():
    for name in ("Market", "Registry"):
        functions = [e["name"] for e in json.loads((ARTIFACTS / f"{name}.json").read_text())["abi"] if "name" in e]
        assert not [f for f in functions if re.search(r"admin|upgrade|setOwner|transferOwnership|initialize", f)]


def _reasons() -> set[str]:
    text = "".join((PROJECT / "contracts" / source).read_text() for source in SOURCES)
    return set(re.findall(r'"((?:market|registry|token): [^"]+)"', text))


def _raising_statements() -> int:
    """Count asserts and raises, each of which must carry a reason."""
    text = "".join((PROJECT / "contracts" / source).read_text() for source in SOURCES)
    return len(re.findall(r"^\s*(?:assert|raise)\b", text, re.MULTILINE))


def test_every_refusal_carries_a_reason():
    text = "".join((PROJECT / "contracts" / source).read_text() for source in SOURCES)
    with_reason = re.findall(r'"(?:market|registry|token): [^"]+"', text)

    assert _raising_statements() == len(with_reason) > 60


def test_every_reason_is_in_the_reference():
    reference = (PROJECT / "docs" / "reference" / "contracts.md").read_text()
    documented = set(re.findall(r"`((?:market|registry): [^`]+)`", reference))

    assert {reason for reason in _reasons() if not reason.startswith("token:")} == documented


def test_every_reason_has_a_test():
    here = Path(__file__).parent
    tests = "".join(p.read_text() for p in here.glob("test_*.py") if p.name != Path(__file__).name)
    # test_match_refusals.py and test_settle.py add the prefix "market: " to their tables.
    untested = {r for r in _reasons() if f'"{r}"' not in tests and f'"{r.removeprefix("market: ")}"' not in tests}

    assert untested == set()
