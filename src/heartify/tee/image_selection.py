"""What an enclave image takes of the standard library and of each distribution: an allow-list, reviewed line by line.

A security decision, hence by name: what isn't listed isn't in the image and can't be imported inside. The lists hold
for Python 3.11 to 3.13; a name that a version doesn't have is passed over. tests/unit/enclave/test_closure.py starts
the real enclave from such an image and runs every kind of analysis, so a name that is missing fails there.
It must never list a module that speaks a network protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath

STANDARD_LIBRARY_MODULES = frozenset(
    [
        "__future__",
        "_collections_abc",
        "_colorize",
        "_compat_pickle",
        "_compression",
        "_opcode_metadata",
        "_pyrepl",
        "_pyrepl.pager",
        "_weakrefset",
        "abc",
        "ast",
        "base64",
        "bisect",
        "bz2",
        "codecs",
        "collections",
        "collections.abc",
        "concurrent",
        "concurrent.futures",
        "concurrent.futures._base",
        "concurrent.futures.thread",
        "contextlib",
        "contextvars",
        "copy",
        "copyreg",
        "ctypes",
        "ctypes._endian",
        "ctypes.util",
        "dataclasses",
        "datetime",
        "decimal",
        "dis",
        "encodings",
        "encodings.aliases",
        "encodings.ascii",
        "encodings.latin_1",
        "encodings.utf_16_be",
        "encodings.utf_8",
        "enum",
        "fnmatch",
        "fractions",
        "functools",
        "genericpath",
        "hashlib",
        "heapq",
        "hmac",
        "importlib",
        "importlib._abc",
        "importlib._bootstrap",
        "importlib._bootstrap_external",
        "importlib.abc",
        "importlib.machinery",
        "importlib.util",
        "inspect",
        "io",
        "ipaddress",
        "json",
        "json.decoder",
        "json.encoder",
        "json.scanner",
        "keyword",
        "linecache",
        "locale",
        "logging",
        "lzma",
        "numbers",
        "opcode",
        "operator",
        "os",
        "pickle",
        "pkgutil",
        "platform",
        "posixpath",
        "pydoc",
        "queue",
        "random",
        "re",
        "re._casefix",
        "re._compiler",
        "re._constants",
        "re._parser",
        "reprlib",
        "secrets",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "stat",
        "string",
        "struct",
        "subprocess",
        "sysconfig",
        "tempfile",
        "textwrap",
        "threading",
        "token",
        "tokenize",
        "tomllib",
        "tomllib._parser",
        "tomllib._re",
        "tomllib._types",
        "traceback",
        "types",
        "typing",
        "urllib",
        "urllib.parse",
        "uuid",
        "warnings",
        "weakref",
        "zipimport",
    ]
)
"""Modules in Python, by full name."""

STANDARD_LIBRARY_EXTENSIONS = frozenset(
    [
        "_bisect",
        "_blake2",
        "_bz2",
        "_contextvars",
        "_ctypes",
        "_datetime",
        "_decimal",
        "_hashlib",
        "_heapq",
        "_json",
        "_lzma",
        "_md5",
        "_opcode",
        "_pickle",
        "_posixsubprocess",
        "_queue",
        "_random",
        "_sha1",
        "_sha2",
        "_sha256",
        "_sha3",
        "_sha512",
        "_socket",
        "_struct",
        "_typing",
        "_uuid",
        "array",
        "binascii",
        "fcntl",
        "math",
        "mmap",
        "resource",
        "select",
        "zlib",
    ]
)
"""Extension modules of lib-dynload. An interpreter that has one built in brings it without a file."""

# Paths of a machine's build in Python syntax, read by scipy through sysconfig; its name holds the platform.
_BUILD_FACTS = "_sysconfigdata_"

DISTRIBUTION_FILES: Mapping[str, tuple[str, ...]] = {
    # coincurve brings a copy of its own; cryptography loads this one. The package cffi, a C parser, isn't needed.
    "cffi": ("_cffi_backend.*",),
    "coincurve": ("coincurve/*",),
    "cryptography": (
        "cryptography/__about__.py",
        "cryptography/__init__.py",
        "cryptography/exceptions.py",
        "cryptography/utils.py",
        "cryptography/hazmat/*",
        "cryptography/hazmat/backends/",
        "cryptography/hazmat/bindings/",
        "cryptography/hazmat/decrepit/",
        "cryptography/hazmat/primitives/*",
        "cryptography/hazmat/primitives/asymmetric/",
        "cryptography/hazmat/primitives/ciphers/",
        "cryptography/hazmat/primitives/kdf/",
    ),
    "msgspec": ("msgspec/*",),
    "numpy": (
        "numpy/*",
        "numpy/_core/",
        "numpy/_typing/",
        "numpy/_utils/",
        "numpy/char/",
        "numpy/fft/",
        "numpy/lib/",
        "numpy/linalg/",
        "numpy/ma/",
        "numpy/matrixlib/",
        "numpy/random/",
        "numpy/rec/",
        "numpy/strings/",
        "numpy/typing/*",
    ),
    "pycryptodome": (
        "Crypto/__init__.py",
        "Crypto/Hash/__init__.py",
        "Crypto/Hash/keccak.py",
        "Crypto/Hash/_keccak.*",
        "Crypto/Util/__init__.py",
        "Crypto/Util/_file_system.py",
        "Crypto/Util/_raw_api.py",
        "Crypto/Util/py3compat.py",
    ),
    "rfc8785": ("rfc8785/*",),
    "scipy": ("scipy/*", "scipy/_lib/", "scipy/linalg/", "scipy/special/"),
}
"""Files of each distribution: a pattern for files of one folder, or a folder with a slash behind it for all below."""

_FOLDERS_NEVER_NEEDED = frozenset(
    {
        "__pycache__",
        "_examples",
        "_precompute",
        "_uarray",
        "cobyqa",
        "cupy",
        "dask",
        "include",
        "pkgconfig",
        "pyprima",
        "tests",
        "torch",
    }
)
_SUFFIXES_NEVER_NEEDED = frozenset(
    {".pyc", ".pyi", ".pyx", ".pxd", ".h", ".hpp", ".c", ".cc", ".cpp", ".a", ".f90", ".typed", ".md", ".rst", ".ini"}
)
# Inside folders that are taken whole: what only tests and other packages of the same distribution load.
_NAMES_NEVER_NEEDED = (
    "_decomp_interpolative.*",
    "_fpumode.*",
    "_multiarray_tests.*",
    "_operand_flag_tests.*",
    "_rational_tests.*",
    "_simd.*",
    "_struct_ufunc_tests.*",
    "_test_*",
    "_umath_tests.*",
    "_uarray.*",
    "LICENSE",
    "_mptestutils.py",
    "conftest.py",
    "cython_special.*",
    "interpolative.py",
    "lapack_lite.*",
    "messagestream.*",
    "mrecords.py",
    "mypy_plugin.py",
    "testutils.py",
    "uarray.py",
)


def is_wanted_of_standard_library(path: PurePosixPath) -> bool:
    """Tell whether an image takes this file of the standard library; `path` is relative to its folder."""
    if path.parts[0] == "lib-dynload":
        return len(path.parts) == 2 and path.name.partition(".")[0] in STANDARD_LIBRARY_EXTENSIONS
    if path.suffix != ".py":
        return False
    if len(path.parts) == 1 and path.name.startswith(_BUILD_FACTS):
        return True
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__") in STANDARD_LIBRARY_MODULES


def is_wanted_of_distribution(distribution: str, path: PurePosixPath) -> bool:
    """Tell whether an image takes this file of a distribution; `path` is relative to site-packages.

    A distribution without a list, such as one that only a test needs, gives all that isn't obviously useless.
    Libraries that a wheel brings along (`numpy.libs`) aren't decided here: they come with whatever needs them.
    """
    if path.suffix in _SUFFIXES_NEVER_NEEDED or not _FOLDERS_NEVER_NEEDED.isdisjoint(path.parts[:-1]):
        return False
    if path.parts[0].endswith(".dist-info") or any(PurePosixPath(path.name).match(p) for p in _NAMES_NEVER_NEEDED):
        return False
    patterns = DISTRIBUTION_FILES.get(distribution)
    return patterns is None or any(_matches(path, pattern) for pattern in patterns)


def _matches(path: PurePosixPath, pattern: str) -> bool:
    if pattern.endswith("/"):
        return str(path).startswith(pattern)
    # `match` compares from the right, hence the depth.
    return len(path.parts) == len(PurePosixPath(pattern).parts) and path.match(pattern)
