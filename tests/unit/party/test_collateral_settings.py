"""`collateral.toml`: what it may say, what of it is refused, and which source comes of it."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from heartify.attestation.collateral_service.collateral_cache import MemoryCollateralCache
from heartify.attestation.collateral_service.fetched_collateral import FetchedCollateral
from heartify.attestation.collateral_service.fetching import Answer
from heartify.attestation.collateral_service.offline_bundle import OfflineBundle, encode_bundle
from heartify.attestation.collateral_source import HostCollateral
from heartify.attestation.simulated import SimulatedPlatform
from heartify.broker.collateral_cache import BrokerCollateralCache
from heartify.broker.database import open_database
from heartify.errors import HeartifyError, InputError, ServiceError, UsageError
from heartify.hospital.collateral import load_collateral_source
from heartify.party.collateral_settings import (
    COLLATERAL_FILE,
    build_collateral_source,
    load_collateral_settings,
    store_collateral_settings,
)
from heartify.party.http_service import RunningService
from heartify.party.trust import SIMULATED_ROOT_FILE
from heartify.party.unsafe_simulated_pccs import build_simulated_pccs_service, simulated_pccs_of
from heartify.pool.collateral import PoolCollateral
from heartify.protocol.evidence import Evidence

NOW = 1_795_000_000
HEAD = 'format = "heartify.collateral/1"\n'


@pytest.fixture(scope="module")
def platform():
    return SimulatedPlatform.create(NOW)


@pytest.fixture
def home(tmp_path, platform):
    (tmp_path / SIMULATED_ROOT_FILE).write_bytes(platform.certificates.root.public_bytes(Encoding.PEM))
    return tmp_path


@pytest.fixture
def engine(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path / 'broker.sqlite'}")
    yield engine
    engine.dispose()


def write(home, text):
    (home / COLLATERAL_FILE).write_text(HEAD + text)


def test_without_settings_the_host_is_asked(home, engine):
    assert load_collateral_settings(home) is None
    assert isinstance(load_collateral_source(home, engine), HostCollateral)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "kds_url = 1",
        'pccs_url = "nonsense"',
        'pccs_url = "http://pccs.example"',
        'pccs_url = "https://user:pw@pccs.example"',
        'pccs_url = "https://pccs.example"\nbundle = "b.json"',
        'pccs_url = "https://pccs.example"\nrefresh_hours = 0',
        'pccs_url = "https://pccs.example"\nrefresh_hours = 1000',
        'pccs_url = "https://pccs.example"\nsnp_product = "Rome"',
        'pccs_url = "https://pccs.example"\nuse_tls = false',
        "not toml",
        "x = " + "1" * 70000,
    ],
)
def test_settings_that_say_nothing_too_much_or_unknown_things_are_refused(home, text):
    write(home, text)

    with pytest.raises(HeartifyError) as caught:
        load_collateral_settings(home)
    assert isinstance(caught.value, (InputError, UsageError))


def test_settings_without_their_format_are_refused(home):
    (home / COLLATERAL_FILE).write_text('pccs_url = "https://pccs.example"')

    with pytest.raises(InputError, match="format"):
        load_collateral_settings(home)


def test_all_settings_are_read(home):
    write(
        home,
        'pccs_url = "http://10.0.0.1:8081"\nkds_url = "https://kds.example"\nrefresh_hours = 24\n'
        'snp_product = "Milan"\nunsafe_allow_http = true\nca_file = "ca.pem"\n',
    )

    settings = load_collateral_settings(home)

    assert (settings.pccs_url, settings.refresh_hours, settings.snp_product) == ("http://10.0.0.1:8081", 24, "Milan")


def test_stored_settings_are_read_back(home):
    store_collateral_settings(home, pccs_url="https://pccs.example", kds_url="https://kds.example")
    settings = load_collateral_settings(home)

    assert (settings.pccs_url, settings.kds_url, settings.bundle) == (
        *("https://pccs.example", "https://kds.example"),
        None,
    )


@pytest.mark.parametrize("chosen", [{}, {"pccs_url": "http://pccs.example"}, {"pccs_url": "x"}])
def test_settings_that_could_not_be_read_back_are_not_stored(home, chosen):
    with pytest.raises((UsageError, InputError)):
        store_collateral_settings(home, **chosen)
    assert not (home / COLLATERAL_FILE).exists()


def test_a_hospital_fetches_by_its_own_service_and_keeps_it_in_the_brokers_database(home, engine, platform):
    evidence = Evidence("simulated-sgx", platform.quote(bytes(32), bytes(64)).hex(), "chosen by the host")
    with RunningService(build_simulated_pccs_service(simulated_pccs_of(platform, lambda: NOW))) as service:
        store_collateral_settings(home, pccs_url=service.url)
        fetched = load_collateral_source(home, engine).collateral_for(evidence, NOW)

    again = load_collateral_source(home, engine).collateral_for(evidence, NOW + 60)

    assert again == fetched
    assert [kept.name for kept in BrokerCollateralCache(engine).all_kept()] == ["sgx/50494D000000/platform"]


def test_a_hospital_keeps_nothing_under_roots_that_it_does_not_trust(home, engine, platform):
    other = SimulatedPlatform.create(NOW)
    evidence = Evidence("simulated-sgx", platform.quote(bytes(32), bytes(64)).hex(), "")
    with RunningService(build_simulated_pccs_service(simulated_pccs_of(other, lambda: NOW))) as service:
        store_collateral_settings(home, pccs_url=service.url)
        with pytest.raises(ServiceError, match="a root that the policy doesn't list"):
            load_collateral_source(home, engine).collateral_for(evidence, NOW)

    assert BrokerCollateralCache(engine).all_kept() == ()


def test_a_hospital_without_network_reads_a_bundle_beside_its_settings(home, engine, platform):
    text = platform.collateral(NOW)
    (home / "bundle.json").write_bytes(encode_bundle({"sgx/50494D000000/platform": text}))
    write(home, 'bundle = "bundle.json"')
    source = load_collateral_source(home, engine)

    assert isinstance(source, OfflineBundle)
    assert source.collateral_for(Evidence("simulated-sgx", platform.quote(bytes(32), bytes(64)).hex(), ""), NOW) == text


def test_a_bundle_that_is_missing_is_noticed_at_the_start(home, engine):
    write(home, 'bundle = "bundle.json"')

    with pytest.raises(InputError, match="can't be read"):
        load_collateral_source(home, engine)


def test_a_ca_file_that_is_missing_is_noticed_at_the_start(home, engine):
    write(home, 'pccs_url = "https://pccs.example"\nca_file = "ca.pem"')

    with pytest.raises(InputError, match="no PEM certificates"):
        load_collateral_source(home, engine)


def test_a_pool_without_settings_has_no_collateral_for_hardware(home, platform):
    pool = PoolCollateral.load(home)

    with pytest.raises(ServiceError, match="no source of collateral for sgx"):
        pool.collateral_for_quote("sgx", platform.quote(bytes(32), bytes(64)))


def test_a_pool_has_collateral_fetched_for_its_quotes(home, platform):
    with RunningService(build_simulated_pccs_service(simulated_pccs_of(platform))) as service:
        store_collateral_settings(home, pccs_url=service.url)
        text = PoolCollateral.load(home).collateral_for_quote("sgx", platform.quote(bytes(32), bytes(64)))

    assert '"tcb_info"' in text


def test_each_kind_of_service_is_only_asked_for_its_kind(home, platform):
    urls = []

    def fetch(url):
        urls.append(url)
        return Answer(404, {}, b"")

    write(home, 'kds_url = "https://kds.example"')
    settings = load_collateral_settings(home)
    source = build_collateral_source(settings, home, MemoryCollateralCache(), None, fetch)

    assert isinstance(source, FetchedCollateral)
    with pytest.raises(ServiceError, match="no service for SGX and TDX"):
        source.collateral_for(Evidence("simulated-sgx", platform.quote(bytes(32), bytes(64)).hex(), ""), NOW)
    assert urls == []
