"""The manifest: what it says, that it says nothing else, and that the same image always gives the same bytes."""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from heartify.errors import DocumentError, EnclaveError, UsageError
from heartify.protocol.size_class import SIZE_CLASSES, size_class
from heartify.tee.gramine.image import adapt_image_to_gramine, is_glibc
from heartify.tee.gramine.manifest import GramineManifest, LibOs, security_version
from heartify.tee.gramine.manifest_check import check_manifest, check_same_manifest
from heartify.tee.gramine.toml_lines import encode_toml_lines
from heartify.tee.gramine.trusted_files import TrustedFile, list_trusted_files, name_differences, parse_trusted_files
from heartify.tee.image import EnclaveImage, FileRole, ImageFile
from heartify.tee.image_contents import build_enclave_image

LIBOS = LibOs(path="/usr/lib/x86_64-linux-gnu/gramine/libsysdb.so", sha256="ab" * 32)
CONTENTS = {
    (FileRole.APP, "heartify/errors.py"): b"errors",
    (FileRole.BOOTSTRAP, "entry.py"): b"entry",
    (FileRole.INTERPRETER, "python3"): b"python",
    (FileRole.SYSTEM, "libc.so.6"): b"libc",
}
GOLDEN = Path(__file__).with_name("golden.manifest")
# The keys of Gramine 1.9: Documentation/manifest-syntax.rst, and the schema that gramine-manifest --check uses.
DOCUMENTED = {
    *(
        "loader.entrypoint.uri",
        "loader.entrypoint.sha256",
        "loader.argv",
        "loader.argv_src_file",
        "loader.env_src_file",
    ),
    *("loader.gid", "loader.uid", "loader.log_file", "loader.log_level", "libos.entrypoint"),
    *("libos.check_invalid_pointers", "fs.root.type", "fs.root.uri", "fs.mounts", "fs.start_dir", "sgx.allowed_files"),
    *("sgx.cpu_features.avx", "sgx.cpu_features.avx512", "sgx.cpu_features.amx", "sgx.cpu_features.mpx"),
    *("sgx.cpu_features.pkru", "sgx.debug", "sgx.edmm_enable", "sgx.enable_stats", "sgx.enclave_size"),
    *("sgx.file_check_policy", "sgx.isvprodid", "sgx.isvsvn", "sgx.max_threads", "sgx.preheat_enclave"),
    *("sgx.remote_attestation", "sgx.trusted_files", "sgx.use_exinfo", "sys.brk.max_size", "sys.disallow_subprocesses"),
    *("sys.enable_extra_runtime_domain_names_conf", "sys.enable_sigterm_injection", "sys.fds.limit", "sys.stack.size"),
}
# Of the real enclave: more files are more code inside, and a longer start.
FILE_BUDGET, BYTES_BUDGET, MANIFEST_BUDGET = 950, 170 << 20, 160 << 10


def image_of(folder: Path, contents: dict[tuple[FileRole, str], bytes] = CONTENTS) -> EnclaveImage:
    """Write files below a folder and return an image of them, in an order of chance."""
    files = []
    for (role, path), content in contents.items():
        source = folder / role.value / path
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(content)
        files.append(ImageFile(role, path, source))
    random.shuffle(files)
    return EnclaveImage(tuple(files), "heartify.enclave.program:run_job", "3.11.7", "/lib64")


def manifest_of(image: EnclaveImage, **changes: object) -> GramineManifest:
    values = {"size_class": size_class(1), "app_version": "0.1.0", "libos": LIBOS, **changes}
    return GramineManifest(image=image, trusted_files=list_trusted_files(image), **values)


