"""What a machine must have before an SGX enclave can start and be quoted: each missing part with its remedy.

Gramine's own messages about these are terse, and come after an enclave of gigabytes was built. Existence and access
are all that is checked; whether the platform is in order, its quotes show.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from heartify.errors import EnclaveError

_PAGE = "docs/how-to/run-on-sgx.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class SgxHost:
    """Where Linux and Intel's software put what Gramine needs."""

    enclave_device: Path = Path("/dev/sgx_enclave")
    provision_device: Path = Path("/dev/sgx_provision")
    aesm_socket: Path = Path("/var/run/aesmd/aesm.socket")

    def check(self) -> None:
        """Check that enclaves can be started and quoted here. Raises EnclaveError with what to do."""
        if not self.enclave_device.exists():
            raise EnclaveError(
                f"this machine has no {self.enclave_device}",
                hint=f"SGX needs an Intel server processor, the BIOS setting and Linux 5.11 or later: {_PAGE}",
            )
        if not os.access(self.enclave_device, os.R_OK | os.W_OK):
            raise EnclaveError(
                f"{self.enclave_device} can't be opened by this user", hint="add the user to the group of the device"
            )
        if not self.provision_device.exists():
            raise EnclaveError(
                f"this machine has no {self.provision_device}, so its quoting enclave can't be certified",
                hint=f"the kernel lacks SGX provisioning, or the processor flexible launch control: {_PAGE}",
            )
        if not self.aesm_socket.exists():
            raise EnclaveError(
                f"aesmd does not listen at {self.aesm_socket}, so enclaves can't be quoted",
                hint="install Intel's sgx-aesm-service with its ECDSA plug-in and libsgx-dcap-default-qpl, and set "
                f"pccs_url in /etc/sgx_default_qcnl.conf: {_PAGE}",
            )
