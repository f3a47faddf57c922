"""The image: what is in it, what is not, and a private copy that holds exactly that."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from heartify.errors import EnclaveError, UsageError
from heartify.tee.elf import load_elf_needs
from heartify.tee.image import EnclaveImage, FileRole, ImageFile
from heartify.tee.image_contents import build_enclave_image
from heartify.tee.image_copy import check_image_copy, copy_image, keep_image_copy
from heartify.tee.limits import EnclaveLimits
from heartify.tee.measurement import measure
from heartify.tee.system_libraries import find_loader, find_system_libraries

FORBIDDEN_ROOMS = ("attestation", "broker", "chain", "cli", "hospital", "lab", "market", "party", "pool", "tee", "web")
FORBIDDEN_LIBRARIES = ("web3", "httpx", "fastapi", "uvicorn", "sqlalchemy", "requests", "dcap_qvl", "pyarrow", "fsspec")


@pytest.fixture(scope="module")
def image():
    return build_enclave_image()


def names(image, role):
    return [file.path for file in image.files if file.role is role]


def test_image_holds_no_party_and_no_network_library(image):
    for room in FORBIDDEN_ROOMS:
        assert not [name for name in names(image, FileRole.APP) if name.startswith(f"heartify/{room}")]
    for library in FORBIDDEN_LIBRARIES:
        assert not [name for name in names(image, FileRole.SITE) if name.startswith(library)]


def test_image_holds_no_bytecode_test_or_header(image):
    for file in image.files:
        assert "__pycache__" not in file.path
        assert "/tests/" not in file.path
        assert not file.path.endswith((".pyc", ".h", ".pyx", ".a"))


def test_image_holds_what_an_enclave_runs(image):
    assert names(image, FileRole.INTERPRETER) == ["python3"]
    assert names(image, FileRole.BOOTSTRAP) == ["bootstrap.py", "landlock.py"]
    ours = set(names(image, FileRole.APP))
    assert {"heartify/__init__.py", "heartify/errors.py", "heartify/protocol/frames.py"} <= ours
    for library in ("numpy/", "scipy/", "cryptography/", "coincurve/", "Crypto/", "msgspec/", "rfc8785/"):
        assert any(name.startswith(library) for name in names(image, FileRole.SITE))
    assert any(name.startswith("libc.so") for name in names(image, FileRole.SYSTEM))


def imported_modules(source: str):
    """Names of modules that a file imports when it runs; what is imported for type checkers only does not count."""
    pending = list(ast.parse(source).body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        pending += ast.iter_child_nodes(node)


def test_our_modules_in_the_image_import_only_modules_of_the_image(image):
    ours = names(image, FileRole.APP)
    present = {name.removesuffix("/__init__.py").removesuffix(".py").replace("/", ".") for name in ours}
    missing = [
        (file.path, module)
        for file in image.files
        if file.role is FileRole.APP
        for module in imported_modules(file.source.read_text())
        if module.partition(".")[0] == "heartify" and module not in present
    ]

    assert missing == []


def test_image_depends_on_no_path_of_this_machine(image):
    for file in image.files:
        assert not file.path.startswith("/")
        assert ".." not in Path(file.path).parts


def test_unknown_distribution_is_refused():
    with pytest.raises(EnclaveError, match="no-such-distribution is not installed"):
        build_enclave_image(distributions=["no-such-distribution"])


def test_measuring_the_real_image_takes_about_a_second_at_most(image):
    import time

    measure(image)
    start = time.process_time()
    measure(image)

    # Processor time of all threads, so that a busy machine doesn't fail the test.
    assert time.process_time() - start < 3


# ---- ELF


def test_needs_of_the_interpreter_agree_with_ldd():
    needs = load_elf_needs(Path(sys.executable).resolve())
    shown = subprocess.run(["ldd", sys.executable], capture_output=True, text=True, check=True).stdout

    assert needs is not None
    assert needs.libraries
    assert all(name in shown for name in needs.libraries)
    assert Path(needs.interpreter).exists()


def test_closure_of_the_interpreter_agrees_with_ldd():
    interpreter = Path(sys.executable).resolve()
    shown = subprocess.run(["ldd", interpreter], capture_output=True, text=True, check=True).stdout
    expected = {line.split("=>")[0].strip() for line in shown.splitlines() if "=>" in line}

    assert set(find_system_libraries([interpreter])) - {find_loader(interpreter).name} == expected


def test_file_that_is_no_elf_needs_nothing():
    assert load_elf_needs(Path(__file__)) is None


def test_malformed_elf_is_refused(tmp_path):
    (tmp_path / "broken.so").write_bytes(Path(sys.executable).resolve().read_bytes()[:100])

    with pytest.raises(EnclaveError, match="malformed ELF"):
        load_elf_needs(tmp_path / "broken.so")


def test_script_as_interpreter_is_refused(tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\n")

    with pytest.raises(EnclaveError, match="not a dynamically linked"):
        find_loader(tmp_path / "python")


def test_library_that_is_not_installed_is_refused(tmp_path):
    binary = Path(sys.executable).resolve().read_bytes()
    assert b"libc.so.6" in binary
    (tmp_path / "x.so").write_bytes(binary.replace(b"libc.so.6", b"lib!.so.6"))

    with pytest.raises(EnclaveError, match=r"lib!\.so\.6, needed by x\.so, is not installed"):
        find_system_libraries([tmp_path / "x.so"])


# ---- copies


@pytest.fixture
def small_image(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.py").write_bytes(b"a")
    (source / "b.py").write_bytes(b"b")
    files = tuple(ImageFile(FileRole.APP, name, source / name) for name in ("a.py", "b.py"))
    return EnclaveImage(files, "a:main", "3.11.7", "/lib64")


def test_copy_has_the_measurement_of_its_source(small_image, tmp_path):
    copy = copy_image(small_image, tmp_path / "copy")

    assert copy.measurement == measure(small_image) == measure(copy.image)
    check_image_copy(copy)


def damage_change(folder):
    (folder / "app/a.py").chmod(0o600)
    (folder / "app/a.py").write_bytes(b"A")


def damage_add(folder):
    (folder / "app/evil.py").write_bytes(b"")


def damage_bytecode(folder):
    (folder / "app/__pycache__").mkdir()
    (folder / "app/__pycache__/a.cpython-311.pyc").write_bytes(b"")


def damage_link(folder):
    (folder / "app/link").symlink_to("/etc")


def damage_remove(folder):
    (folder / "app/b.py").unlink()


DAMAGES = [damage_change, damage_add, damage_bytecode, damage_link, damage_remove]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_copy_is_refused(small_image, tmp_path, damage):
    copy = copy_image(small_image, tmp_path / "copy")
    damage(copy.folder)

    with pytest.raises(EnclaveError):
        check_image_copy(copy)


@pytest.mark.parametrize("damage", DAMAGES)
def test_kept_copy_is_made_again_when_damaged(small_image, tmp_path, damage):
    damage(keep_image_copy(small_image, tmp_path / "store").folder)

    copy = keep_image_copy(small_image, tmp_path / "store")

    check_image_copy(copy)
    assert [path.name for path in (tmp_path / "store").iterdir()] == [copy.measurement.hex()]


def test_kept_copy_is_used_again(small_image, tmp_path):
    first = keep_image_copy(small_image, tmp_path / "store")
    number = first.folder.stat().st_ino

    second = keep_image_copy(small_image, tmp_path / "store")

    assert second == first
    assert second.folder.stat().st_ino == number


def test_store_that_others_can_write_is_refused(small_image, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store").chmod(0o777)

    with pytest.raises(EnclaveError, match="written by other users"):
        keep_image_copy(small_image, tmp_path / "store")


def test_source_that_vanished_is_refused(small_image, tmp_path):
    small_image.files[0].source.unlink()

    with pytest.raises(EnclaveError, match="can't be read"):
        copy_image(small_image, tmp_path / "copy")


@pytest.mark.parametrize("limits", [{"memory_bytes": 1}, {"cpu_seconds": 0}])
def test_absurd_limits_are_refused(limits):
    with pytest.raises(UsageError, match="enclave limits"):
        EnclaveLimits(**limits)