def keys_of(table: dict, prefix: str = "") -> set[str]:
    found = set()
    for key, value in table.items():
        found |= keys_of(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
    return found


def file_a(digit: str) -> str:
    return f"{{ uri = 'file:a', sha256 = '{digit * 64}' }}"


@pytest.fixture
def text(tmp_path: Path) -> str:
    return manifest_of(image_of(tmp_path)).render()


def test_a_small_image_renders_to_these_very_bytes(text: str) -> None:
    assert text == GOLDEN.read_text()


def test_two_checkouts_in_two_orders_give_the_same_bytes(tmp_path: Path) -> None:
    texts = {manifest_of(image_of(tmp_path / name)).render() for name in ("one", "other", "third/deep")}

    assert len(texts) == 1


def test_no_path_of_the_building_machine_is_in_it(tmp_path: Path, text: str) -> None:
    assert str(tmp_path) not in text
    assert set(re.findall(r'"file:(/[^"]*)"', text)) == {LIBOS.path}


@pytest.mark.parametrize("change", ["content", "name", "entry", "environment", "argument", "class", "version", "libos"])
def test_whatever_decides_what_runs_changes_it(tmp_path: Path, text: str, change: str) -> None:
    key = (FileRole.APP, "heartify/errors.py")
    renamed = {**CONTENTS, (FileRole.APP, "heartify/error.py"): CONTENTS[key]}
    del renamed[key]
    image = image_of(tmp_path / "other")
    changed = {
        "content": lambda: manifest_of(image_of(tmp_path / "third", {**CONTENTS, key: b"error"})),
        "name": lambda: manifest_of(image_of(tmp_path / "third", renamed)),
        "entry": lambda: manifest_of(replace(image, entry="other:main")),
        "environment": lambda: manifest_of(replace(image, environment=(("OMP_NUM_THREADS", "2"),))),
        "argument": lambda: manifest_of(replace(image, arguments=("-I",))),
        "class": lambda: manifest_of(image, size_class=size_class(2)),
        "version": lambda: manifest_of(image, app_version="0.1.1"),
        "libos": lambda: manifest_of(image, libos=replace(LIBOS, sha256="cd" * 32)),
    }

    assert changed[change]().render() != text


def test_every_key_is_one_that_gramine_documents(text: str) -> None:
    keys = {key for key in keys_of(tomllib.loads(text)) if not key.startswith("loader.env.")}

    assert keys <= DOCUMENTED
    assert len(keys) > 15


def test_no_key_lets_the_host_choose_what_runs(text: str) -> None:
    assert "insecure" not in text
    assert "allowed_files" not in text
    assert "passthrough" not in text
    check_manifest(text)


def test_the_root_is_memory_and_is_mounted_before_everything_else(text: str) -> None:
    table = tomllib.loads(text)

    assert table["fs"]["root"] == {"type": "tmpfs"}
    assert [mount["path"] for mount in table["fs"]["mounts"]] == ["/image", "/lib64"]


@pytest.mark.parametrize("number", [item.number for item in SIZE_CLASSES])
def test_the_enclave_is_a_power_of_two_that_holds_its_size_class(tmp_path: Path, number: int) -> None:
    manifest = manifest_of(image_of(tmp_path), size_class=size_class(number))

    assert manifest.enclave_bytes & (manifest.enclave_bytes - 1) == 0
    assert manifest.enclave_bytes // 2 < size_class(number).max_memory_bytes + 2**30 <= manifest.enclave_bytes
    assert f'sgx.enclave_size = "{manifest.enclave_bytes >> 30}G"' in manifest.render()


def test_memory_on_demand_is_an_option(tmp_path: Path) -> None:
    assert "sgx.edmm_enable = false" in manifest_of(image_of(tmp_path), edmm=False).render()


def test_the_security_version_rises_with_every_release() -> None:
    versions = ["0.1.0", "0.1.1", "0.2.0", "0.63.63", "1.0.0", "15.63.63"]

    numbers = [security_version(version) for version in versions]

    assert numbers == sorted(set(numbers))
    assert numbers[0] == 64
    assert numbers[-1] == 0xFFFF


@pytest.mark.parametrize(
    "version", ["0.1", "0.1.0rc1", "16.0.0", "0.64.0", "0.0.64", "-1.0.0", "0.1.0\n", "00.1.0", "٠.1.0"]
)
def test_a_version_that_is_no_release_has_no_security_version(version: str) -> None:
    with pytest.raises(UsageError, match="security version"):
        security_version(version)


def test_the_trusted_files_are_the_images_files_and_no_more(tmp_path: Path) -> None:
    image = image_of(tmp_path)
    (tmp_path / "app" / "heartify" / "not-in-the-image.py").write_bytes(b"x")

    files = parse_trusted_files(manifest_of(image).render())

    assert [file.uri for file in files] == sorted(f"file:image/{role.value}/{path}" for role, path in CONTENTS)


def test_the_real_enclave_stays_within_its_budget() -> None:
    image = build_enclave_image()
    total = sum(file.source.stat().st_size for file in image.files)
    text = manifest_of(image).render()

    assert 300 < len(image.files) <= FILE_BUDGET
    assert total <= BYTES_BUDGET
    assert len(text) <= MANIFEST_BUDGET
    assert len(parse_trusted_files(text)) == len(image.files)
    check_manifest(text)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("loader.insecure__use_cmdline_argv = true", "insecure__use_cmdline_argv"),
        ("sys.insecure__allow_eventfd = false", "insecure__allow_eventfd"),
        ('fs.insecure__keys.default = "00"', "insecure__keys"),
        ('sgx.allowed_files = ["file:/tmp/"]', "allowed_files"),
        ("loader.env.LD_PRELOAD = { passthrough = true }", "passthrough"),
        ('loader.argv_src_file = "file:argv"', "argv_src_file"),
        ('loader.env_src_file = "file:env"', "env_src_file"),
        ('loader.log_file = "log"', "log_file"),
        ("sgx.enable_stats = true", "enable_stats"),
        ('sgx.profile.enable = "all"', "profile"),
        ("sgx.vtune_profile = true", "vtune_profile"),
        ("sys.enable_sigterm_injection = true", "sigterm"),
        ("sys.enable_extra_runtime_domain_names_conf = true", "domain_names"),
        ('sys.debug__mock_syscalls = [{ name = "getpid" }]', "mock_syscalls"),
    ],
)
def test_a_manifest_that_gives_the_host_a_choice_is_refused(text: str, line: str, named: str) -> None:
    with pytest.raises(EnclaveError, match=named):
        check_manifest(text + line + "\n")


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        ("sgx.debug", "false", "true"),
        ("sgx.file_check_policy", '"strict"', '"allow_all_but_log"'),
        ("sgx.remote_attestation", '"dcap"', '"none"'),
        ("loader.log_level", '"error"', '"trace"'),
        ("sys.disallow_subprocesses", "true", "false"),
        ("fs.root.type", '"tmpfs"', '"chroot"'),
    ],
)
def test_a_weaker_value_is_refused_and_so_is_its_absence(text: str, key: str, before: str, after: str) -> None:
    line = f"{key} = {before}\n"
    assert line in text

    with pytest.raises(EnclaveError, match=key):
        check_manifest(text.replace(line, f"{key} = {after}\n"))
    with pytest.raises(EnclaveError, match=f"signing changed {key}"):
        check_same_manifest(text, text.replace(line, ""))


