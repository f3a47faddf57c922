"""Staging, signing and measuring a build, with tools that play Gramine's."""

from __future__ import annotations

import json
import shutil

import pytest

from heartify.errors import EnclaveError, InputError, IntegrityError, UsageError
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import to_hex
from heartify.protocol.size_class import size_class
from heartify.tee.gramine.app_release import add_sgx_measurement, check_sgx_measurement
from heartify.tee.gramine.build import BuildOptions, measure_build, read_signed_build, sign_build, stage_build
from heartify.tee.gramine.installation import GramineInstallation, find_tool, run_tool
from heartify.tee.gramine.signing_key import make_signing_key
from heartify.tee.gramine.trusted_files import check_trusted_files

from .sigstruct_maker import make_key, make_sigstruct

RELEASE = AppRelease(name="heartify", version="0.1.0", source_digest="0x" + "11" * 32, measurements={})


def calls_of(prefix):
    return [json.loads(line) for line in (prefix / "calls.txt").read_text().splitlines()]


def test_a_build_holds_the_images_files_and_its_manifest(staged, image):
    found = {str(path.relative_to(staged / "image")) for path in (staged / "image").rglob("*") if path.is_file()}

    assert found == {f"{file.role.value}/{file.path}" for file in image.files}
    assert {path.name for path in staged.iterdir()} == {"image", "heartify.manifest.in"}


def test_a_folder_is_never_built_into_twice(staged, image, installation, options):
    with pytest.raises(InputError, match="exists already"):
        stage_build(image, staged, installation.libos(), options)


def test_a_version_that_is_no_release_is_refused_before_a_folder_is_made(tmp_path, image, installation):
    options = BuildOptions(size_class=size_class(1), app_version="0.1.0.dev1")

    with pytest.raises(UsageError, match="security version"):
        stage_build(image, tmp_path / "build", installation.libos(), options)
    assert not (tmp_path / "build").exists()


def test_a_signed_build_is_the_enclave_that_was_staged(signed, image):
    assert signed.sigstruct.isv_svn == 64
    assert signed.sigstruct.isv_prod_id == 0x4846
    assert len(signed.trusted_files) == len(image.files)
    check_trusted_files(signed.trusted_files, signed.folder)
    assert read_signed_build(signed.folder) == signed


def test_the_measurement_depends_on_neither_place_nor_key(tmp_path, signed, image, installation, options):
    key_file = tmp_path / "other-key.pem"
    make_signing_key(key_file)
    stage_build(image, tmp_path / "deep" / "other", installation.libos(), options)

    other = sign_build(tmp_path / "deep" / "other", key_file)

    assert other.sigstruct.mr_enclave == signed.sigstruct.mr_enclave
    assert other.sigstruct.mr_signer != signed.sigstruct.mr_signer


def test_measuring_again_gives_the_same_and_leaves_no_folder(signed, image, installation, options):
    measured = measure_build(image, installation.libos(), options)

    assert measured.sigstruct.mr_enclave == signed.sigstruct.mr_enclave
    assert not measured.folder.exists()


def test_a_size_class_has_a_measurement_of_its_own(signed, image, installation):
    options = BuildOptions(size_class=size_class(2), app_version="0.1.0")

    assert measure_build(image, installation.libos(), options).sigstruct.mr_enclave != signed.sigstruct.mr_enclave


def test_the_key_goes_to_the_tool_as_a_path_only(staged, key_file, on_path):
    sign_build(staged, key_file)
    secret = key_file.read_text().splitlines()[1]

    program, *arguments, environment = calls_of(on_path)[-1]
    assert program == "gramine-sgx-sign"
    assert arguments[arguments.index("--key") + 1] == str(key_file)
    assert secret not in " ".join(arguments)
    assert environment


def test_a_key_that_others_may_read_signs_nothing(tmp_path, staged, key_file):
    open_key = tmp_path / "key.pem"
    shutil.copy(key_file, open_key)
    open_key.chmod(0o644)

    with pytest.raises(InputError, match="mode 0644"):
        sign_build(staged, open_key)
    assert not (staged / "heartify.sig").exists()


def test_what_was_never_staged_is_not_signed(tmp_path, key_file, on_path):
    with pytest.raises(UsageError, match="no staged build"):
        sign_build(tmp_path, key_file)


