"""A made-up Gramine installation on PATH, small images, and builds that it signed."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest

from heartify.attestation.simulated import SimulatedPlatform
from heartify.protocol.size_class import size_class
from heartify.tee.gramine.build import BuildOptions, sign_build, stage_build
from heartify.tee.gramine.image import adapt_image_to_gramine, is_glibc
from heartify.tee.gramine.installation import GramineInstallation
from heartify.tee.gramine.signing_key import make_signing_key
from heartify.tee.image import EnclaveImage, FileRole, ImageFile
from heartify.tee.image_contents import build_enclave_image

HERE = Path(__file__).parent
OPTIONS = BuildOptions(size_class=size_class(1), app_version="0.1.0")
PROGRAMS = ("gramine-manifest", "gramine-sgx-sign", "gramine-sgx", "gramine-direct")
PROBE_DISTRIBUTIONS = ("cffi", "coincurve", "cryptography", "msgspec", "numpy", "pycryptodome", "rfc8785")
SCRIPT = """#!{python}
import sys
from pathlib import Path

sys.path.insert(0, {here!r})
import fake_gramine

sys.exit(fake_gramine.run({program!r}, Path(__file__).resolve().parent.parent, sys.argv[1:]))
"""


@pytest.fixture(scope="session")
def plain_image():
    """The image of the probe program, as the simulated TEE would run it."""
    return build_enclave_image(
        entry="gramine_probe:probe",
        extra_app_files={"gramine_probe.py": HERE / "gramine_probe.py"},
        distributions=PROBE_DISTRIBUTIONS,
    )


@pytest.fixture(scope="session")
def platform():
    return SimulatedPlatform.create(int(time.time()))


@pytest.fixture(scope="session")
def prefix(tmp_path_factory, plain_image, platform):
    """A made-up installation: programs in bin, libraries in lib, a simulated quoting enclave."""
    prefix = tmp_path_factory.mktemp("gramine-prefix")
    library = prefix / "lib" / "x86_64-linux-gnu" / "gramine"
    (library / "runtime" / "glibc").mkdir(parents=True)
    (library / "sgx").mkdir()
    (library / "libsysdb.so").write_bytes(b"library OS")
    (library / "sgx" / "libpal.so").write_bytes(b"platform adaptation layer")
    for file in plain_image.files:
        if file.role is FileRole.SYSTEM and is_glibc(file.path):
            shutil.copy(file.source, library / "runtime" / "glibc" / file.path)
    (prefix / "bin").mkdir()
    for program in PROGRAMS:
        script = prefix / "bin" / program
        script.write_text(SCRIPT.format(python=sys.executable, here=str(HERE), program=program))
        script.chmod(0o755)
    platform.store(prefix / "platform")
    return prefix


@pytest.fixture
def on_path(monkeypatch, prefix):
    """Put the made-up installation on PATH, before any other."""
    monkeypatch.setenv("PATH", f"{prefix / 'bin'}:/usr/bin:/bin")
    return prefix


@pytest.fixture
def installation(on_path):
    return GramineInstallation.find()


@pytest.fixture
def image(tmp_path, installation):
    """A small image, which is built in no time and can't run."""
    contents = {
        (FileRole.APP, "gramine_probe.py"): b"probe",
        (FileRole.INTERPRETER, "python3"): b"python",
        (FileRole.SYSTEM, "libc.so.6"): b"the machine's own",
    }
    files = []
    for (role, path), content in contents.items():
        source = tmp_path / "sources" / role.value / path
        source.parent.mkdir(parents=True)
        source.write_bytes(content)
        files.append(ImageFile(role, path, source))
    plain = EnclaveImage(tuple(files), "unused:main", "3.11.7", "/lib64")
    return adapt_image_to_gramine(plain, installation.runtime_folder)


@pytest.fixture
def options():
    return OPTIONS


@pytest.fixture(scope="session")
def key_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "signing-key.pem"
    make_signing_key(path)
    return path


@pytest.fixture
def staged(tmp_path, image, installation, options):
    folder = tmp_path / "build"
    stage_build(image, folder, installation.libos(), options)
    return folder


@pytest.fixture
def signed(staged, key_file):
    return sign_build(staged, key_file)


@pytest.fixture(scope="session")
def probe_build(tmp_path_factory, plain_image, prefix, key_file):
    """A signed build that runs the probe; no test may change it."""
    folder = tmp_path_factory.mktemp("probe") / "build"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{prefix / 'bin'}:/usr/bin:/bin")
        installation = GramineInstallation.find()
        image = adapt_image_to_gramine(plain_image, installation.runtime_folder, entry="gramine_probe:probe")
        stage_build(image, folder, installation.libos(), OPTIONS)
        return sign_build(folder, key_file)
