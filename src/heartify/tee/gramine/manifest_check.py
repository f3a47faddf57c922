"""What no manifest of ours may say, checked again on the one that was signed.

Between our rendering and the signature lie Gramine's tools, which add their defaults. This reads the signed manifest
with another parser than the one that wrote it, and refuses whatever would let the host choose code, files, arguments,
environment or debugging. It doesn't prove that a manifest is ours: comparing it with the rendering does.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

from heartify.errors import DocumentError, EnclaveError

# Gramine 1.9, manifest syntax: what each would give to the host.
_NEVER_PRESENT = frozenset(
    {
        "loader.argv_src_file",  # arguments from a file
        "loader.env_src_file",  # environment from a file
        "loader.log_file",  # a file of the host, written from inside
        "sgx.allowed_files",  # files whose content nobody checks
        "sgx.protected_files",
        "sys.allowed_ioctls",
        "sys.debug__mock_syscalls",
    }
)
_ONLY_VALUES: dict[str, tuple[object, ...]] = {
    "sgx.debug": (False,),
    "sgx.enable_stats": (False,),
    "sgx.vtune_profile": (False,),
    "sgx.profile.enable": ("none",),
    "sgx.file_check_policy": ("strict",),
    "sgx.remote_attestation": ("dcap",),
    "loader.log_level": ("none", "error"),
    "sys.disallow_subprocesses": (True,),
    "sys.enable_sigterm_injection": (False,),
    "sys.enable_extra_runtime_domain_names_conf": (False,),
    "fs.root.type": ("tmpfs",),
}
_ALWAYS_PRESENT = (
    "sgx.debug",
    "sgx.file_check_policy",
    "sgx.remote_attestation",
    "sgx.trusted_files",
    "fs.root.type",
    "loader.argv",
)
_MOUNT_KEYS = {"path", "uri"}


def check_manifest(text: str) -> None:
    """Check a manifest, signed or not.

    Raises:
        DocumentError: not TOML.
        EnclaveError: it gives the host a choice that no manifest of ours gives; the message names the key.
    """
    entries = dict(_flatten(_parse(text)))
    for key in _ALWAYS_PRESENT:
        if key not in entries:
            raise EnclaveError(f"manifest: {key} is missing")
    for key, value in entries.items():
        if key in _NEVER_PRESENT or "insecure" in key or "passthrough" in key:
            raise EnclaveError(f"manifest: {key} lets the host choose what runs inside")
        if key in _ONLY_VALUES and value not in _ONLY_VALUES[key]:
            raise EnclaveError(f"manifest: {key} is {value!r}, expected {' or '.join(map(repr, _ONLY_VALUES[key]))}")
    for mount in entries.get("fs.mounts", ()):
        if set(mount) - _MOUNT_KEYS and mount.get("type") != "chroot":
            raise EnclaveError(f"manifest: the mount of {str(mount.get('path'))[:80]!r} is of another kind than ours")


def check_same_manifest(rendered: str, signed: str) -> None:
    """Check that a signed manifest says all that was rendered; more it may say as far as `check_manifest` lets it.

    Raises:
        DocumentError: one of them is not TOML.
        EnclaveError: a key is gone or has another value.
    """
    after = dict(_flatten(_parse(signed)))
    for key, value in _flatten(_parse(rendered)):
        found = _files(after.get(key)) if key == "sgx.trusted_files" else after.get(key)
        expected = _files(value) if key == "sgx.trusted_files" else value
        if found != expected:
            raise EnclaveError(f"manifest: signing changed {key}", hint="is this Gramine 1.9?")


def _files(entries: Any) -> list[tuple[str, str]]:
    return sorted((entry["uri"], entry["sha256"]) for entry in entries or ())


def _parse(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise DocumentError("the manifest is not TOML") from exc


def _flatten(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
