"""The choice of isolation is a parameter, said in words; nothing in the environment switches it."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from heartify.errors import EnclaveError
from heartify.tee.image import EnclaveImage
from heartify.tee.image_copy import ImageCopy
from heartify.tee.simulated import sandbox
from heartify.tee.simulated.sandbox import (
    SandboxMode,
    build_bubblewrap_command,
    choose_enclave_user_id,
    choose_sandbox_mode,
)

COPY = ImageCopy(Path("/copy"), EnclaveImage((), "a:main", "3.11.7", "/lib64"), bytes(32))


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

    assert choose_sandbox_mode("auto") in {SandboxMode.BUBBLEWRAP, SandboxMode.BUBBLEWRAP_SECCOMP}


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
def test_sandbox_command_unshares_everything_and_binds_read_only(user_namespace):
    command = build_bubblewrap_command(COPY, "{}", launch_filter_fd=9, user_namespace=user_namespace)

    for argument in (
        "--unshare-net",
        "--unshare-pid",
        "--unshare-ipc",
        "--die-with-parent",
        "--new-session",
        "--clearenv",
    ):
        assert argument in command
    assert {"--bind", "--dev-bind", "--share-net", "--tmpfs"}.isdisjoint(command)
    assert command[command.index("--cap-drop") + 1] == "ALL"
    assert command[command.index("--seccomp") + 1] == "9"
    assert ("--unshare-user" in command) is user_namespace
    assert ("--disable-userns" in command) is user_namespace
    assert ("CAP_SETUID" in command) is not user_namespace


def test_user_of_an_enclave_has_no_account():
    accounts = {entry.pw_uid for entry in pwd.getpwall()}

    chosen = {choose_enclave_user_id() for _ in range(50)}

    assert chosen.isdisjoint(accounts)
    assert min(chosen) >= 61184
    assert max(chosen) <= 65519
    assert len(chosen) > 30
