"""`heartify enclave`: build, sign and measure the enclave for a TEE, and compare it with an app release."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from msgspec.structs import replace

import heartify
from heartify.cli import enclave_guest, options
from heartify.cli.output import show, table
from heartify.errors import InputError
from heartify.party.home import write_atomically
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import encode_canonical, parse_json, to_hex
from heartify.protocol.size_class import size_class as find_size_class
from heartify.tee.app_release import build_app_release
from heartify.tee.gramine.app_release import add_sgx_measurement, check_sgx_measurement
from heartify.tee.gramine.build import BuildOptions, SignedBuild, measure_build, read_manifest, sign_build, stage_build
from heartify.tee.gramine.image import adapt_image_to_gramine
from heartify.tee.gramine.installation import GramineInstallation
from heartify.tee.gramine.sigstruct import ATTRIBUTE_DEBUG
from heartify.tee.gramine.trusted_files import parse_trusted_files
from heartify.tee.image import EnclaveImage
from heartify.tee.image_contents import build_enclave_image

app = typer.Typer(no_args_is_help=True, help="The enclave: build it for a TEE, sign it, compare it with a release.")
enclave_guest.register_commands(app)

BuildFolder = Annotated[Path, typer.Option(help="Folder of the build; it may lie anywhere.")]
SizeClassNumber = Annotated[int, typer.Option(help="1 small, 2 medium, 3 large: the enclave's memory.")]
Edmm = Annotated[bool, typer.Option(help="Memory on demand; without it all is committed at start.")]
GramineLib = Annotated[Path | None, typer.Option(help="Folder of Gramine's libsysdb.so, if it isn't found.")]
ReleaseFile = Annotated[Path, typer.Option(help="The app release, as JSON.")]


@app.command("gramine-manifest")
def gramine_manifest(
    folder: BuildFolder,
    size_class: SizeClassNumber = 1,
    edmm: Edmm = True,
    gramine_lib: GramineLib = None,
    as_json: options.Json = False,
) -> None:
    """Copy the enclave's files into a new folder and write the Gramine manifest that measures them.

    Needs Gramine, because its library OS and C library run inside; needs no SGX.

    Example: heartify enclave gramine-manifest --folder ./enclave-small --size-class 1
    """
    image, installation = _image_for_gramine(gramine_lib)
    manifest = stage_build(image, folder, installation.libos(), _build_options(size_class, edmm=edmm))
    document = {
        "folder": str(folder),
        "files": len(manifest.trusted_files),
        "enclave_bytes": manifest.enclave_bytes,
        "edmm": edmm,
        "app_version": manifest.app_version,
    }
    rows = [
        ["folder", str(folder)],
        ["measured files", str(len(manifest.trusted_files))],
        ["enclave size", f"{manifest.enclave_bytes >> 30} GiB"],
        ["next", f"heartify enclave gramine-sign --folder {folder} --key KEY.pem"],
    ]
    show(document, as_json=as_json, human=lambda c: c.print(table(["enclave", ""], rows)))


@app.command("gramine-sign")
def gramine_sign(
    folder: BuildFolder,
    key: Annotated[Path, typer.Option(help="RSA key of 3072 bits with exponent 3, in PEM, mode 0600.")],
    app_release: Annotated[
        Path | None, typer.Option(help="App release that gets the measurement; made when absent.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Have a staged build signed by Gramine's tools, and show what was signed.

    Example: heartify enclave gramine-sign --folder ./enclave-small --key signing-key.pem --app-release release.json
    """
    build = sign_build(folder, key)
    if app_release is not None:
        installed = build_app_release(heartify.__version__)
        # A new release names no simulated enclave: who wants one says so.
        before = _read_release(app_release) if app_release.exists() else replace(installed, measurements={})
        write_atomically(app_release, encode_canonical(add_sgx_measurement(before, installed, build)))
    _show_build(build, as_json=as_json)


@app.command("gramine-measure")
def gramine_measure(
    app_release: ReleaseFile,
    published: Annotated[
        Path | None, typer.Option(help="The author's heartify.manifest.sgx, to name files that differ.")
    ] = None,
    size_class: SizeClassNumber = 1,
    edmm: Edmm = True,
    gramine_lib: GramineLib = None,
    as_json: options.Json = False,
) -> None:
    """Build the enclave of this installation again and compare its MRENCLAVE with an app release.

    Ends with exit code 4 when the release names another one.

    Example: heartify enclave gramine-measure --app-release release.json --published heartify.manifest.sgx
    """
    release = _read_release(app_release)
    published_files = None if published is None else parse_trusted_files(read_manifest(published))
    image, installation = _image_for_gramine(gramine_lib)
    build = measure_build(image, installation.libos(), _build_options(size_class, edmm=edmm))
    check_sgx_measurement(release, build, published_files)
    _show_build(build, as_json=as_json)


def _image_for_gramine(library_folder: Path | None) -> tuple[EnclaveImage, GramineInstallation]:
    installation = GramineInstallation.find(library_folder)
    return adapt_image_to_gramine(build_enclave_image(), installation.runtime_folder), installation


def _build_options(size_class: int, *, edmm: bool) -> BuildOptions:
    return BuildOptions(size_class=find_size_class(size_class), app_version=heartify.__version__, edmm=edmm)


def _read_release(path: Path) -> AppRelease:
    try:
        return parse_json(path.read_bytes(), AppRelease)
    except OSError as exc:
        raise InputError(f"app release: {path.name} can't be read") from exc


def _show_build(build: SignedBuild, *, as_json: bool) -> None:
    signed = build.sigstruct
    document = {
        "mr_enclave": to_hex(signed.mr_enclave),
        "mr_signer": to_hex(signed.mr_signer),
        "isv_prod_id": signed.isv_prod_id,
        "isv_svn": signed.isv_svn,
        "flags": f"{signed.flags:#018x}",
        "xfrm": f"{signed.xfrm:#018x}",
        "debug": bool(signed.flags & ATTRIBUTE_DEBUG),
        "files": len(build.trusted_files),
    }
    rows = [[name.replace("_", " "), str(value).lower()] for name, value in document.items()]
    show(document, as_json=as_json, human=lambda c: c.print(table(["SGX enclave", ""], rows)))
