"""Which launcher serves a kind of TEE: the one place where a pool's settings become a launcher.

Launchers are imported when they are chosen, so that a pool loads nothing of the kinds that it doesn't run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

from heartify.errors import UsageError
from heartify.protocol.evidence import parse_tee_kind
from heartify.tee.launcher import Launcher

TeeKindName: TypeAlias = Literal["simulated-sgx", "simulated-tdx", "sgx", "tdx", "sev-snp"]
SandboxChoice: TypeAlias = Literal["auto", "bubblewrap", "unsafe-plain-process"]


def check_launcher_settings(tee_kind: TeeKindName, build_folder: Path | None) -> None:
    """Raise UsageError unless a build is named exactly for the kinds of TEE that need one."""
    if parse_tee_kind(tee_kind).is_simulated == (build_folder is None):
        return
    if build_folder is None:
        raise UsageError(
            f"a pool of kind {tee_kind} needs the folder of a signed or registered build",
            hint="make one with `heartify enclave`, and name it with --enclave-build",
        )
    raise UsageError(f"a pool of kind {tee_kind} runs the installed enclave and takes no build")


def build_launcher(
    tee_kind: TeeKindName,
    *,
    platform_folder: Path,
    image_store: Path,
    sandbox: SandboxChoice,
    build_folder: Path | None,
) -> Launcher:
    """Return the launcher for a kind of TEE on this machine; its `close` gives back what it holds.

    `platform_folder`, `image_store` and `sandbox` are the simulation's; `build_folder` is what hardware runs.

    Raises:
        UsageError: a build is missing, or given where none is used.
        InputError, IntegrityError: the platform's keys or the build are absent, unprotected or damaged.
        EnclaveError: this machine can't run that kind.
    """
    check_launcher_settings(tee_kind, build_folder)
    if build_folder is None:
        from heartify.tee.simulated.launcher import SimulatedLauncher

        kind = parse_tee_kind(tee_kind)
        return SimulatedLauncher.of_platform(platform_folder, tee_kind=kind, sandbox=sandbox, store=image_store)
    if tee_kind == "sgx":
        from heartify.tee.gramine.launcher import GramineSgxLauncher

        return GramineSgxLauncher(build_folder)
    from heartify.tee.confidential_vm.launcher import ConfidentialVmLauncher

    launcher = ConfidentialVmLauncher(build_folder)
    if launcher.tee_kind is not parse_tee_kind(tee_kind):
        launcher.close()
        raise UsageError(f"the build is for {launcher.tee_kind.wire_name}, the pool is of kind {tee_kind}")
    return launcher
