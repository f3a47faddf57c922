"""The choice of isolation is a parameter, said in words; nothing in the environment switches it."""

from __future__ import annotations

import pwd
import subprocess
from pathlib import Path

import pytest

from heartify.errors import EnclaveError
from heartify.tee.image import EnclaveImage, FileRole, ImageFile
from heartify.tee.simulated import sandbox, user_ids
from heartify.tee.simulated.sandbox import (
    SandboxMode,
    build_sandbox_arguments,
    build_sandboxed_command,
    choose_sandbox_mode,
)
from heartify.tee.simulated.sealed_image import SealedFile

IMAGE = EnclaveImage((), "a:main", "3.11.7", "/lib64")
FILES = (
    SealedFile(ImageFile(FileRole.APP, "a.py", Path("/nowhere/a.py")), 20),
    SealedFile(ImageFile(FileRole.SYSTEM, "ld-linux-x86-64.so.2", Path("/nowhere/ld")), 21),
)


@pytest.fixture
def machine_without_bubblewrap(monkeypatch):
    sandbox.can_bubblewrap.cache_clear()
    monkeypatch.setenv("PATH", "/nonexistent")
    yield
    sandbox.can_bubblewrap.cache_clear()


def test_auto_falls_back_to_a_process_that_is_called_unsafe(machine_without_bubblewrap):
    assert choose_sandbox_mode("auto") is SandboxMode.UNSAFE_PLAIN_PROCESS


def test_bubblewrap_is_refused_where_it_does_not_work(machine_without_bubblewrap):
    with pytest.raises(EnclaveError, match="bubblewrap is absent"):
        choose_sandbox_mode("bubblewrap")


def test_auto_is_the_sandbox_where_it_works():
    if not sandbox.can_bubblewrap():
        pytest.skip("bubblewrap is not installed, or may not make namespaces for this user")

    assert choose_sandbox_mode("auto") is SandboxMode.BUBBLEWRAP


@pytest.mark.parametrize("word", ["", "none", "plain", "BUBBLEWRAP"])
def test_unknown_isolation_is_refused(word):
    with pytest.raises(EnclaveError, match="unknown"):
        choose_sandbox_mode(word)


@pytest.mark.parametrize("variable", ["HEARTIFY_ISOLATION", "HEARTIFY_UNSAFE", "HEARTIFY_TEE"])
def test_environment_does_not_switch_the_isolation(monkeypatch, variable):
    before = choose_sandbox_mode("auto")
    monkeypatch.setenv(variable, "unsafe-plain-process")

    assert choose_sandbox_mode("auto") is before


@pytest.mark.parametrize("user_namespace", [True, False])
def test_sandbox_unshares_everything_and_binds_nothing_of_the_host(user_namespace):
    arguments = build_sandbox_arguments(IMAGE, FILES, launch_filter_fd=9, user_namespace=user_namespace)

    for argument in (
        "--unshare-net",
        "--unshare-pid",
        "--unshare-ipc",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
    ):
        assert argument in arguments
    assert not [argument for argument in arguments if "bind" in argument or argument in {"--share-net", "--tmpfs"}]
    assert arguments[arguments.index("--cap-drop") + 1] == "ALL"
    assert arguments[arguments.index("--seccomp") + 1] == "9"
    assert ("--unshare-user" in arguments) is user_namespace
    assert ("--disable-userns" in arguments) is user_namespace
    assert ("CAP_SETUID" in arguments) is not user_namespace


def test_sandbox_is_filled_from_descriptors_and_then_closed_for_writing():
    arguments = build_sandbox_arguments(IMAGE, FILES, launch_filter_fd=None, user_namespace=True)

    text = " ".join(arguments)
    assert "--file 20 /image/app/a.py" in text
    assert "--perms 0555 --file 21 /image/system/ld-linux-x86-64.so.2" in text
    assert "/nowhere" not in text
    assert text.index("--remount-ro /") > text.index("--file 21")
    assert "--seccomp" not in arguments


def test_command_shows_options_only():
    command = build_sandboxed_command(IMAGE, 7, "{}")

    assert command[:4] == ["bwrap", "--args", "7", "--"]
    assert command[-2:] == ["/image/bootstrap/bootstrap.py", "{}"]


@pytest.mark.parametrize(
    ("choose", "first", "last"),
    [(user_ids.choose_enclave_user_id, 61440, 65519), (user_ids.choose_quoter_user_id, 61184, 61439)],
)
def test_users_of_enclaves_and_quoters_have_no_account_and_are_never_the_same(choose, first, last):
    accounts = {entry.pw_uid for entry in pwd.getpwall()}

    chosen = {choose() for _ in range(50)}

    assert chosen.isdisjoint(accounts)
    assert min(chosen) >= first
    assert max(chosen) <= last
    assert len(chosen) > 30


@pytest.mark.skipif(not user_ids.runs_as_root(), reason="becoming another user needs root")
def test_user_that_a_process_runs_as_is_found():
    user_id = user_ids.choose_enclave_user_id()
    assert user_ids.processes_of(user_id) == frozenset()
    with subprocess.Popen(["/bin/sleep", "30"], user=user_id, group=user_id) as process:
        try:
            assert user_ids.processes_of(user_id) == {process.pid}
        finally:
            process.kill()


def test_user_with_an_account_is_neither_an_enclave_s_nor_a_quoter_s():
    for entry in pwd.getpwall():
        assert not user_ids.is_enclave_user_id(entry.pw_uid)
        assert not user_ids.is_quoter_user_id(entry.pw_uid)