def test_a_tool_that_weakens_the_manifest_is_noticed(staged, key_file, on_path):
    marker = on_path / "insecure-signer"
    marker.touch()
    try:
        with pytest.raises(EnclaveError, match=r"signing changed sgx\.file_check_policy"):
            sign_build(staged, key_file)
    finally:
        marker.unlink()


def test_a_tool_that_fails_is_quoted_by_its_last_line(tmp_path, monkeypatch):
    script = tmp_path / "gramine-manifest"
    script.write_text("#!/bin/sh\necho first >&2\necho 'ERROR: no such key' >&2\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(EnclaveError, match="failed with status 1: ERROR: no such key"):
        run_tool("gramine-manifest", [], tmp_path)


def test_a_machine_without_gramine_is_told_where_to_read(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(UsageError, match="not installed") as refused:
        GramineInstallation.find()
    with pytest.raises(UsageError, match="gramine-sgx is not on PATH"):
        find_tool("gramine-sgx")
    assert "run-on-sgx.md" in refused.value.hint


def test_gramines_libraries_can_be_named(prefix, tmp_path):
    library = prefix / "lib" / "x86_64-linux-gnu" / "gramine"

    assert GramineInstallation.find(library).libos().path == str(library / "libsysdb.so")
    with pytest.raises(UsageError, match="not installed"):
        GramineInstallation.find(tmp_path)


def test_an_enclave_of_another_product_is_not_ours(signed):
    (signed.folder / "heartify.sig").write_bytes(make_sigstruct(make_key(), bytes(32), isvprodid=1))

    with pytest.raises(EnclaveError, match="product 0x0001"):
        read_signed_build(signed.folder)


def test_a_build_without_a_signature_is_refused(staged, signed):
    (staged / "heartify.sig").unlink()

    with pytest.raises(InputError, match=r"heartify\.sig"):
        read_signed_build(staged)


def test_a_file_that_changed_or_went_after_signing_is_named(signed):
    changed, gone = signed.folder / "image/app/gramine_probe.py", signed.folder / "image/bootstrap/entry.py"
    changed.chmod(0o644)
    changed.write_text("raise SystemExit")
    gone.unlink()

    with pytest.raises(EnclaveError, match="2 files are not what was signed") as refused:
        check_trusted_files(signed.trusted_files, signed.folder)
    assert "file:image/app/gramine_probe.py" in refused.value.message
    assert "file:image/bootstrap/entry.py" in refused.value.message


def test_a_release_collects_one_measurement_for_each_size_class(signed, image, installation):
    large = measure_build(image, installation.libos(), BuildOptions(size_class=size_class(3), app_version="0.1.0"))

    release = add_sgx_measurement(add_sgx_measurement(RELEASE, RELEASE, signed), RELEASE, large)
    again = add_sgx_measurement(release, RELEASE, signed)

    assert release.reference_measurements("sgx") == {signed.sigstruct.mr_enclave, large.sigstruct.mr_enclave}
    assert again == release
    check_sgx_measurement(release, signed, None)
    check_sgx_measurement(release, large, None)


@pytest.mark.parametrize("member", ["name", "version", "source_digest"])
def test_a_measurement_is_added_only_to_the_release_of_its_sources(signed, member):
    values = {"name": "other", "version": "0.2.0", "source_digest": "0x" + "22" * 32}
    other = AppRelease(**{"name": "heartify", "version": "0.1.0", "source_digest": "0x" + "11" * 32, "measurements": {}}
                       | {member: values[member]})  # fmt: skip

    with pytest.raises(IntegrityError, match=values[member]):
        add_sgx_measurement(other, RELEASE, signed)


def test_a_release_that_names_another_enclave_is_told_which_files_differ(signed):
    release = AppRelease(
        name="heartify",
        version="0.1.0",
        source_digest="0x" + "11" * 32,
        measurements={"sgx": (to_hex(bytes(32)),)},
    )
    published = signed.trusted_files[1:]

    with pytest.raises(IntegrityError, match="1 files differ: ") as refused:
        check_sgx_measurement(release, signed, published)
    assert f"{signed.trusted_files[0].uri}: only here" in refused.value.message
    with pytest.raises(IntegrityError, match="all files are equal"):
        check_sgx_measurement(release, signed, signed.trusted_files)
    with pytest.raises(IntegrityError, match=r"give the published heartify\.manifest\.sgx"):
        check_sgx_measurement(release, signed, None)


def test_a_release_without_sgx_is_refused(signed):
    with pytest.raises(InputError, match="no enclave for SGX"):
        check_sgx_measurement(RELEASE, signed, None)
