from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from heartify.chain.node import EmbeddedChain, serve_forever, unsafe_fund
from heartify.chain.rpc import connect
from heartify.errors import ChainError

ACCOUNT = "0x" + "ab" * 20


def balance_ether(rpc_url: str) -> int:
    connection = connect(rpc_url)
    try:
        return int(connection.request("eth_getBalance", [ACCOUNT, "latest"]), 16) // 10**18
    finally:
        connection.close()


def wait_until_gone(rpc_url: str) -> bool:
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        try:
            connect(rpc_url, timeout_seconds=1).close()
        except ChainError:
            return True
        time.sleep(0.05)
    return False


def test_a_restart_on_the_same_directory_keeps_balances(anvil: Path, tmp_path: Path) -> None:
    with EmbeddedChain.start(tmp_path, binary=anvil) as chain:
        unsafe_fund(chain.rpc_url, ACCOUNT, 7)

    with EmbeddedChain.start(tmp_path, binary=anvil) as chain:
        assert balance_ether(chain.rpc_url) == 7


def test_the_state_survives_a_kill_up_to_the_last_dump(anvil: Path, tmp_path: Path) -> None:
    chain = EmbeddedChain.start(tmp_path, binary=anvil)
    unsafe_fund(chain.rpc_url, ACCOUNT, 7)

    os.kill(chain.pid, signal.SIGKILL)
    chain.wait()
    gone = wait_until_gone(chain.rpc_url)
    chain.stop()

    assert gone
    with EmbeddedChain.start(tmp_path, binary=anvil) as again:
        assert balance_ether(again.rpc_url) == 7


def test_it_has_no_unlocked_accounts_and_only_the_loopback_address(anvil: Path, tmp_path: Path) -> None:
    with EmbeddedChain.start(tmp_path, binary=anvil, chain_id=4242) as chain:
        connection = connect(chain.rpc_url, expected_chain_id=4242)

        accounts = connection.request("eth_accounts", [])

        connection.close()
        assert accounts == []
        assert chain.rpc_url.startswith("http://127.0.0.1:")
        assert (tmp_path / "anvil.log").read_bytes() == b""


def test_two_nodes_never_share_a_directory(anvil: Path, tmp_path: Path) -> None:
    with EmbeddedChain.start(tmp_path, binary=anvil):
        with pytest.raises(ChainError, match="another embedded chain uses") as caught:
            EmbeddedChain.start(tmp_path, binary=anvil)

        assert "stop it first" in str(caught.value.hint)


def test_a_port_in_use_is_named(anvil: Path, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(ChainError, match=f"port {port} on 127.0.0.1 is in use"):
            EmbeddedChain.start(tmp_path, binary=anvil, port=port)


def test_a_damaged_state_is_refused_and_the_file_is_kept(anvil: Path, tmp_path: Path) -> None:
    (tmp_path / "chain.json").write_text('{"block": ')

    with pytest.raises(ChainError, match="ended while starting") as caught:
        EmbeddedChain.start(tmp_path, binary=anvil)

    assert "damaged chain.json" in str(caught.value.hint)
    assert (tmp_path / "chain.json").read_text() == '{"block": '


def test_stopping_twice_is_harmless(anvil: Path, tmp_path: Path) -> None:
    chain = EmbeddedChain.start(tmp_path, binary=anvil)

    chain.stop()
    chain.stop()

    assert not chain.is_running()
    assert wait_until_gone(chain.rpc_url)


def test_it_outlives_the_thread_that_started_it(anvil: Path, tmp_path: Path) -> None:
    started: list[EmbeddedChain] = []
    thread = threading.Thread(target=lambda: started.append(EmbeddedChain.start(tmp_path, binary=anvil)))
    thread.start()
    thread.join()

    time.sleep(0.2)

    with started[0] as chain:
        assert chain.is_running()
        assert balance_ether(chain.rpc_url) == 0


def test_it_ends_with_its_parent_even_when_that_is_killed(anvil: Path, tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time\nfrom heartify.chain.node import EmbeddedChain\n"
        "chain = EmbeddedChain.start(pathlib.Path(sys.argv[1]), binary=pathlib.Path(sys.argv[2]))\n"
        "print(chain.rpc_url, flush=True)\ntime.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), str(anvil)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        rpc_url = parent.stdout.readline().strip()
        unsafe_fund(rpc_url, ACCOUNT, 3)

        parent.kill()
        parent.wait()

    assert wait_until_gone(rpc_url)
    with EmbeddedChain.start(tmp_path, binary=anvil) as again:
        assert balance_ether(again.rpc_url) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_the_foreground_a_signal_stops_it_cleanly(anvil: Path, tmp_path: Path, number: signal.Signals) -> None:
    seen: list[str] = []

    def on_ready(chain: EmbeddedChain) -> None:
        seen.append(chain.rpc_url)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    said: list[str] = []
    serve_forever(tmp_path, port=0, binary=anvil, report=said.append, on_ready=on_ready)

    assert said == [f"the embedded chain answers at {seen[0]}"]
    assert wait_until_gone(seen[0])
    assert signal.getsignal(number) is before
    assert (tmp_path / "chain.json").stat().st_size > 0


def test_in_the_foreground_a_node_that_ends_by_itself_is_an_error(anvil: Path, tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="ended by itself"):
        serve_forever(tmp_path, port=0, binary=anvil, on_ready=lambda chain: os.kill(chain.pid, signal.SIGTERM))


def test_a_binary_that_cannot_be_started_is_a_chain_error(tmp_path: Path) -> None:
    with pytest.raises(ChainError, match="ended while starting"):
        EmbeddedChain.start(tmp_path, binary=tmp_path / "absent")
