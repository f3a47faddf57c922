"""Files of a home: whole or not at all, and refused by name when they are wrong."""

from __future__ import annotations

import os
import stat

import msgspec
import pytest

from heartify.errors import DocumentError, UsageError
from heartify.party.home import load_document, store_document, write_atomically


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str


def test_document_comes_back_as_it_was_stored(tmp_path):
    store_document(tmp_path / "deep" / "note.json", Note("hello"))

    assert load_document(tmp_path / "deep" / "note.json", Note, hint="") == Note("hello")


@pytest.mark.parametrize("failing", ["fsync", "chmod", "replace"])
def test_write_that_fails_keeps_the_old_content_and_leaves_nothing_else(tmp_path, monkeypatch, failing):
    path = tmp_path / "note.json"
    write_atomically(path, b"old")

    def fail(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, fail)

    with pytest.raises(UsageError, match="can't be written: No space left"):
        write_atomically(path, b"new content")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupt(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "note.json", b"new")
    assert list(tmp_path.iterdir()) == []


def test_mode_is_that_which_was_asked_for(tmp_path):
    write_atomically(tmp_path / "secret", b"x", mode=0o600)
    write_atomically(tmp_path / "public", b"x")

    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "public").stat().st_mode) == 0o644


def test_file_below_a_file_cannot_be_written(tmp_path):
    write_atomically(tmp_path / "file", b"x")

    with pytest.raises(UsageError, match="can't be written"):
        write_atomically(tmp_path / "file" / "below", b"y")


def test_missing_document_gives_the_hint(tmp_path):
    with pytest.raises(UsageError, match="there is no") as refused:
        load_document(tmp_path / "none.json", Note, hint="run init first")

    assert refused.value.hint == "run init first"


def test_folder_in_the_place_of_a_document_is_refused(tmp_path):
    with pytest.raises(UsageError, match="can't be read"):
        load_document(tmp_path, Note, hint="")


@pytest.mark.parametrize("content", [b"", b"{", b'{"text": 1}', b'{"text": "a", "more": 1}', b"\xff"])
def test_document_of_another_form_is_refused(tmp_path, content):
    (tmp_path / "note.json").write_bytes(content)

    with pytest.raises(DocumentError):
        load_document(tmp_path / "note.json", Note, hint="")
