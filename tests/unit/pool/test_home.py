"""A pool's home: settings of every kind of TEE, homes from before there were several, and what the last start found."""

from __future__ import annotations

import json

import pytest

from heartify.errors import HeartifyError, UsageError
from heartify.party.home import store_document
from heartify.pool.home import LastStart, PoolHome, parse_pool_tee_kind, parse_sandbox

# As `pool init` wrote it before pools had a choice of kinds.
FIRST_SETTINGS = {
    "format": "heartify.pool/1",
    "account": "0x" + "3a" * 20,
    "url": "http://127.0.0.1:8700",
    "tee_kind": "simulated-sgx",
    "size_class": 1,
    "price": 40,
    "isolation": "auto",
}


@pytest.fixture
def home(tmp_path):
    return PoolHome(tmp_path)


def test_home_from_before_there_were_kinds_still_opens(home):
    home.settings_file.write_text(json.dumps(FIRST_SETTINGS))

    settings = home.settings()

    assert settings.tee_kind == "simulated-sgx"
    assert settings.build_folder is None
    assert home.last_start() is None


@pytest.mark.parametrize("kind", ["simulated-sgx", "simulated-tdx", "sgx", "tdx", "sev-snp"])
def test_every_kind_of_tee_can_be_set(home, kind):
    home.settings_file.write_text(json.dumps(FIRST_SETTINGS | {"tee_kind": kind, "enclave_build": "/build"}))

    assert home.settings().tee_kind == kind == parse_pool_tee_kind(kind)
    assert str(home.settings().build_folder) == "/build"


@pytest.mark.parametrize("change", [{"tee_kind": "sample"}, {"isolation": "none"}, {"isolations": []}])
def test_settings_of_another_form_are_refused(home, change):
    home.settings_file.write_text(json.dumps(FIRST_SETTINGS | change))

    with pytest.raises(HeartifyError):
        home.settings()


@pytest.mark.parametrize("text", ["", "sgx2", "SIMULATED-SGX", "simulated"])
def test_unknown_kind_is_refused_with_the_known_ones(text):
    with pytest.raises(UsageError, match="no TEE kind") as caught:
        parse_pool_tee_kind(text)

    assert "sev-snp" in str(caught.value.hint)


def test_unknown_sandbox_is_refused():
    assert parse_sandbox("bubblewrap") == "bubblewrap"
    with pytest.raises(UsageError, match="no isolation"):
        parse_sandbox("plain")


def test_what_the_last_start_found_is_kept(home):
    found = LastStart(
        tee_kind="simulated-tdx",
        measurement="0x" + "ab" * 48,
        isolation="bubblewrap: sandbox in force",
        started_utc_seconds=1_795_000_000,
    )

    store_document(home.last_start_file, found)

    assert home.last_start() == found