@pytest.mark.parametrize("key", ["sgx.debug", "sgx.file_check_policy", "sgx.remote_attestation", "fs.root.type"])
def test_a_default_of_gramine_is_not_relied_on(text: str, key: str) -> None:
    with pytest.raises(EnclaveError, match=f"{key} is missing"):
        check_manifest(re.sub(rf"^{key} = .*\n", "", text, flags=re.MULTILINE))


def test_a_mount_of_another_kind_is_refused(text: str) -> None:
    mount = '  { path = "/data", uri = "file:data", type = "encrypted" },\n]\nsgx.debug'

    with pytest.raises(EnclaveError, match="/data"):
        check_manifest(text.replace("]\nsgx.debug", mount))


def test_what_is_no_toml_is_refused() -> None:
    with pytest.raises(DocumentError, match="not TOML"):
        check_manifest("sgx.debug = \n")


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a{{b}}", "a%b", "ä"])
def test_a_name_that_toml_or_the_template_language_would_read_otherwise_is_refused(name: str) -> None:
    with pytest.raises(EnclaveError, match="can't stand in a manifest"):
        encode_toml_lines([("a.b", name)])


def test_a_key_that_is_not_plain_is_refused() -> None:
    with pytest.raises(EnclaveError, match="not a plain key"):
        encode_toml_lines([("a b", 1)])


