"""One measured copy of an enclave image with the probe program, launched under every isolation that works here."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from heartify.attestation.simulated import SimulatedPlatform
from heartify.tee.image_contents import build_enclave_image
from heartify.tee.simulated.launcher import SimulatedLauncher
from heartify.tee.simulated.quoting import QuotingService
from heartify.tee.simulated.sandbox import can_bubblewrap, needs_user_namespace

# Name of a case: sandbox, user namespace. Root has both ways into the sandbox, everybody else one.
CASES = {
    "bubblewrap-user-namespace": ("bubblewrap", True),
    "bubblewrap-own-user": ("bubblewrap", False),
    "unsafe-plain-process": ("unsafe-plain-process", None),
}


@pytest.fixture(scope="session")
def probe_image():
    program = Path(__file__).with_name("probe_enclave.py")
    # The probe needs little; a small image keeps every launch short. One test launches the full image.
    return build_enclave_image(
        entry="probe_enclave:main", extra_app_files={"probe_enclave.py": program}, distributions=["msgspec"]
    )


@pytest.fixture(scope="session")
def platform():
    return SimulatedPlatform.create(int(time.time()))


@pytest.fixture(scope="session")
def quoting(platform, tmp_path_factory):
    """The quoting service that holds the keys of `platform`, as a process of its own."""
    folder = tmp_path_factory.mktemp("home") / "platform"
    platform.store(folder)
    with QuotingService(folder) as service:
        yield service


@pytest.fixture(scope="session")
def image_store(tmp_path_factory):
    return tmp_path_factory.mktemp("enclave-images")


def open_launcher(case, quoting, probe_image, image_store, **options):
    sandbox, user_namespace = CASES[case]
    if sandbox == "bubblewrap" and not can_bubblewrap():
        pytest.skip("bubblewrap is not installed, or may not make namespaces for this user")
    if user_namespace is False and needs_user_namespace():
        pytest.skip("a user of its own for the enclave needs root")
    return options.pop("launcher_class", SimulatedLauncher)(
        quoting,
        sandbox=sandbox,
        user_namespace=user_namespace,
        **{"image": probe_image, "store": image_store} | options,
    )


@pytest.fixture(scope="session", params=list(CASES))
def launcher(request, quoting, probe_image, image_store):
    with open_launcher(request.param, quoting, probe_image, image_store) as launcher:
        yield launcher


@pytest.fixture(scope="session", params=[case for case in CASES if case.startswith("bubblewrap")])
def sandbox_launcher(request, quoting, probe_image, image_store):
    with open_launcher(request.param, quoting, probe_image, image_store) as launcher:
        yield launcher


@pytest.fixture(params=list(CASES))
def limited_launcher(request, quoting, probe_image, image_store):
    """Return a function that opens a launcher with limits; the launchers are closed at the end."""
    opened = []

    def open_with(limits):
        opened.append(open_launcher(request.param, quoting, probe_image, image_store, limits=limits))
        return opened[-1]

    yield open_with
    for one in opened:
        one.close()


@pytest.fixture(params=list(CASES))
def open_case(request, quoting, probe_image, image_store):
    """Return a function that opens a launcher of each case with other options; the launchers are closed at the end."""
    opened = []

    def open_with(**options):
        opened.append(
            open_launcher(request.param, options.pop("quoting", quoting), probe_image, image_store, **options)
        )
        return opened[-1]

    open_with.case = request.param
    yield open_with
    for one in opened:
        one.close()


@pytest.fixture(scope="session")
def process_of():
    """Return a function that gives the folder in /proc of the process that runs an enclave, the last of its line."""

    def find(enclave):
        process_id = enclave._process.pid
        while children := Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split():
            process_id = int(children[-1])
        return Path(f"/proc/{process_id}")

    return find
