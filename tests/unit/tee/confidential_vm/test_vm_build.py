"""A registered guest: what its document must say, and that a changed file is noticed."""

from __future__ import annotations

import json

import pytest

from heartify.errors import EnclaveError, HeartifyError, InputError
from heartify.protocol.evidence import TeeKind
from heartify.tee.confidential_vm.build import FILES, read_build, register_build

MEASUREMENT = bytes(range(48))


@pytest.fixture
def folder(tmp_path):
    for name in FILES:
        (tmp_path / name).write_text(name)
    register_build(tmp_path, tee_kind=TeeKind.TDX, memory_mib=4096, cpus=2, measurement=MEASUREMENT)
    return tmp_path


def test_registered_guest_is_read_again(folder):
    build = read_build(folder)

    assert (build.tee_kind, build.memory_bytes, build.cpus) == (TeeKind.TDX, 4 * 2**30, 2)
    assert build.measurement == MEASUREMENT
    assert build.path_of("kernel").read_text() == "kernel"


@pytest.mark.parametrize("name", FILES)
def test_changed_file_is_refused(folder, name):
    (folder / name).write_text("other")

    with pytest.raises(EnclaveError, match=f"{name} in .* is not the file"):
        read_build(folder)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_refused(folder, name):
    (folder / name).unlink()

    with pytest.raises(InputError, match=f"{name} can't be read"):
        read_build(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "heartify.confidential-vm/2"},
        {"tee_kind": "sgx"},
        {"tee_kind": "simulated-tdx"},
        {"tee_kind": "other"},
        {"memory_mib": 512},
        {"cpus": 0},
        {"cpus": 256},
        {"measurement": "00" * 48},
        {"measurement": "01" * 32},
        {"files": {}},
        {"files": dict.fromkeys(FILES, "00")},
        {"more": 1},
    ],
)
def test_document_that_says_something_else_is_refused(folder, changes):
    document = json.loads((folder / "guest.json").read_text())
    (folder / "guest.json").write_text(json.dumps({**document, **changes}))

    with pytest.raises(HeartifyError):
        read_build(folder)


def test_folder_without_a_document_is_no_guest(tmp_path):
    with pytest.raises(InputError, match="holds no registered guest"):
        read_build(tmp_path)


def test_simulated_kind_can_not_be_registered(folder):
    with pytest.raises(InputError, match="not a guest of TDX or SEV-SNP"):
        register_build(folder, tee_kind=TeeKind.SIMULATED_TDX, memory_mib=4096, cpus=2, measurement=MEASUREMENT)
