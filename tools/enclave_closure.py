"""Write docs/reference/enclave-closure.md, what an enclave image holds: `python -m tools.enclave_closure [--check]`.

The page lists every module that is measured, so that a new one shows in a review; a test holds it to the image, and
runs every analysis in it. Names are without platform and version, sizes are left out: both differ from machine to
machine, and the measurement itself is the word about bytes.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from heartify.tee.image import EnclaveImage, FileRole, ImageFile
from heartify.tee.image_contents import build_enclave_image
from heartify.tee.image_selection import STANDARD_LIBRARY_EXTENSIONS, STANDARD_LIBRARY_MODULES

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "enclave-closure.md"
_HEAD = """\
# What an enclave is made of

<!-- made by `python -m tools.enclave_closure`; edit src/heartify/tee/image_selection.py, not this page -->

The measurement covers these files, and an enclave can import nothing else.
A change of this page is a change of what hospitals trust: read it as one.
A test starts the enclave from such an image and runs every kind of analysis (`tests/unit/enclave/process`).
It fails when a module is missing, when one is here for nothing, or when one of its budgets is exceeded.

## Modules that sound like more than an enclave needs

None can do harm that the sandbox doesn't stop; each comes with a library and can't be left out.

| module | brought by | used for |
|---|---|---|
| `socket`, `selectors` | our own channel | the one inherited socket; new ones are denied by the system-call filter |
| `subprocess`, `tempfile`, `shutil` | `ctypes.util`, which pycryptodome imports | nothing: the sandbox denies it |
| `urllib.parse`, `ipaddress`, `pydoc` | scipy's tool that writes doc strings | doc strings at import |
| `logging` | `concurrent.futures` | nothing: no logger of ours exists, and no handler is ever set |
| `pickle`, `_compat_pickle` | numpy | nothing: no code of ours loads a pickle |
| `ctypes` | the bootstrap, numpy | system calls that shut doors; locking and wiping memory |

Not in the image: `ssl`, `http`, `asyncio`, `email`, `multiprocessing`, `sqlite3`, `unittest`.
Nothing in it speaks a network protocol.
"""


def make_page() -> str:
    """Return the page of the image that this installation gives."""
    image = build_enclave_image()
    parts = [
        _HEAD,
        _section("Our own modules", sorted(own_modules(image))),
        *(
            _section(f"Modules of {name}", sorted(modules))
            for name, modules in sorted(third_party_modules(image).items())
        ),
        _section("Modules of the standard library", sorted(STANDARD_LIBRARY_MODULES)),
        _section("Extension modules of the standard library", sorted(STANDARD_LIBRARY_EXTENSIONS)),
        _section("Shared libraries that wheels bring", sorted(bundled_libraries(image))),
    ]
    return "\n".join(parts)


def own_modules(image: EnclaveImage) -> set[str]:
    """Return the names of our modules, and of the bootstrap's files."""
    return {_module_name(file) for file in image.files if file.role in {FileRole.APP, FileRole.BOOTSTRAP}}


def third_party_modules(image: EnclaveImage) -> dict[str, set[str]]:
    """Return the module names of each package in site-packages."""
    found: dict[str, set[str]] = {}
    for file in image.files:
        if file.role is FileRole.SITE and not _is_bundled(file):
            name = _module_name(file)
            found.setdefault(name.partition(".")[0], set()).add(name)
    return found


def bundled_libraries(image: EnclaveImage) -> set[str]:
    """Return the names of shared libraries out of wheels, without the hashes that wheels put into them."""
    names = (PurePosixPath(file.path) for file in image.files if _is_bundled(file))
    return {f"{path.parts[0].removesuffix('.libs')}: {re.split(r'[-.]', path.name)[0]}" for path in names}


def _is_bundled(file: ImageFile) -> bool:
    return file.role is FileRole.SITE and PurePosixPath(file.path).parts[0].endswith(".libs")


def _module_name(file: ImageFile) -> str:
    path = PurePosixPath(file.path)
    return ".".join((*path.parts[:-1], path.name.partition(".")[0])).removesuffix(".__init__")


def _section(title: str, names: list[str]) -> str:
    return f"## {title}\n\n{len(names)} in all.\n\n```text\n" + "\n".join(names) + "\n```\n"


def _differences(old: str, new: str) -> Iterator[str]:
    before, after = set(old.splitlines()), set(new.splitlines())
    yield from (f"+ {line}" for line in sorted(after - before))
    yield from (f"- {line}" for line in sorted(before - after))


def main(arguments: list[str]) -> int:
    """Write the page, or with --check say how it differs from what stands there."""
    page = make_page()
    if arguments == ["--check"]:
        differences = list(_differences(PAGE.read_text(encoding="utf-8"), page))
        print("\n".join(differences))  # noqa: T201 - this is a command
        return 1 if differences else 0
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
