"""The registers of a simulated trust domain commit to every byte that is executed, each to its part."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import rfc8785

from heartify.tee.image import EnclaveImage, FileRole, ImageFile
from heartify.tee.simulated.td_registers import SIMULATED_MR_TD, simulated_td_registers

FILES = tuple(ImageFile(role, "x", Path("/nowhere")) for role in sorted(FileRole))
IMAGE = EnclaveImage(FILES, "a:main", "3.11.7", "/lib64")
DIGESTS = [hashlib.sha256(role.value.encode()).digest() for role in sorted(FileRole)]
REGISTERS = ("mrtd", "rtmr0", "rtmr1", "rtmr2")


def changed(image=IMAGE, digests=DIGESTS):
    """Names of the registers that differ from those of the image above."""
    before, after = simulated_td_registers(IMAGE, DIGESTS), simulated_td_registers(image, digests)
    return {name for name, old, new in zip(REGISTERS, before, after, strict=True) if old != new}


def test_registers_follow_the_definition():
    kernel = {FileRole.SYSTEM, FileRole.INTERPRETER, FileRole.BOOTSTRAP}
    files = [
        sorted(
            [file.role.value, file.path, digest.hex()]
            for file, digest in zip(FILES, DIGESTS, strict=True)
            if (file.role in kernel) is part
        )
        for part in (True, False)
    ]
    documents = [
        {
            "register": "rtmr0",
            "entry": "a:main",
            "arguments": list(IMAGE.arguments),
            "environment": dict(IMAGE.environment),
            "debug": False,
            "loader_folder": "/lib64",
            "python_version": "3.11.7",
        },
        {"register": "rtmr1", "files": files[0]},
        {"register": "rtmr2", "files": files[1]},
    ]

    def extended(document):
        return hashlib.sha384(bytes(48) + hashlib.sha384(rfc8785.dumps(document)).digest()).digest()

    assert simulated_td_registers(IMAGE, DIGESTS) == (SIMULATED_MR_TD, *map(extended, documents))
    assert hashlib.sha384(b"Heartify simulated firmware, not Intel").digest() == SIMULATED_MR_TD


@pytest.mark.parametrize("number", range(len(FILES)), ids=[file.role.name for file in FILES])
def test_each_file_is_in_exactly_one_register(number):
    digests = [bytes(32) if i == number else digest for i, digest in enumerate(DIGESTS)]
    kernel = FILES[number].role in {FileRole.SYSTEM, FileRole.INTERPRETER, FileRole.BOOTSTRAP}

    assert changed(digests=digests) == ({"rtmr1"} if kernel else {"rtmr2"})


@pytest.mark.parametrize(
    "change",
    [
        {"entry": "b:main"},
        {"arguments": ("-I",)},
        {"environment": ()},
        {"debug": True},
        {"loader_folder": "/lib"},
        {"python_version": "3.12.0"},
    ],
)
def test_configuration_is_in_its_own_register(change):
    assert changed(replace(IMAGE, **change)) == {"rtmr0"}


def test_order_of_the_files_does_not_matter():
    image = replace(IMAGE, files=tuple(reversed(FILES)))

    assert changed(image, list(reversed(DIGESTS))) == set()


def test_a_digest_too_few_is_an_error():
    with pytest.raises(ValueError, match="zip"):
        simulated_td_registers(IMAGE, DIGESTS[:-1])
