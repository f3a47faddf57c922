"""Compiled contracts shipped in the package, and the values that web3 wants from our typed structs.

The artifacts are made by tools/compile_contracts.py from contracts/*.vy. Nothing here talks to a node.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from web3 import Web3

from heartify.errors import ChainError, UsageError

AbiEntry = dict[str, Any]


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A compiled contract; `bytecode` is the creation code in hex."""

    name: str
    abi: list[AbiEntry]
    bytecode: str
    compiler: str
    evm_version: str
    source_sha256: str


@cache
def load_artifact(name: str) -> Artifact:
    """Load the compiled contract of this name.

    Raises:
        ChainError: the package holds no such artifact, or a damaged one.
    """
    try:
        text = (resources.files("heartify.chain") / "artifacts" / f"{name}.json").read_bytes()
        return msgspec.json.decode(text, type=Artifact)
    except (OSError, msgspec.MsgspecError) as exc:
        raise ChainError(
            f"the compiled contract {name} is missing or damaged", hint="run `python -m tools.compile_contracts`"
        ) from exc


def find_entry(abi: Sequence[AbiEntry], kind: str, name: str | None = None) -> AbiEntry:
    """Return the ABI entry of a function, event or constructor.

    Raises:
        UsageError: the contract has none of this kind and name.
    """
    for entry in abi:
        if entry.get("type") == kind and (name is None or entry.get("name") == name):
            return entry
    raise UsageError(f"the contract has no {kind} {name or ''}".rstrip())


def encode_arguments(inputs: Sequence[Mapping[str, Any]], values: Sequence[Any]) -> list[Any]:
    """Return `values` with every address in checksum case, the only spelling that web3 takes; ours is lower case."""
    if len(inputs) != len(values):
        raise UsageError(f"{len(inputs)} arguments are needed, {len(values)} were given")
    return [_encode_argument(entry, entry["type"], value) for entry, value in zip(inputs, values, strict=True)]


def _encode_argument(entry: Mapping[str, Any], kind: str, value: Any) -> Any:
    if kind.endswith("]"):
        return [_encode_argument(entry, kind[: kind.rindex("[")], item) for item in value]
    if kind == "tuple":
        return tuple(encode_arguments(entry["components"], value))
    return Web3.to_checksum_address(value) if kind == "address" else value
