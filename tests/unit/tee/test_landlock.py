"""Landlock rules, probed from inside a process of their own: what lies below the paths is readable, nothing else is."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import heartify.tee.landlock
from heartify.tee.landlock import landlock_version

needs_landlock = pytest.mark.skipif(landlock_version() == 0, reason="this kernel has no Landlock")

# The module is loaded by its path, as the bootstrap of an enclave loads it: without the package.
PROGRAM = """
import importlib.util, json, os, signal, socket, sys, threading

spec = importlib.util.spec_from_file_location("landlock", sys.argv[1])
landlock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(landlock)
opened_before = open(sys.argv[3])

def attempt(action):
    try:
        action()
    except OSError as exc:
        return exc.strerror
    return "ALLOWED"

in_force = landlock.restrict(json.loads(sys.argv[2]))
inside, outside = json.loads(sys.argv[2])[0], sys.argv[3]
in_thread = []
thread = threading.Thread(target=lambda: in_thread.append(attempt(lambda: open(outside))))
thread.start()
thread.join()
print(json.dumps({
    "in force": in_force,
    "read inside": attempt(lambda: open(inside + "/a")),
    "list inside": attempt(lambda: os.listdir(inside)),
    "change inside": attempt(lambda: open(inside + "/a", "r+")),
    "truncate inside": attempt(lambda: os.truncate(inside + "/a", 0)),
    "make inside": attempt(lambda: open(inside + "/new", "w")),
    "delete inside": attempt(lambda: os.unlink(inside + "/a")),
    "run inside": attempt(lambda: os.execv(inside + "/a", ["a"])),
    "read outside": attempt(lambda: open(outside)),
    "read outside in a thread": in_thread[0],
    "list the root": attempt(lambda: os.listdir("/")),
    "connect": attempt(lambda: socket.create_connection(("127.0.0.1", 9), 1)),
    "signal the parent": attempt(lambda: os.kill(os.getppid(), 0)),
    "read what was open": attempt(opened_before.read),
}))
"""


@pytest.fixture
def attempts(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a").write_text("#!/bin/true\n")
    (inside / "a").chmod(0o755)
    (tmp_path / "outside").write_text("secret")
    return run(PROGRAM, json.dumps([str(inside)]), str(tmp_path / "outside"))


def run(program, *arguments):
    module = heartify.tee.landlock.__file__
    command = [sys.executable, "-I", "-S", "-c", textwrap.dedent(program), module, *arguments]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@needs_landlock
def test_what_lies_below_the_paths_can_be_read_and_nothing_else_done(attempts):
    allowed = {name for name, end in attempts.items() if end == "ALLOWED"}

    assert attempts.pop("in force") is True
    assert allowed == {"read inside", "list inside", "read what was open"}


@needs_landlock
def test_rules_hold_in_threads_that_start_later(attempts):
    assert attempts["read outside in a thread"] == "Permission denied"


@needs_landlock
@pytest.mark.skipif(landlock_version() < 4, reason="this kernel's Landlock has no rules for TCP")
def test_connections_are_denied_where_the_kernel_can(attempts):
    assert attempts["connect"] == "Permission denied"


@needs_landlock
@pytest.mark.skipif(landlock_version() < 6, reason="this kernel's Landlock has no scopes")
def test_signals_to_others_are_denied_where_the_kernel_can(attempts):
    assert attempts["signal the parent"] == "Operation not permitted"


@needs_landlock
def test_a_single_file_can_be_named(tmp_path):
    (tmp_path / "one").write_text("1")
    (tmp_path / "two").write_text("2")
    program = (
        PROGRAM.split("in_force =", maxsplit=1)[0]
        + """
landlock.restrict([sys.argv[3]])
print(json.dumps([attempt(lambda: open(sys.argv[3])), attempt(lambda: open(sys.argv[4]))]))
"""
    )

    ends = run(program, "[]", str(tmp_path / "one"), str(tmp_path / "two"))

    assert ends == ["ALLOWED", "Permission denied"]


@needs_landlock
def test_path_that_does_not_exist_is_an_error_and_never_a_false():
    program = (
        PROGRAM.split("in_force =", maxsplit=1)[0].replace("opened_before = open(sys.argv[3])", "")
        + """
print(json.dumps(attempt(lambda: landlock.restrict(["/no/such/path"]))))
"""
    )

    assert run(program, "[]") == "No such file or directory"


def test_module_imports_the_standard_library_only():
    lines = Path(heartify.tee.landlock.__file__).read_text().splitlines()
    imported = {line.split()[1].partition(".")[0] for line in lines if line.startswith(("import ", "from "))}

    assert imported <= sys.stdlib_module_names
