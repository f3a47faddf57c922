"""`heartify enclave gramine-…`: the author's way from an installation to an app release, and the hospital's check."""

from __future__ import annotations

import json
import tomllib

import pytest

from heartify.cli.main import main
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import parse_canonical, to_bytes
from heartify.tee.image import FileRole
from heartify.tee.image_contents import build_enclave_image

BOOTSTRAP = FileRole.BOOTSTRAP


@pytest.fixture
def run(capsys, on_path):
    def run_command(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run_command


@pytest.fixture(scope="module")
def author(tmp_path_factory):
    return tmp_path_factory.mktemp("author")


@pytest.fixture
def released(author, run, key_file):
    """What an author publishes: a build of the real enclave, signed, and the app release that names it; made once."""
    folder, release = author / "build", author / "release.json"
    if not release.exists():
        code, out, err = run("enclave", "gramine-manifest", "--folder", folder, "--json")
        assert code == 0, err
        assert json.loads(out)["enclave_bytes"] == 8 << 30
        code, out, err = run(
            *("enclave", "gramine-sign", "--folder", folder, "--key", key_file, "--app-release", release, "--json")
        )
        assert code == 0, err
        (author / "signed.json").write_text(out)
    return folder, release


def test_the_build_is_of_the_real_enclave(released):
    folder, _ = released
    manifest = tomllib.loads((folder / "heartify.manifest.sgx").read_text())

    uris = {file["uri"] for file in manifest["sgx"]["trusted_files"]}
    image = {f"file:image/{f.role.value}/{f.path}" for f in build_enclave_image().files if f.role is not BOOTSTRAP}
    assert uris == {*image, "file:image/bootstrap/entry.py"}
    assert manifest["loader"]["argv"][-2:] == ["heartify.enclave.program:run_job", "/dev/attestation"]


def test_signing_shows_what_was_signed_and_writes_the_release(author, released):
    _, release_file = released
    signed = json.loads((author / "signed.json").read_text())
    release = parse_canonical(release_file.read_bytes(), AppRelease)

    assert release.measurements == {"sgx": (signed["mr_enclave"],)}
    assert release.version == "0.1.0"
    assert (signed["debug"], signed["isv_prod_id"], signed["isv_svn"]) == (False, 0x4846, 64)
    assert len(to_bytes(signed["mr_signer"])) == 32


def test_a_hospital_that_builds_the_same_learns_so(released, run):
    _, release = released

    code, out, err = run("enclave", "gramine-measure", "--app-release", release, "--json")

    assert code == 0, err
    assert json.loads(out)["mr_enclave"] in release.read_text()


def test_a_hospital_that_builds_another_ends_with_4_and_the_files_that_differ(released, run, tmp_path):
    folder, release = released
    other = tmp_path / "release.json"
    measured = json.loads(release.read_text())["measurements"]["sgx"][0]
    other.write_text(release.read_text().replace(measured, "0x" + "00" * 32))
    published = tmp_path / "heartify.manifest.sgx"
    text = (folder / "heartify.manifest.sgx").read_text()
    published.write_text(text.replace("file:image/app/heartify/errors.py", "file:image/app/heartify/error.py"))

    code, _, err = run("enclave", "gramine-measure", "--app-release", other, "--published", published)

    assert code == 4
    assert "file:image/app/heartify/error.py: missing here" in err
    assert "file:image/app/heartify/errors.py: only here" in err


def test_another_size_class_is_another_enclave(released, run):
    _, release = released

    code, _, err = run("enclave", "gramine-measure", "--app-release", release, "--size-class", "2")

    assert code == 4
    assert "does not name" in err


def test_people_get_tables(released, run, tmp_path):
    _, release = released

    code, out, _ = run("enclave", "gramine-manifest", "--folder", tmp_path / "other", "--no-edmm")
    measured = run("enclave", "gramine-measure", "--app-release", release)

    assert code == 0
    assert "8 GiB" in out
    assert "gramine-sign" in out
    assert "sgx.edmm_enable = false" in (tmp_path / "other" / "heartify.manifest.in").read_text()
    assert "mr enclave" in measured[1]


@pytest.mark.parametrize("size_class", ["0", "4"])
def test_an_unknown_size_class_is_refused(run, tmp_path, size_class):
    code, _, err = run("enclave", "gramine-manifest", "--folder", tmp_path / "x", "--size-class", size_class)

    assert code == 3
    assert "no size class" in err


def test_a_release_that_cannot_be_read_is_refused(run, tmp_path):
    code, _, err = run("enclave", "gramine-measure", "--app-release", tmp_path / "none.json")

    assert code == 3
    assert "none.json can't be read" in err


def test_a_machine_without_gramine_says_so(monkeypatch, run, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    code, _, err = run("enclave", "gramine-manifest", "--folder", tmp_path / "x")

    assert code == 2
    assert "Gramine is not installed" in err
