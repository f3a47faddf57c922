"""The measurement: equal for equal files anywhere, another for any other byte, name, argument or flag."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heartify.errors import EnclaveError
from heartify.tee.image import EnclaveImage, FileRole, ImageFile
from heartify.tee.measurement import combine_digests, measure

CONTENTS = {"a.py": b"print(1)", "sub/b.py": b"", "c.so": bytes(range(256))}


def make_image(folder: Path, contents=CONTENTS) -> EnclaveImage:
    files = []
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        files.append(ImageFile(FileRole.APP, name, path))
    return EnclaveImage(tuple(files), "a:main", "3.11.7", "/lib64")


def test_measurement_is_the_hash_of_the_documented_form(tmp_path):
    image = make_image(tmp_path)
    document = {
        "measurement_version": 1,
        "files": [["app", name, hashlib.sha256(CONTENTS[name]).hexdigest()] for name in sorted(CONTENTS)],
        "entry": "a:main",
        "arguments": ["-I", "-S", "-B", "-X", "utf8"],
        "environment": dict(image.environment),
        "debug": False,
        "loader_folder": "/lib64",
        "python_version": "3.11.7",
    }
    encoded = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()

    assert measure(image) == hashlib.sha256(encoded).digest()


def test_two_folders_with_equal_files_measure_equal(tmp_path):
    first = make_image(tmp_path / "first")
    second = make_image(tmp_path / "second", dict(reversed(CONTENTS.items())))

    assert measure(first) == measure(second)


@given(st.data())
@settings(max_examples=60, derandomize=True, deadline=None)
def test_any_changed_byte_changes_the_measurement(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("image")
    name = data.draw(st.sampled_from(["a.py", "c.so"]))
    content = bytearray(CONTENTS[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))

    assert measure(make_image(folder, {**CONTENTS, name: bytes(content)})) != measure(make_image(folder))


@pytest.mark.parametrize(
    "contents",
    [
        {**CONTENTS, "d.py": b""},
        {name: content for name, content in CONTENTS.items() if name != "sub/b.py"},
        {"a.py": b"", "sub/b.py": b"print(1)", "c.so": bytes(range(256))},
        {"a.py2": b"print(1)", "sub/b.py": b"", "c.so": bytes(range(256))},
    ],
    ids=["added", "removed", "swapped", "renamed"],
)
def test_added_removed_swapped_or_renamed_file_changes_the_measurement(tmp_path, contents):
    assert measure(make_image(tmp_path / "x", contents)) != measure(make_image(tmp_path / "y"))


@pytest.mark.parametrize(
    "change",
    [
        {"debug": True},
        {"entry": "a:other"},
        {"arguments": ("-I",)},
        {"environment": (("X", "1"),)},
        {"python_version": "3.11.8"},
        {"loader_folder": "/lib"},
    ],
    ids=str,
)
def test_any_changed_way_of_starting_changes_the_measurement(tmp_path, change):
    image = make_image(tmp_path)

    assert measure(replace(image, **change)) != measure(image)


def test_role_is_part_of_the_measurement(tmp_path):
    image = make_image(tmp_path)
    moved = replace(image, files=tuple(replace(file, role=FileRole.SITE) for file in image.files))

    assert measure(moved) != measure(image)


def test_two_files_of_one_name_are_refused(tmp_path):
    image = make_image(tmp_path)

    with pytest.raises(EnclaveError, match="same name"):
        measure(replace(image, files=(*image.files, image.files[0])))


def test_missing_file_is_refused(tmp_path):
    image = make_image(tmp_path)
    (tmp_path / "a.py").unlink()

    with pytest.raises(EnclaveError, match="can't be read"):
        measure(image)


def test_number_of_digests_must_be_that_of_files(tmp_path):
    with pytest.raises(ValueError, match="zip"):
        combine_digests(make_image(tmp_path), [bytes(32)])
