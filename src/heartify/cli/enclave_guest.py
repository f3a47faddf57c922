"""`heartify enclave guest-image|guest-register`: make the image of a confidential VM, register what was measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

import heartify
from heartify.attestation.td_measurement import td_measurement
from heartify.cli import options
from heartify.cli.output import show, table
from heartify.errors import InputError, UsageError
from heartify.party.home import write_atomically
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import encode_canonical, parse_json, to_hex
from heartify.protocol.evidence import TeeKind, parse_tee_kind
from heartify.tee.app_release import build_app_release
from heartify.tee.confidential_vm.app_release import add_guest_measurement
from heartify.tee.confidential_vm.build import register_build
from heartify.tee.confidential_vm.guest_image import build_command_line, write_guest_image
from heartify.tee.image_contents import build_enclave_image

GuestFolder = Annotated[Path, typer.Option(help="Folder of the guest: firmware, kernel, initrd, cmdline.")]
_REGISTER = re.compile(r"(0x)?[0-9a-f]{96}")


def register_commands(app: typer.Typer) -> None:
    """Add the commands to `heartify enclave`."""
    app.command("guest-image")(guest_image)
    app.command("guest-register")(guest_register)


def guest_image(folder: GuestFolder, as_json: options.Json = False) -> None:
    """Write the initial file system and the kernel's command line of a confidential VM.

    Both depend on the files of the installed enclave only. Firmware and kernel are yours to put beside them.

    Example: heartify enclave guest-image --folder ./guest-small
    """
    image = build_enclave_image()
    folder.mkdir(parents=True, exist_ok=True)
    digest = write_guest_image(image, folder / "initrd")
    command_line = build_command_line(image)
    (folder / "cmdline").write_text(command_line + "\n", encoding="ascii")
    document = {
        "folder": str(folder),
        "files": len(image.files),
        "initrd_bytes": (folder / "initrd").stat().st_size,
        "initrd_sha256": digest.hex(),
        "cmdline": command_line,
    }
    rows = [[name.replace("_", " "), str(value)] for name, value in document.items()]
    show(document, as_json=as_json, human=lambda c: c.print(table(["guest", ""], rows)))


def guest_register(
    folder: GuestFolder,
    tee_kind: Annotated[str, typer.Option(help="tdx or sev-snp.")],
    memory_mib: Annotated[int, typer.Option(help="Memory of the machine, in MiB; it may be measured.")],
    measurement: Annotated[
        list[str], typer.Option(help="Launch digest of SEV-SNP; MRTD, RTMR0, RTMR1, RTMR2 of TDX, in this order. Hex.")
    ],
    cpus: Annotated[int, typer.Option(help="Processors of the machine; they are measured.")] = 2,
    app_release: Annotated[
        Path | None, typer.Option(help="App release that gets the measurement; made when absent.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Register a guest with the measurement that the vendor's tools computed, so that a pool can start it.

    Nothing is measured here: a wrong value makes evidence that every broker refuses.

    Example: heartify enclave guest-register --folder ./guest --tee-kind sev-snp --memory-mib 6144 --measurement HEX
    """
    kind = parse_tee_kind(tee_kind)
    build = register_build(
        folder, tee_kind=kind, memory_mib=memory_mib, cpus=cpus, measurement=_measurement_of(kind, measurement)
    )
    if app_release is not None:
        installed = build_app_release(heartify.__version__)
        # A new release names no simulated enclave: who wants one says so.
        before = _read_release(app_release) if app_release.exists() else replace(installed, measurements={})
        write_atomically(app_release, encode_canonical(add_guest_measurement(before, installed, build)))
    document = {
        "tee_kind": kind.wire_name,
        "measurement": to_hex(build.measurement),
        "memory_mib": memory_mib,
        "cpus": cpus,
        **{f"{name}_sha256": digest.hex() for name, digest in build.digests},
    }
    rows = [[name.replace("_", " "), str(value)] for name, value in document.items()]
    show(document, as_json=as_json, human=lambda c: c.print(table(["registered guest", ""], rows)))


def _measurement_of(kind: TeeKind, texts: list[str]) -> bytes:
    expected = 4 if kind is TeeKind.TDX else 1
    if len(texts) != expected or not all(_REGISTER.fullmatch(text) for text in texts):
        raise UsageError(
            f"--measurement must be given {expected} times for {kind.wire_name}, each 48 bytes in lower-case hex"
        )
    registers = [bytes.fromhex(text.removeprefix("0x")) for text in texts]
    if kind is not TeeKind.TDX:
        return registers[0]
    mr_td, rtmr0, rtmr1, rtmr2 = registers
    return td_measurement(mr_td=mr_td, rtmr0=rtmr0, rtmr1=rtmr1, rtmr2=rtmr2)


def _read_release(path: Path) -> AppRelease:
    try:
        return parse_json(path.read_bytes(), AppRelease)
    except OSError as exc:
        raise InputError(f"app release: {path.name} can't be read") from exc
