"""Gramine as far as it can be played without it: its tools' files and arguments, and what its loader checks.

`gramine-manifest` adds defaults, `gramine-sgx-sign` signs a real SIGSTRUCT (of a made-up MRENCLAVE: a hash over the
manifest and its own "libpal"), `gramine-sgx` refuses what the processor and Gramine refuse, then runs the manifest's
own program with the manifest's own arguments, environment and files, and quotes with a simulated quoting enclave.
Nothing is isolated. Run as a script whose name is the program's, in `bin` of a made-up installation.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fake_attestation import FakeAttestation
from sigstruct_maker import make_sigstruct

DEFAULTS = {
    "enable_stats": False,
    "use_exinfo": False,
    "cpu_features": {"avx": "unspecified", "avx512": "unspecified", "mpx": "disabled", "pkru": "disabled"},
}


def run(program: str, prefix: Path, arguments: list[str]) -> int:
    """Run one of the programs, as its script does."""
    with (prefix / "calls.txt").open("a") as calls:
        calls.write(json.dumps([program, *arguments, sorted(os.environ)]) + "\n")
    if program == "gramine-manifest":
        return render(Path(arguments[0]), Path(arguments[1]))
    if program == "gramine-sgx-sign":
        return sign(prefix, arguments)
    return start(program, prefix, arguments[0])


def render(template: Path, manifest: Path) -> int:
    table = tomllib.loads(template.read_text())
    table["sgx"] = _merged(DEFAULTS, table["sgx"])
    manifest.write_text(dump_toml(table))
    return 0


def sign(prefix: Path, arguments: list[str]) -> int:
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    table = tomllib.loads(Path(options["--manifest"]).read_text())
    signed = dump_toml(table)
    if (prefix / "insecure-signer").exists():
        signed = signed.replace('"strict"', '"allow_all_but_log"')
    Path(options["--output"]).write_text(signed)
    key = load_pem_private_key(Path(options["--key"]).read_bytes(), None)
    flags = 0x06 if table["sgx"]["debug"] else 0x04
    product, version = table["sgx"]["isvprodid"], table["sgx"]["isvsvn"]
    sigstruct = make_sigstruct(key, mr_enclave(prefix, signed), flags=flags, isvprodid=product, isvsvn=version)
    Path(options["--sigfile"]).write_bytes(sigstruct)
    return 0


def mr_enclave(prefix: Path, signed_manifest: str) -> bytes:
    libpal = (prefix / "lib/x86_64-linux-gnu/gramine/sgx/libpal.so").read_bytes()
    return hashlib.sha256(libpal + signed_manifest.encode()).digest()


def start(program: str, prefix: Path, name: str) -> int:
    text = Path(f"{name}.manifest.sgx" if program == "gramine-sgx" else f"{name}.manifest").read_text()
    manifest = tomllib.loads(text)
    measurement = bytes(32)
    if program == "gramine-sgx":
        measurement = Path(f"{name}.sig").read_bytes()[960:992]
        if measurement != mr_enclave(prefix, text):
            return _say("EINIT: the enclave is not what was signed")
        for file in manifest["sgx"]["trusted_files"]:
            content = Path(file["uri"].removeprefix("file:")).read_bytes()
            if hashlib.sha256(content).hexdigest() != file["sha256"]:
                return _say(f"trusted file {file['uri']} has another hash")
    with tempfile.TemporaryDirectory() as folder:
        device = _attestation(program, prefix, Path(folder), measurement)
        return _run_program(manifest, str(device))


def _attestation(program: str, prefix: Path, folder: Path, measurement: bytes) -> Path:
    device = folder / "attestation"
    if program == "gramine-direct":
        (device / "keys").mkdir(parents=True)  # all that it has
        return device
    from heartify.attestation.simulated import SimulatedPlatform

    platform = SimulatedPlatform.load(prefix / "platform")
    fake = FakeAttestation(device, lambda data: platform.quote(measurement, data))
    fake.start()
    return device


def _run_program(manifest: dict[str, Any], device: str) -> int:
    """Run what the manifest says, its mounts resolved to host paths, and /dev/attestation to the fake one."""
    mounts = {
        mount["path"]: str(Path(mount["uri"].removeprefix("file:")).resolve()) for mount in manifest["fs"]["mounts"]
    }
    mounts["/dev/attestation"] = device

    def outside(path: str) -> str:
        for inside, host in mounts.items():
            if path == inside or path.startswith(inside + "/"):
                return host + path[len(inside) :]
        return path

    arguments = [outside(argument) for argument in manifest["loader"]["argv"]]
    environment = {name: outside(value) for name, value in manifest["loader"]["env"].items()}
    child = subprocess.Popen(arguments, executable=outside(manifest["libos"]["entrypoint"]), env=environment)
    while child.poll() is None:
        time.sleep(0.01)
    return child.returncode


def dump_toml(table: dict[str, Any], prefix: str = "") -> str:
    """Write TOML in tables, which is another form than ours."""
    lines = [f"{key} = {_value(value)}\n" for key, value in table.items() if not isinstance(value, dict)]
    text = (f"[{prefix}]\n" if prefix else "") + "".join(lines)
    for key, value in table.items():
        if isinstance(value, dict):
            text += "\n" + dump_toml(value, f"{prefix}.{key}" if prefix else key)
    return text


def _value(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def _merged(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    both = {**defaults, **given}
    for key, value in defaults.items():
        if isinstance(value, dict) and isinstance(given.get(key), dict):
            both[key] = {**value, **given[key]}
    return both


def _say(text: str) -> int:
    sys.stderr.write(text + "\n")
    return 1
