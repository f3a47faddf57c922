"""Files of a simulated platform: five private keys, four certificates, one identity, each readable by its owner only.

The keys are not encrypted: they guard nothing but a simulation, and every file name says so.
Loading refuses files that others can read or write, and certificates that don't belong to the keys.
"""

from __future__ import annotations

import os
import stat
from dataclasses import fields
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from heartify.attestation.simulated.pck_extension import SimulatedPlatformIdentity
from heartify.attestation.simulated.pki import SimulatedCertificates, SimulatedKeys
from heartify.errors import InputError, IntegrityError

_IDENTITY_FILE = "simulated-identity.json"
_FILE_LIMIT_BYTES = 65536


class _IdentityDocument(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    ppid_hex: str
    platform_instance_id_hex: str
    fmspc_hex: str
    pce_id_hex: str
    cpu_svn_hex: str
    pce_svn: int
    sgx_type: int


def store_platform(
    folder: Path, keys: SimulatedKeys, certificates: SimulatedCertificates, identity: SimulatedPlatformIdentity
) -> None:
    """Write a platform into a folder, made 0700 if absent. Raises InputError when one of the files exists."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    contents = {
        _key_file(field.name): getattr(keys, field.name).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        for field in fields(keys)
    }
    for field in fields(certificates):
        contents[_certificate_file(field.name)] = getattr(certificates, field.name).public_bytes(Encoding.PEM)
    contents[_IDENTITY_FILE] = msgspec.json.encode(_encode_identity(identity))
    present = [name for name in contents if (folder / name).exists()]
    if present:
        raise InputError(f"{folder} already holds a simulated platform", hint="load it, or choose an empty folder")
    for name, content in contents.items():
        _write_private(folder / name, content)


def load_platform(folder: Path) -> tuple[SimulatedKeys, SimulatedCertificates, SimulatedPlatformIdentity]:
    """Read a platform.

    Raises InputError for absent or unprotected files, IntegrityError for contents that do not fit together.
    """
    key_pems = {field.name: _read_private(folder / _key_file(field.name)) for field in fields(SimulatedKeys)}
    certificate_pems = {
        field.name: _read_private(folder / _certificate_file(field.name)) for field in fields(SimulatedCertificates)
    }
    identity_json = _read_private(folder / _IDENTITY_FILE)
    try:
        keys = SimulatedKeys(**{name: _parse_key(pem) for name, pem in key_pems.items()})
        certificates = SimulatedCertificates(
            **{name: x509.load_pem_x509_certificate(pem) for name, pem in certificate_pems.items()}
        )
        identity = _parse_identity(msgspec.json.decode(identity_json, type=_IdentityDocument))
    except (ValueError, TypeError, msgspec.MsgspecError) as exc:
        raise IntegrityError(f"a file of the simulated platform in {folder} is damaged") from exc
    for field in fields(certificates):
        if getattr(certificates, field.name).public_key() != getattr(keys, field.name).public_key():
            raise IntegrityError(
                f"simulated platform in {folder}: certificate and key {field.name} don't belong together"
            )
    return keys, certificates, identity


def _key_file(name: str) -> str:
    return f"simulated-{name.replace('_', '-')}.key.pem"


def _certificate_file(name: str) -> str:
    return f"simulated-{name.replace('_', '-')}.cert.pem"


def _parse_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TypeError("not a P-256 key")
    return key


def _encode_identity(identity: SimulatedPlatformIdentity) -> _IdentityDocument:
    return _IdentityDocument(
        ppid_hex=identity.ppid.hex(),
        platform_instance_id_hex=identity.platform_instance_id.hex(),
        fmspc_hex=identity.fmspc.hex(),
        pce_id_hex=identity.pce_id.hex(),
        cpu_svn_hex=identity.cpu_svn.hex(),
        pce_svn=identity.pce_svn,
        sgx_type=identity.sgx_type,
    )


def _parse_identity(document: _IdentityDocument) -> SimulatedPlatformIdentity:
    return SimulatedPlatformIdentity(
        ppid=bytes.fromhex(document.ppid_hex),
        platform_instance_id=bytes.fromhex(document.platform_instance_id_hex),
        fmspc=bytes.fromhex(document.fmspc_hex),
        pce_id=bytes.fromhex(document.pce_id_hex),
        cpu_svn=bytes.fromhex(document.cpu_svn_hex),
        pce_svn=document.pce_svn,
        sgx_type=document.sgx_type,
    )


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _read_private(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as exc:
        raise InputError(f"simulated platform: {path} can't be read: {os.strerror(exc.errno or 0)}") from exc
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
            raise InputError(f"simulated platform: {path} is open to other users", hint=f"chmod 600 {path}")
        content = file.read(_FILE_LIMIT_BYTES + 1)
    if len(content) > _FILE_LIMIT_BYTES:
        raise IntegrityError(f"simulated platform: {path} is too large")
    return content
