"""A token of SoftHSM of our own, for the tests of a key-encryption key in a hardware security module."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from heartify.broker.kek.pkcs11_kek import TokenPlace

PIN = "hunter2-token"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


@dataclasses.dataclass(frozen=True)
class Token:
    """Tokens in a folder of their own, and how to reach them."""

    module: str
    pin: str

    def place(self, key_label: str, label: str = "hospital") -> TokenPlace:
        return TokenPlace(self.module, label, None, key_label)


@pytest.fixture(scope="session")
def token(tmp_path_factory) -> Token:
    """SoftHSM reads its configuration once in a process, so all tests share its tokens."""
    pytest.importorskip("pkcs11", reason="python-pkcs11 is not installed: it comes with the extra pkcs11")
    program, module = shutil.which("softhsm2-util"), next((one for one in MODULES if Path(one).exists()), None)
    if program is None or module is None:
        pytest.skip("SoftHSM is not installed (Debian: softhsm2)")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    for label in ("hospital", "spare", "twin", "twin"):
        subprocess.run(
            [program, "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "so-hunter2"],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )
    return Token(module, PIN)
