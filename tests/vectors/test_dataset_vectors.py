"""The committed dataset versions, read by our reader and by an independent one written from the format document."""

from __future__ import annotations

import ast
import datetime as dt
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from heartify.cohort.encrypted.bit_planes import pack, unpack
from heartify.cohort.encrypted.column_crypto import column_keys
from heartify.cohort.encrypted.reader import read_columns
from heartify.cohort.encrypted.stored_form import stored_form
from heartify.errors import IntegrityError
from heartify.protocol.dictionary import parse_dictionary
from heartify.protocol.manifest import parse_manifest

HERE = Path(__file__).parent / "dataset"
VECTOR: dict[str, Any] = json.loads((HERE / "vector.json").read_text(encoding="utf-8"))
CASES: list[dict[str, Any]] = VECTOR["negative"]


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


INDEPENDENT = _load("independent_reader")


def keys_of(version: str) -> dict[str, bytes]:
    return {name: bytes.fromhex(column["key"]) for name, column in VECTOR["versions"][version]["columns"].items()}


def fetch_from(version: str) -> Callable[[str], bytes]:
    return lambda name: (HERE / version / "objects" / name).read_bytes()


def documents(version: str) -> tuple[bytes, bytes]:
    return (HERE / version / "manifest.json").read_bytes(), (HERE / version / "dictionary.json").read_bytes()


def by_ours(manifest: bytes, version_id: str, dictionary: bytes, columns: Any, keys: Any, fetch: Any) -> dict[str, Any]:
    """Our reader, with values as the vector writes them."""
    shape = parse_dictionary(dictionary)
    arrays = read_columns(parse_manifest(manifest, version_id), shape, columns, keys, fetch)
    convert: dict[str, Callable[[Any, Any], Any]] = {
        "category": lambda value, column: column.level_codes[value],
        "date": lambda value, _: str(dt.date(1970, 1, 1) + dt.timedelta(int(value))),
        "boolean": lambda value, _: bool(value),
        "integer": lambda value, _: int(value),
        "number": lambda value, _: value,
    }
    read = {}
    for name, array in arrays.items():
        column = shape.column(name)
        missing = array == -1 if column.datatype == "category" else np.isnan(array)
        read[name] = [
            None if gone else convert[column.datatype](value, column)
            for value, gone in zip(array.tolist(), missing, strict=True)
        ]
    return read


READERS = {"ours": by_ours, "independent": INDEPENDENT.read}


def expected(name: str) -> list[Any]:
    values: list[Any] = VECTOR["versions"]["forms"]["columns"][name]["values"]
    if name == "single":
        return [None if value is None else float(np.float32(value)) for value in values]
    return values


@pytest.mark.parametrize("reader", READERS)
def test_each_stored_form_is_read(reader: str) -> None:
    version = VECTOR["versions"]["forms"]
    manifest, dictionary = documents("forms")

    read = READERS[reader](
        manifest, version["version_id"], dictionary, list(version["columns"]), keys_of("forms"), fetch_from("forms")
    )

    assert {name: read[name] for name in version["columns"]} == {name: expected(name) for name in version["columns"]}


@pytest.mark.parametrize("reader", READERS)
def test_blocks_are_read_in_order(reader: str) -> None:
    manifest, dictionary = documents("blocks")

    read = READERS[reader](
        manifest,
        VECTOR["versions"]["blocks"]["version_id"],
        dictionary,
        ["yes"],
        keys_of("blocks"),
        fetch_from("blocks"),
    )

    assert read["yes"] == [None if row % 7 == 3 else row % 3 == 0 for row in range(131_584)]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_negative_vector_fails_with_its_code(case: dict[str, Any], reader: str) -> None:
    version = case["version"]
    manifest, dictionary = documents(version)
    if "manifest" in case:
        manifest = (HERE / case["manifest"]).read_bytes()
    if "dictionary" in case:
        dictionary = (HERE / case["dictionary"]).read_bytes()
    version_id = case.get("version_id", VECTOR["versions"][version]["version_id"])
    keys = keys_of(version) | {name: bytes.fromhex(key) for name, key in case["keys"].items()}

    def fetch(name: str) -> bytes:
        return (HERE / case["objects"][name]).read_bytes() if name in case["objects"] else fetch_from(version)(name)

    with pytest.raises((IntegrityError, INDEPENDENT.RefusedError)) as caught:
        READERS[reader](manifest, version_id, dictionary, case["columns"], keys, fetch)

    assert str(caught.value).partition(":")[0] == case["code"]


def test_every_code_of_the_specification_has_a_vector() -> None:
    text = (HERE.parents[2] / "docs" / "reference" / "dataset-format.md").read_text(encoding="utf-8")
    section = text.partition("## What a reader must refuse")[2]

    codes = set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE))

    # How much a reader takes at once is its own business, and no fault of the file.
    assert codes - {"read-size"} == {case["code"] for case in CASES}


@pytest.mark.parametrize("version", ["forms", "blocks", "newer"])
def test_keys_and_forms_are_those_of_the_vector(version: str) -> None:
    facts = VECTOR["versions"][version]
    manifest_bytes, dictionary_bytes = documents(version)
    manifest, dictionary = parse_manifest(manifest_bytes, facts["version_id"]), parse_dictionary(dictionary_bytes)
    master_key, plain = bytes.fromhex(facts["master_key"]), json.loads(manifest_bytes)

    ours = column_keys(master_key, manifest)

    assert {name: key.hex() for name, key in ours.items()} == {n: c["key"] for n, c in facts["columns"].items()}
    for name, column in facts["columns"].items():
        form = stored_form(dictionary.column(name))
        independent = INDEPENDENT.Form(next(c for c in json.loads(dictionary_bytes)["columns"] if c["name"] == name))
        assert (form.tag.decode(), form.width_bits) == (column["form"], column["width"])
        assert (independent.tag, independent.width) == (column["form"], column["width"])
        assert INDEPENDENT.derive_column_key(master_key, plain, name) == ours[name]


@pytest.mark.parametrize("vector", VECTOR["planes"]["widths"], ids=lambda vector: str(vector["width"]))
def test_planes_of_every_width_are_those_of_the_vector(vector: dict[str, Any]) -> None:
    width = vector["width"]
    codes = [(i * VECTOR["planes"]["multiplier"] % 2**64) >> (64 - width) for i in range(512)]

    packed = pack(np.array(codes, np.uint64), width)

    assert (hashlib.sha256(packed).hexdigest(), packed[:16].hex()) == (vector["sha256"], vector["begins"])
    assert unpack(packed, 512, width).tolist() == codes
    assert INDEPENDENT.unpack(packed, 512, width) == codes


def test_the_independent_reader_imports_nothing_of_this_project() -> None:
    tree = ast.parse((HERE / "independent_reader.py").read_text(encoding="utf-8"))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def test_the_committed_vectors_are_what_the_generator_writes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(HERE / "generate.py"), str(tmp_path)], check=True)

    committed = {
        str(p.relative_to(HERE)): p for p in HERE.rglob("*") if p.is_file() and p.suffix in {".json", ".bin", ""}
    }
    written = {str(p.relative_to(tmp_path)): p for p in tmp_path.rglob("*") if p.is_file()}
    assert committed.keys() == written.keys()
    assert [name for name in written if written[name].read_bytes() != committed[name].read_bytes()] == []
