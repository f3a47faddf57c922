"""Compile contracts/*.vy into the artifacts that the package ships, or check that they are current.

The compiler is pinned exactly, so anyone can repeat the compilation and compare what is deployed with the source. The
tool trusts the installed Vyper, and writes nowhere but into the artifacts folder.

    python -m tools.compile_contracts           write the artifacts
    python -m tools.compile_contracts --check   exit 1 when an artifact is not what the source compiles to
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Vyper's dependencies use what newer Pythons deprecate
    from vyper import __version__ as vyper_version
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FileInput, FilesystemInputBundle

PROJECT = Path(__file__).resolve().parents[1]
CONTRACTS = PROJECT / "contracts"
ARTIFACTS = PROJECT / "src" / "heartify" / "chain" / "artifacts"
SHIPPED = {"Market": "Market.vy", "Registry": "Registry.vy", "UnsafeTestToken": "test/UnsafeTestToken.vy"}
PINNED_VYPER = "0.4.3"
EVM_VERSION = "cancun"


def compile_artifact(name: str) -> dict[str, object]:
    """Compile one shipped contract.

    `source_sha256` is Vyper's integrity sum: SHA-256 over the source and, recursively, over all that it imports.

    Raises:
        RuntimeError: the installed Vyper is not the pinned one, or the source doesn't ask for the pinned EVM version.
    """
    if vyper_version.split("+")[0] != PINNED_VYPER:
        raise RuntimeError(f"vyper {PINNED_VYPER} is needed, {vyper_version} is installed")
    bundle = FilesystemInputBundle([CONTRACTS])
    source = bundle.load_file(Path(SHIPPED[name]))
    if not isinstance(source, FileInput) or f"# pragma evm-version {EVM_VERSION}\n" not in source.contents:
        raise RuntimeError(f"{SHIPPED[name]} does not ask for evm-version {EVM_VERSION}")
    compiled = compile_from_file_input(source, input_bundle=bundle, output_formats=["abi", "bytecode", "integrity"])
    return {
        "name": name,
        "abi": compiled["abi"],
        "bytecode": compiled["bytecode"],
        "compiler": f"vyper {PINNED_VYPER}",
        "evm_version": EVM_VERSION,
        "source_sha256": compiled["integrity"],
    }


def encode_artifact(artifact: dict[str, object]) -> str:
    """Return the artifact's one spelling: sorted keys, and the ABI readable in a diff."""
    return json.dumps(artifact, indent=1, sort_keys=True) + "\n"


def write_artifacts(folder: Path) -> None:
    """Compile every shipped contract into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SHIPPED:
        (folder / f"{name}.json").write_text(encode_artifact(compile_artifact(name)), encoding="utf-8")


def find_stale_artifacts(folder: Path) -> tuple[str, ...]:
    """Return the names whose artifact in `folder` is missing, unknown, or not what the source compiles to."""
    unknown = [path.stem for path in sorted(folder.glob("*.json")) if path.stem not in SHIPPED]
    stale = [name for name in SHIPPED if _read(folder / f"{name}.json") != encode_artifact(compile_artifact(name))]
    return (*stale, *unknown)


def main(arguments: Sequence[str] | None = None, folder: Path = ARTIFACTS) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.compile_contracts", description="compile the contracts")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when an artifact is not current")
    if not parser.parse_args(arguments).check:
        write_artifacts(folder)
        return 0
    stale = find_stale_artifacts(folder)
    if stale:
        sys.stderr.write(f"not current: {', '.join(stale)}; run `python -m tools.compile_contracts` and commit\n")
    return 1 if stale else 0


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
