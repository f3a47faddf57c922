"""The hospital's broker is built from its home, and refuses a limit that would release nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from heartify.errors import UsageError
from heartify.hospital.broker import build_key_broker
from heartify.hospital.home import HospitalHome, HospitalSettings
from heartify.party.home import store_document


def test_a_home_that_is_not_initialised_has_no_broker(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no"):
        build_key_broker(tmp_path, b"password")


def test_a_limit_under_one_release_a_deal_is_refused(tmp_path: Path) -> None:
    settings = HospitalSettings(
        name="elm",
        account="0x" + "11" * 20,
        broker="0x" + "22" * 20,
        store_url=str(tmp_path),
        broker_url="http://127.0.0.1:1",
    )
    store_document(HospitalHome(tmp_path).settings_file, settings)

    with pytest.raises(UsageError, match="release nothing"):
        build_key_broker(tmp_path, b"password", releases_per_deal=0)
