"""The house: its rooms, its public names, its dependencies. Import contracts are checked by `make imports`."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import heartify

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    "attestation",
    "broker",
    "chain",
    "cli",
    "cohort",
    "demo",
    "disclosure",
    "enclave",
    "hospital",
    "lab",
    "market",
    "party",
    "pool",
    "protocol",
    "stats",
    "tee",
    "web",
}
COPYLEFT = re.compile(r"\bA?GPL", re.IGNORECASE)
LESSER = re.compile(r"\bLGPL|lesser", re.IGNORECASE)


def runtime_packages() -> list[str]:
    lines = (ROOT / "lock" / "runtime.txt").read_text().splitlines()
    return [line.split("==")[0] for line in lines if re.match(r"[A-Za-z0-9]", line)]


def licence_of(name: str) -> str:
    metadata = importlib.metadata.metadata(name)
    classifiers = [value for value in metadata.get_all("Classifier") or [] if value.startswith("License")]
    return "; ".join([metadata.get("License-Expression") or "", *classifiers])


def test_the_tree_has_exactly_the_rooms_of_the_house() -> None:
    package = ROOT / "src" / "heartify"

    rooms = {path.parent.name for path in package.glob("*/__init__.py")}

    assert rooms == ROOMS
    assert {path.name for path in package.glob("*.py")} == {"__init__.py", "__main__.py", "errors.py"}


def test_every_room_says_what_it_is() -> None:
    for room in ROOMS:
        text = (ROOT / "src" / "heartify" / room / "__init__.py").read_text()
        assert text.startswith('"""'), room


def test_the_public_names_are_pinned() -> None:
    assert heartify.__all__ == ["GrantTerms", "Hospital", "Lab", "Pool", "__version__"]
    for name in heartify.__all__:
        assert getattr(heartify, name)


def test_importing_the_package_loads_no_party() -> None:
    code = "import heartify, sys; print([m for m in sys.modules if m.startswith('heartify.')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"


def test_no_runtime_package_is_under_the_gpl_or_agpl() -> None:
    installed = {d.metadata["Name"].lower().replace("_", "-") for d in importlib.metadata.distributions()}
    packages = [name for name in runtime_packages() if name.lower().replace("_", "-") in installed]

    under_gpl = [name for name in packages if COPYLEFT.search(licence_of(name)) and not LESSER.search(licence_of(name))]

    assert len(packages) > 40
    assert under_gpl == []


def test_every_dependency_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    declared = tomllib.loads(text)["project"]["dependencies"]

    for requirement in declared:
        line = next(line for line in text.splitlines() if f'"{requirement}"' in line)
        assert re.search(r"#\s+\S.{10,}", line), requirement
