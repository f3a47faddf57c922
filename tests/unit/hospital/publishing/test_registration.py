"""Where the market is told that a version lies, and when."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest

from heartify.errors import UsageError
from heartify.hospital.home import check_settings
from heartify.hospital.publishing.terms import Registration
from tests.unit.hospital.publishing.conftest import patients


def test_registration_can_wait_until_the_copy_has_an_address(clinic, tmp_path: Path):
    prepared = clinic.publish(patients(0, 600), registration=Registration(later=True))
    told_before = list(clinic.registry.events)
    shutil.copytree(tmp_path / "store", tmp_path / "copy")

    published = clinic.publish(patients(0, 600), registration=Registration(public_store_url=str(tmp_path / "copy")))

    assert told_before == []
    assert not prepared.registered
    assert published.registered
    assert published.version == prepared.version
    assert clinic.registry.urls == [str(tmp_path / "copy")]


def test_address_where_the_version_is_not_is_never_registered(clinic, tmp_path: Path):
    with pytest.raises(UsageError, match="can't be read under its public address"):
        clinic.publish(patients(0, 600), registration=Registration(public_store_url=str(tmp_path / "nowhere")))
    assert clinic.registry.events == []

    published = clinic.publish(patients(0, 600))

    assert published.resumed
    assert clinic.registry.urls == [clinic.ports.settings.store_url]


def test_hospital_may_have_one_address_to_write_and_another_to_read(clinic, tmp_path: Path):
    settings = msgspec.structs.replace(clinic.ports.settings, public_store_url="https://data.hospital.example/heartify")

    assert settings.registered_store_url == "https://data.hospital.example/heartify"
    assert clinic.ports.settings.registered_store_url == str(tmp_path / "store")


@pytest.mark.parametrize("url", ["https://user:secret@data.example/x", "ftp://data.example/x"])
def test_store_address_with_a_secret_or_of_an_unknown_kind_is_refused_at_init(url):
    with pytest.raises(UsageError) as refused:
        check_settings("clinic", "./store", "https://broker.example", url)
    with pytest.raises(UsageError):
        check_settings("clinic", url, "https://broker.example")

    assert "secret" not in refused.value.message + str(refused.value.hint)
