"""Shared: small versions of random bytes, and stores in a folder and in memory."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from heartify.cohort.storage.failures import Patience
from heartify.cohort.storage.objects import publish_version, put_object
from heartify.cohort.storage.store import Store, open_store
from heartify.protocol.canonical import encode_canonical, sha256_digest
from heartify.protocol.dictionary import Column, DataDictionary
from heartify.protocol.manifest import ColumnFile, Document, Manifest

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class SmallVersion:
    """A version whose files are random bytes: storage never looks into them."""

    manifest: Manifest
    documents: dict[str, bytes]
    files: tuple[Path, ...]

    @property
    def manifest_bytes(self) -> bytes:
        return encode_canonical(self.manifest)

    def put_files(self, store: Store) -> None:
        for entry, path in zip(self.manifest.columns, self.files, strict=True):
            put_object(store, path, entry.digest, entry.size)

    def publish(self, store: Store) -> str:
        self.put_files(store)
        return publish_version(store, self.manifest_bytes, self.documents)


def column_file(name: str, data: bytes) -> ColumnFile:
    return ColumnFile(column=name, part=0, first_row=0, padded_rows=512, size=len(data), digest=sha256_digest(data))


@pytest.fixture
def make_version(tmp_path: Path) -> Callable[..., SmallVersion]:
    def make(*sizes: int, shared: bytes | None = None) -> SmallVersion:
        contents = [os.urandom(size) for size in sizes] + ([] if shared is None else [shared])
        names = [f"c{number}" for number in range(len(contents))]
        folder = tmp_path / f"to-upload-{next(_NUMBERS)}"
        folder.mkdir()
        files = []
        for name, data in zip(names, contents, strict=True):
            files.append(folder / name)
            files[-1].write_bytes(data)
        columns = tuple(Column(name=name, title=name, datatype="number", role="factor", unit="1") for name in names)
        dictionary = encode_canonical(DataDictionary(title="Small", description="", columns=columns))
        table = b"a,b\n1,2\n"
        manifest = Manifest(
            dataset="0x" + "11" * 32,
            previous=None,
            version_nonce="0x" + os.urandom(32).hex(),
            dictionary_digest=sha256_digest(dictionary),
            report_digest="0x" + "22" * 32,
            rows_rounded=500,
            columns=tuple(column_file(name, data) for name, data in zip(names, contents, strict=True)),
            documents=(Document(name="synthetic-twin.csv", size=len(table), digest=sha256_digest(table)),),
        )
        return SmallVersion(manifest, {"dictionary.json": dictionary, "synthetic-twin.csv": table}, tuple(files))

    return make


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Both kinds pass the same tests."""
    opened = open_store(f"file://{tmp_path}/s" if request.param == "file" else f"memory://storage{tmp_path}")
    yield opened
    if opened.filesystem.exists(opened.root):
        opened.filesystem.rm(opened.root, recursive=True)


@pytest.fixture
def folder_store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "folder-store"))


@pytest.fixture
def source(tmp_path: Path) -> tuple[Path, str, int]:
    """A file to upload, its digest and its size: more than two blocks."""
    data = os.urandom(2 * 1024 * 1024 + 77)
    path = tmp_path / "source"
    path.write_bytes(data)
    return path, "0x" + hashlib.sha256(data).hexdigest(), len(data)


@pytest.fixture
def impatient() -> Patience:
    """Six attempts that don't wait."""
    return Patience(sleep=lambda _: None)
