"""The bundle: written deterministically, read strictly, found by what a quote needs."""

from __future__ import annotations

import pytest

from heartify.attestation.collateral_service.offline_bundle import OfflineBundle, encode_bundle, load_bundle
from heartify.errors import AttestationError, InputError, ServiceError
from heartify.protocol.evidence import Evidence

from .conftest import NOW

SGX = "sgx/50494D000000/platform"
TDX = "tdx/50494D000000/platform"
ENTRY = '{"need": "a", "collateral": ""}'
TWICE = f'{{"format": "heartify.collateral-bundle/1", "entries": [{ENTRY}, {ENTRY}]}}'


def test_a_bundle_gives_the_collateral_that_a_quote_needs(platform, quote, tmp_path):
    text = platform.collateral(NOW)
    file = tmp_path / "bundle.json"
    file.write_bytes(encode_bundle({SGX: text, TDX: platform.collateral(NOW, tdx=True)}))

    assert OfflineBundle.load(file).collateral_for(Evidence("simulated-sgx", quote.hex(), "host's"), NOW) == text


def test_the_same_entries_give_the_same_bytes_in_any_order(platform):
    sgx, tdx = platform.collateral(NOW), platform.collateral(NOW, tdx=True)

    assert encode_bundle({SGX: sgx, TDX: tdx}) == encode_bundle({TDX: tdx, SGX: sgx})


def test_a_platform_that_is_not_in_the_bundle_is_refused(quote):
    with pytest.raises(ServiceError, match="nothing for sgx/50494D000000/platform"):
        OfflineBundle({}).collateral_for(Evidence("simulated-sgx", quote.hex(), ""), NOW)


def test_what_is_no_collateral_gets_into_no_bundle():
    with pytest.raises(AttestationError):
        encode_bundle({SGX: "{}"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no collateral bundle"),
        ("[]", "is no collateral bundle"),
        ('{"format": "heartify.collateral-bundle/2", "entries": []}', "is no collateral bundle"),
        ('{"format": "heartify.collateral-bundle/1", "entries": [], "more": 1}', "is no collateral bundle"),
        ('{"format": "heartify.collateral-bundle/1", "entries": [{"need": "a"}]}', "is no collateral bundle"),
        (TWICE, "two entries for one platform"),
    ],
)
def test_a_file_that_is_no_bundle_is_refused(tmp_path, text, said):
    file = tmp_path / "bundle.json"
    file.write_text(text)

    with pytest.raises(InputError, match=said):
        load_bundle(file)


def test_a_bundle_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="can't be read"):
        load_bundle(tmp_path / "bundle.json")