def test_toml_is_what_another_parser_reads() -> None:
    entries = [("a.text", "x y"), ("a.yes", True), ("a.number", 7), ("a.none", []), ("b", [{"c": "d", "e": 1}])]

    assert tomllib.loads(encode_toml_lines(entries)) == {
        "a": {"text": "x y", "yes": True, "number": 7, "none": []},
        "b": [{"c": "d", "e": 1}],
    }


@pytest.mark.parametrize(
    "manifest",
    [
        "a = 1",
        "sgx.trusted_files = [ 'file:a' ]",
        "sgx.trusted_files = [ { uri = 'file:a' } ]",
        "sgx.trusted_files = [ { uri = 'file:a', sha256 = 'ABC' } ]",
        f"sgx.trusted_files = [ {{ uri = 'dev:a', sha256 = '{'0' * 64}' }} ]",
        f"sgx.trusted_files = [ {file_a('0')}, {file_a('1')} ]",
        "sgx = [",
    ],
)
def test_a_list_of_trusted_files_that_checks_too_little_is_refused(manifest: str) -> None:
    with pytest.raises(DocumentError):
        parse_trusted_files(manifest)


def test_differences_are_named_by_file() -> None:
    own = [TrustedFile("file:a", "1"), TrustedFile("file:b", "2"), TrustedFile("file:c", "3")]
    other = [TrustedFile("file:a", "1"), TrustedFile("file:b", "9"), TrustedFile("file:d", "4")]

    assert name_differences(own, other) == ("file:b: another content", "file:c: only here", "file:d: missing here")
    assert name_differences(own, own) == ()


def test_gramines_c_library_takes_the_place_of_the_machines_own(tmp_path: Path) -> None:
    contents = {**CONTENTS, (FileRole.SYSTEM, "libz.so.1"): b"zlib", (FileRole.BOOTSTRAP, "bootstrap.py"): b"other"}
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    (runtime / "libc.so.6").write_bytes(b"libc of Gramine")

    adapted = adapt_image_to_gramine(image_of(tmp_path / "image", contents), runtime)
    read = {(file.role, file.path): file.source.read_bytes() for file in adapted.files}

    assert read[FileRole.SYSTEM, "libc.so.6"] == b"libc of Gramine"
    assert read[FileRole.SYSTEM, "libz.so.1"] == b"zlib"
    assert [path for role, path in read if role is FileRole.BOOTSTRAP] == ["entry.py"]
    assert adapted.entry == "heartify.enclave.program:run_job"


def test_half_a_c_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EnclaveError, match=r"libc\.so\.6"):
        adapt_image_to_gramine(image_of(tmp_path), tmp_path)


def test_a_debugging_image_is_not_built_for_sgx(tmp_path: Path) -> None:
    with pytest.raises(EnclaveError, match="debugging"):
        adapt_image_to_gramine(replace(image_of(tmp_path), debug=True), tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("libc.so.6", True),
        ("ld-linux-x86-64.so.2", True),
        ("libpthread.so.0", True),
        ("libnss_files.so.2", True),
        ("libcrypt.so.1", False),
        ("libcrypto.so.3", False),
        ("libstdc++.so.6", False),
        ("libm.so.6.debug", False),
    ],
)
def test_the_parts_of_the_c_library_are_known_by_name(name: str, expected: bool) -> None:
    assert is_glibc(name) is expected
