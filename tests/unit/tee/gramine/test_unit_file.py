"""The example unit of a pool on SGX: it hardens as the other units do, and opens what an enclave needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[4] / "deploy" / "gramine" / "heartify-pool-sgx.service"


@pytest.fixture
def settings():
    return dict(re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.MULTILINE))


def test_it_opens_the_enclave_device_and_waits_for_the_quoting_service(settings):
    assert settings["DeviceAllow"] == "/dev/sgx_enclave rw"
    assert settings["Requires"] == "aesmd.service"
    assert settings["RestrictAddressFamilies"].split() == ["AF_INET", "AF_INET6", "AF_UNIX"]  # aesmd is AF_UNIX


def test_it_is_as_closed_as_the_pools_other_unit(settings):
    other = UNIT.parents[1] / "systemd" / "heartify-pool.service"
    expected = dict(re.findall(r"^(\w+)=(.*)$", other.read_text(), re.MULTILINE))

    for name in ("NoNewPrivileges", "ProtectSystem", "ProtectHome", "LimitCORE", "CapabilityBoundingSet", "UMask"):
        assert settings[name] == expected[name], name
    assert settings["ExecStart"] == expected["ExecStart"]
    assert settings["LoadCredential"] == expected["LoadCredential"]
    assert settings["RestrictNamespaces"] == "yes"
