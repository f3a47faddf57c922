"""The guest's initial file system and command line: the same for the same files, other for one other byte."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from read_cpio import read_entries

from heartify.errors import EnclaveError
from heartify.tee.confidential_vm.cpio import CpioWriter
from heartify.tee.confidential_vm.guest_image import build_command_line, write_guest_image
from heartify.tee.image import EnclaveImage, FileRole, ImageFile

HERE = Path(__file__).parent


def small_image(folder: Path, *, program: bytes = b"program") -> EnclaveImage:
    """An image of a few files whose content is text, with the loader where Debian has it."""
    contents = {
        (FileRole.APP, "heartify/enclave/program.py"): program,
        (FileRole.INTERPRETER, "python3"): b"interpreter",
        (FileRole.SYSTEM, "ld-linux-x86-64.so.2"): b"loader",
        (FileRole.SYSTEM, "libc.so.6"): b"library",
        (FileRole.STANDARD_LIBRARY, "python3.11/os.py"): b"module",
        (FileRole.BOOTSTRAP, "bootstrap.py"): b"bootstrap",
    }
    files = []
    for number, ((role, path), content) in enumerate(contents.items()):
        source = folder / str(number)
        source.write_bytes(content)
        files.append(ImageFile(role, path, source))
    return EnclaveImage(tuple(files), "unused:main", "3.11.7", "/lib64")


def test_image_holds_the_files_the_init_two_devices_and_nothing_else(tmp_path):
    digest = write_guest_image(small_image(tmp_path), tmp_path / "initrd")
    entries = {entry.path: entry for entry in read_entries((tmp_path / "initrd").read_bytes())}

    kinds = {path: stat.S_IFMT(entry.fields["mode"]) for path, entry in entries.items()}
    assert sorted(path for path, kind in kinds.items() if kind == stat.S_IFREG) == [
        "image/app/heartify/enclave/program.py",
        "image/bootstrap/bootstrap.py",
        "image/guest/guest.py",
        "image/python/bin/python3",
        "image/python/lib/python3.11/os.py",
        "image/system/ld-linux-x86-64.so.2",
        "image/system/libc.so.6",
    ]
    assert entries["lib64"].content == b"image/system"
    assert kinds["lib64"] == stat.S_IFLNK
    assert [path for path, kind in kinds.items() if kind == stat.S_IFCHR] == ["dev/console", "dev/null"]
    assert [(entries[path].fields["major"], entries[path].fields["minor"]) for path in ("dev/console", "dev/null")] == [
        (5, 1),
        (1, 3),
    ]
    assert {"proc", "sys", "dev", "image"} <= set(entries)
    assert entries["image/python/bin/python3"].fields["mode"] == 0o100555
    assert entries["image/system/ld-linux-x86-64.so.2"].fields["mode"] == 0o100555
    assert entries["image/app/heartify/enclave/program.py"].fields["mode"] == 0o100444
    assert len(digest) == 32


def test_every_folder_comes_before_what_is_in_it_and_nothing_is_of_the_host(tmp_path):
    write_guest_image(small_image(tmp_path), tmp_path / "initrd")

    seen = {""}
    for number, entry in enumerate(read_entries((tmp_path / "initrd").read_bytes()), start=1):
        assert str(Path(entry.path).parent).removeprefix(".") in seen
        seen.add(entry.path)
        assert [entry.fields[name] for name in ("uid", "gid", "mtime", "check")] == [0, 0, 0, 0]
        assert entry.fields["ino"] == number


def test_two_builds_are_equal_whatever_order_owner_time_and_mode(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    image, other = small_image(first), small_image(second)
    for file in other.files:
        os.utime(file.source, (1, 1))
        file.source.chmod(0o600)

    digest = write_guest_image(image, tmp_path / "one")

    assert write_guest_image(replace(other, files=tuple(reversed(other.files))), tmp_path / "two") == digest
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_one_byte_makes_another_image(tmp_path):
    digest = write_guest_image(small_image(tmp_path), tmp_path / "one")

    assert write_guest_image(small_image(tmp_path, program=b"Program"), tmp_path / "two") != digest


@pytest.mark.parametrize("loader_folder", ["/usr/lib64", "/image", "/proc", "/"])
def test_loader_that_a_guest_can_not_place_is_refused(tmp_path, loader_folder):
    with pytest.raises(EnclaveError, match="loader"):
        write_guest_image(replace(small_image(tmp_path), loader_folder=loader_folder), tmp_path / "initrd")


def test_file_that_is_gone_is_refused(tmp_path):
    image = small_image(tmp_path)
    image.files[0].source.unlink()

    with pytest.raises(EnclaveError, match="can't be read"):
        write_guest_image(image, tmp_path / "initrd")


def test_command_line_names_init_environment_and_arguments(tmp_path):
    line = build_command_line(small_image(tmp_path))

    assert line == (
        "rdinit=/image/python/bin/python3 quiet loglevel=0 panic=-1 ARROW_DEFAULT_MEMORY_POOL=system "
        "LD_LIBRARY_PATH=/image/system MALLOC_ARENA_MAX=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 "
        "-- -I -S -B -X utf8 /image/guest/guest.py heartify.enclave.program:run_job 5005"
    )
    # The kernel takes at most 32 arguments and 32 variables for its init, and 2048 bytes on x86.
    assert len(line) < 2048


@pytest.mark.parametrize("entry", ["a b:c", 'a"b:c', "ä:b", "a\n:b"])
def test_word_that_the_kernel_would_split_is_refused(tmp_path, entry):
    with pytest.raises(EnclaveError, match="can't be a word"):
        build_command_line(small_image(tmp_path), entry=entry)


def test_file_of_four_gigabytes_can_not_be_said(tmp_path):
    class Long(bytes):
        def __len__(self) -> int:
            return 1 << 32

    with (tmp_path / "out").open("wb") as out, pytest.raises(EnclaveError, match="longer than an archive"):
        CpioWriter(out).add_file("a", Long())


@pytest.mark.skipif(shutil.which("cpio") is None, reason="cpio is not installed")
def test_cpio_reads_the_archive(tmp_path):
    import subprocess

    write_guest_image(small_image(tmp_path), tmp_path / "initrd")

    listed = subprocess.run(["cpio", "-t"], input=(tmp_path / "initrd").read_bytes(), capture_output=True, check=True)

    assert listed.stdout.decode().split() == [entry.path for entry in read_entries((tmp_path / "initrd").read_bytes())]
