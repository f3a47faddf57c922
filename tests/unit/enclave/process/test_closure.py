"""What is measured is what runs need: the committed list, its budgets, and every analysis in a process of the image."""

from __future__ import annotations

import re

import pytest

from heartify.enclave.analyses import ANALYSES
from heartify.protocol.outcomes import Outcome
from heartify.protocol.result import parse_result, result_info
from heartify.tee.image import FileRole
from heartify.tee.image_contents import build_enclave_image
from tools import enclave_closure

# Upper limits with a little room for an update of a library; raise one on purpose or not at all.
MOST_OWN_FILES = 305
MOST_THIRD_PARTY_MODULES = 350
MOST_NATIVE_FILES = 100
MOST_BYTES = 126_000_000  # without the interpreter's own libraries, which differ from machine to machine
MOST_UNUSED_BYTES = 2_500_000

FORBIDDEN = [
    "_ssl",
    "asyncio",
    "charset_normalizer",
    "cffi",
    "doctest",
    "email",
    "ensurepip",
    "ftplib",
    "http",
    "imaplib",
    "importlib.metadata",
    "multiprocessing",
    "numpy.f2py",
    "numpy.testing",
    "pdb",
    "pip",
    "poplib",
    "pyarrow",
    "pytest",
    "sched",
    "smtplib",
    "socketserver",
    "sqlite3",
    "ssl",
    "telnetlib",
    "unittest",
    "urllib.error",
    "urllib.request",
    "urllib.response",
    "venv",
    "webbrowser",
    "wsgiref",
    "xml",
    "xmlrpc",
]
# Loaded, though an enclave has no use for them; the page says what brings each.
UNAVOIDABLE = {"socket", "selectors", "subprocess", "tempfile", "shutil", "urllib.parse", "ipaddress", "pydoc",
               "logging", "pickle", "_compat_pickle", "ctypes"}  # fmt: skip


@pytest.fixture(scope="module")
def image():
    return build_enclave_image()


@pytest.fixture(scope="module")
def loaded(finished):
    """Module → file below the image, over the runs of all plans."""
    return {name: file for run in finished.values() for name, file in run.report["files"].items()}


def test_committed_page_lists_what_an_image_holds():
    page = enclave_closure.PAGE.read_text(encoding="utf-8")

    assert list(enclave_closure._differences(page, enclave_closure.make_page())) == [], (
        "what an enclave is made of has changed: read the difference, then run python -m tools.enclave_closure"
    )


def test_image_keeps_its_budgets(image):
    own = enclave_closure.own_modules(image)
    third_party = enclave_closure.third_party_modules(image)
    native = [file for file in image.files if re.search(r"\.so(\.|$)", file.path)]
    size = sum(file.source.stat().st_size for file in image.files if file.role is not FileRole.SYSTEM)

    assert len(own) <= MOST_OWN_FILES
    assert sum(map(len, third_party.values())) <= MOST_THIRD_PARTY_MODULES
    assert len(native) <= MOST_NATIVE_FILES
    assert size <= MOST_BYTES


def test_every_analysis_is_delivered_by_a_process_of_the_image(finished, worlds):
    done = set()
    for name, run in finished.items():
        world = worlds[name]
        assert run.done["settlement"]["outcome"] == str(int(Outcome.DELIVERED)), name
        result = parse_result(world.lab_key.open(run.sealed, result_info(world.deal_id)))
        skipped = {item.analysis for item in result.skipped}
        done |= {analysis.name for analysis in ANALYSES if analysis.is_requested(world.plan)} - skipped

    assert done == {analysis.name for analysis in ANALYSES}


def test_processes_end_well_and_print_not_one_byte(finished):
    assert {(run.exit_status, run.output) for run in finished.values()} == {(0, b"")}


def test_every_loaded_module_is_a_file_of_the_image_or_built_in(loaded, image):
    files = {f"{file.role.value}/{file.path}" for file in image.files} | {"app/process_probe.py"}

    assert {file for file in loaded.values() if file} - files == set()


def test_nothing_that_speaks_to_a_network_or_starts_programs_is_loaded_but_what_the_page_gives_reasons_for(loaded):
    found = {name for name in loaded if any(name == bad or name.startswith(f"{bad}.") for bad in FORBIDDEN)}
    page = enclave_closure.PAGE.read_text(encoding="utf-8")

    assert found == set()
    for name in UNAVOIDABLE:
        assert f"`{name}`" in page
        assert name in loaded, f"{name} isn't loaded any more: take it off the page and out of the image"


def test_every_module_of_our_own_is_loaded_by_some_run(loaded, image):
    """But the quoters of other TEEs, of which a process needs one."""
    own = enclave_closure.own_modules(image)
    others = {name for name in own if name.startswith("heartify.enclave.quoting.")}

    assert own - others - set(loaded) - {"bootstrap", "landlock"} == set()


def test_little_of_the_image_is_there_for_nothing(loaded, image):
    used = set(loaded.values())
    needed_by_the_start = {FileRole.SYSTEM, FileRole.INTERPRETER, FileRole.BOOTSTRAP}
    unused = [
        file
        for file in image.files
        if f"{file.role.value}/{file.path}" not in used
        and file.role not in needed_by_the_start
        and ".libs/" not in file.path
    ]

    assert sum(file.source.stat().st_size for file in unused) <= MOST_UNUSED_BYTES
