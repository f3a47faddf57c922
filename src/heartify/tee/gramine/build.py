"""Build an SGX enclave: stage the image, render the manifest, have it signed, and read what was signed.

A build is a folder that may lie anywhere and be moved, because nothing in it names its place:

    image/                   the private copy of the image
    heartify.manifest.in     what we render
    heartify.manifest        the same after gramine-manifest checked it against Gramine's schema
    heartify.manifest.sgx    what the signing tool measured; it is published beside the app release
    heartify.sig             SIGSTRUCT

Measuring needs Gramine and no SGX. It must never reuse a folder: what was there before could be what is measured.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from heartify.errors import EnclaveError, InputError, UsageError
from heartify.protocol.size_class import SizeClass
from heartify.tee.gramine.installation import run_tool
from heartify.tee.gramine.manifest import ISV_PROD_ID, GramineManifest, LibOs, security_version
from heartify.tee.gramine.manifest_check import check_manifest, check_same_manifest
from heartify.tee.gramine.signing_key import check_signing_key, make_signing_key
from heartify.tee.gramine.sigstruct import SIGSTRUCT_BYTES, Sigstruct, parse_sigstruct
from heartify.tee.gramine.trusted_files import IMAGE_FOLDER, TrustedFile, list_trusted_files, parse_trusted_files
from heartify.tee.image import EnclaveImage
from heartify.tee.image_copy import copy_image

NAME = "heartify"
RENDERED, CHECKED, SIGNED, SIGSTRUCT = (f"{NAME}.{end}" for end in ("manifest.in", "manifest", "manifest.sgx", "sig"))
MANIFEST_LIMIT_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What a build is made of beside the image; all of it is measured."""

    size_class: SizeClass
    app_version: str
    edmm: bool = True


@dataclass(frozen=True, slots=True)
class SignedBuild:
    """A folder with a signed enclave: its SIGSTRUCT, and the files that the signed manifest trusts."""

    folder: Path
    sigstruct: Sigstruct
    trusted_files: tuple[TrustedFile, ...]


def stage_build(image: EnclaveImage, folder: Path, libos: LibOs, options: BuildOptions) -> GramineManifest:
    """Copy an image that was adapted to Gramine into a new folder, and write its manifest beside it.

    Raises:
        InputError: the folder exists.
        EnclaveError: a file can't be read.
        UsageError: the app version is no release's.
    """
    security_version(options.app_version)
    try:
        folder.mkdir(parents=True)
    except FileExistsError as exc:
        raise InputError(f"build folder {folder.name} exists already", hint="name a new one, or delete it") from exc
    copy = copy_image(image, folder / IMAGE_FOLDER)
    manifest = GramineManifest(
        image=copy.image,
        trusted_files=list_trusted_files(copy.image),
        libos=libos,
        size_class=options.size_class,
        app_version=options.app_version,
        edmm=options.edmm,
    )
    (folder / RENDERED).write_text(manifest.render(), encoding="utf-8")
    return manifest


def sign_build(folder: Path, key_file: Path) -> SignedBuild:
    """Have a staged build signed, and check that what was signed is what was staged.

    Raises:
        InputError, KeystoreError: the key file is not the owner's alone, or no key for SGX.
        UsageError: Gramine's tools aren't on PATH, or the folder holds no staged build.
        EnclaveError: a tool failed, or the result isn't the enclave that was staged.
        IntegrityError: the signature doesn't hold.
    """
    check_signing_key(key_file)
    if not (folder / RENDERED).is_file():
        raise UsageError(f"{folder.name} holds no staged build", hint="heartify enclave gramine-manifest makes one")
    run_tool("gramine-manifest", [RENDERED, CHECKED], folder)
    arguments = ["--manifest", CHECKED, "--output", SIGNED, "--sigfile", SIGSTRUCT, "--key", str(key_file.resolve())]
    run_tool("gramine-sgx-sign", ["--quiet", *arguments], folder)
    rendered = read_manifest(folder / RENDERED)
    check_same_manifest(rendered, read_manifest(folder / SIGNED))
    return read_signed_build(folder)


def read_signed_build(folder: Path) -> SignedBuild:
    """Read a signed build.

    Raises:
        InputError: a part of it can't be read.
        EnclaveError, IntegrityError: it isn't a production enclave of this app, or its signature doesn't hold.
    """
    manifest = read_manifest(folder / SIGNED)
    check_manifest(manifest)
    try:
        with (folder / SIGSTRUCT).open("rb") as file:
            sigstruct = parse_sigstruct(file.read(SIGSTRUCT_BYTES + 1))
    except OSError as exc:
        raise InputError(f"{SIGSTRUCT} can't be read", hint="heartify enclave gramine-sign makes it") from exc
    if sigstruct.isv_prod_id != ISV_PROD_ID:
        raise EnclaveError(f"the enclave is product {sigstruct.isv_prod_id:#06x}, expected {ISV_PROD_ID:#06x}")
    return SignedBuild(folder, sigstruct, parse_trusted_files(manifest))


def measure_build(image: EnclaveImage, libos: LibOs, options: BuildOptions) -> SignedBuild:
    """Build in a temporary folder under a throw-away key, to learn MRENCLAVE, which doesn't depend on the key.

    The folder of the returned build is gone. Raises what `stage_build` and `sign_build` raise.
    """
    with tempfile.TemporaryDirectory(prefix="heartify-gramine-") as name:
        folder = Path(name) / "build"
        key_file = Path(name) / "throw-away-key.pem"
        stage_build(image, folder, libos, options)
        make_signing_key(key_file)
        return sign_build(folder, key_file)


def read_manifest(path: Path) -> str:
    """Read a manifest's text. Raises InputError when it can't be read or is larger than any of ours."""
    try:
        if path.stat().st_size > MANIFEST_LIMIT_BYTES:
            raise InputError(f"{path.name} has more than {MANIFEST_LIMIT_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(f"{path.name} can't be read") from exc
