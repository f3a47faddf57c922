"""The pool's use cases: init, start, status.

Started, it offers its machines, follows the chain for deals matched with it, takes plans over HTTP, runs studies and
settles. It may be stopped and started at any time: everything that it must not forget is in its work orders.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import FastAPI

from heartify.attestation.simulated import SimulatedPlatform
from heartify.cohort.storage.store_access import read_store_access
from heartify.cohort.storage.verified_cache import VerifiedCache
from heartify.errors import ChainError, HeartifyError, PolicyError
from heartify.market.order_book import OrderBook
from heartify.party.app_release import deployed_app_release
from heartify.party.home import store_document, write_atomically
from heartify.party.keystore import create_account, load_secret
from heartify.party.market_access import MarketAccess, adopt_deployment, open_market
from heartify.pool.collateral import PoolCollateral
from heartify.pool.courier import BROKER_PATIENCE_SECONDS
from heartify.pool.home import LastStart, PoolHome, PoolSettings
from heartify.pool.service import build_pool_service
from heartify.pool.work_orders import WorkOrder, WorkOrders
from heartify.pool.worker import Worker
from heartify.protocol.app_release import AppRelease
from heartify.protocol.canonical import to_hex
from heartify.protocol.eip712 import ZERO_ADDRESS, address, uint256
from heartify.protocol.evidence import parse_tee_kind
from heartify.protocol.orders import PoolOffer, fresh_nonce, sign_order
from heartify.protocol.outcomes import DealState
from heartify.protocol.size_class import size_class
from heartify.tee.choose import SandboxChoice, TeeKindName, build_launcher, check_launcher_settings
from heartify.tee.launcher import Launcher
from heartify.tee.simulated.quoting import give_keys_to_quoter

log = logging.getLogger("heartify.pool")

OFFER_DAYS = 365
OFFER_USES = 1_000_000
POLL_SECONDS = 0.25
UNPLANNED_MARGIN_SECONDS = 300
CACHE_BYTES = 64 * 1024**3
"""Encrypted files that a pool keeps: 8 billion float64 values."""


class Pool:
    """One pool, by its home folder and the password of its keystore."""

    def __init__(self, home: Path, password: bytes) -> None:
        self.home = PoolHome(home)
        self._password = password

    @classmethod
    def init(  # noqa: PLR0913 - the settings of a home, each by its name
        cls,
        home: Path,
        password: bytes,
        *,
        deployment: Path,
        url: str,
        price: int,
        size_class_number: int = 1,
        tee_kind: TeeKindName = "simulated-sgx",
        isolation: SandboxChoice = "auto",
        enclave_build: Path | None = None,
        broker_patience_seconds: int = int(BROKER_PATIENCE_SECONDS),
    ) -> Pool:
        """Create a pool's home with its account, and for a simulated kind of TEE the simulated platform.

        `enclave_build` is the folder of the signed or registered build that a kind of hardware runs.

        Raises:
            UsageError: the home exists already, or a build is missing or too many.
            InputError, ChainError, IntegrityError: the deployment is not usable.
        """
        pool = cls(home, password)
        pool.home.check_new()
        check_launcher_settings(tee_kind, enclave_build)
        size_class(size_class_number)
        adopt_deployment(home, deployment)
        account = create_account(pool.home.account_keystore, password)
        if parse_tee_kind(tee_kind).is_simulated:
            _create_platform(pool.home)
        settings = PoolSettings(
            account=account,
            url=url,
            tee_kind=tee_kind,
            size_class=size_class_number,
            price=price,
            isolation=isolation,
            enclave_build=None if enclave_build is None else str(enclave_build.resolve()),
            broker_patience_seconds=broker_patience_seconds,
        )
        store_document(pool.home.settings_file, settings)
        return pool

    @property
    def settings(self) -> PoolSettings:
        """Return the settings of the home."""
        return self.home.settings()

    def work_orders(self) -> tuple[WorkOrder, ...]:
        """Return every work order."""
        self.home.settings()
        return WorkOrders(self.home.work_orders_file).all()

    def start(self) -> StartedPool:
        """Check the code, offer the machines on chain, and return the pool ready to serve.

        Raises:
            PolicyError: this machine's enclave isn't the one that the app release names.
            ChainError: the chain can't be reached.
        """
        settings = self.settings
        access = open_market(self.home.path, load_secret(self.home.account_keystore, self._password))
        app_release = deployed_app_release(access.deployment)
        launcher = self._launcher(settings, app_release)
        _offer(access, settings, load_secret(self.home.account_keystore, self._password))
        orders = WorkOrders(self.home.work_orders_file)
        orders.requeue_interrupted()
        stores = read_store_access(os.environ, embedded=access.deployment.embedded)
        cache = VerifiedCache(self.home.store_cache_folder, CACHE_BYTES)
        collateral = PoolCollateral.load(self.home.path)
        worker = Worker(
            orders,
            access.market,
            access.registry,
            app_release,
            launcher.launch,
            stores,
            cache,
            collateral,
            broker_patience_seconds=settings.broker_patience_seconds,
        )
        service = build_pool_service(orders, access.market, settings.account, launcher.isolation)
        return StartedPool(service, Rounds(access, settings, orders, worker), launcher)

    def _launcher(self, settings: PoolSettings, app_release: AppRelease) -> Launcher:
        """Return the launcher, after one look at what it starts; nothing of it is left when that is refused."""
        launcher = build_launcher(
            settings.tee_kind,
            platform_folder=self.home.platform_folder,
            image_store=self.home.enclave_image_folder,
            sandbox=settings.isolation,
            build_folder=settings.build_folder,
        )
        try:
            _check_measurement(launcher, app_release, settings.tee_kind)
            found = LastStart(
                tee_kind=settings.tee_kind,
                measurement=to_hex(launcher.measurement),
                isolation=launcher.isolation,
                started_utc_seconds=int(time.time()),
            )
            store_document(self.home.last_start_file, found)
        except BaseException:
            launcher.close()
            raise
        return launcher


class Rounds:
    """What a started pool does again and again: follow the chain, work, give back what can't be done."""

    def __init__(self, access: MarketAccess, settings: PoolSettings, orders: WorkOrders, worker: Worker) -> None:
        self._access = access
        self._settings = settings
        self._orders = orders
        self._worker = worker
        self._next_block = access.deployment.block

    def run_until(self, stop: threading.Event, *, poll_seconds: float = POLL_SECONDS) -> None:
        """Do rounds until told to stop. A chain that is away is waited for, never given up on."""
        while not stop.is_set():
            try:
                self.round()
            except ChainError as exc:
                log.warning("%s", exc.message)
                stop.wait(2)
            except HeartifyError as exc:
                log.error("%s", exc.message)  # noqa: TRY400 - without a traceback, which could quote messages
            except Exception as exc:  # noqa: BLE001 - the main loop: a pool that stands still loses its stakes
                log.error("internal error (%s)", type(exc).__name__)  # noqa: TRY400
            stop.wait(poll_seconds)

    def round(self) -> int:
        """Do one round; return how many work orders were touched."""
        self._follow()
        self._worker.concede_unplanned(int(time.time()), UNPLANNED_MARGIN_SECONDS)
        return self._worker.work()

    def _follow(self) -> None:
        market = self._access.market
        head = self._access.connection.head(self._access.deployment.finality)
        if head < self._next_block:
            return
        for matched in market.deals_matched(self._next_block, pool=self._settings.account):
            if market.status_of(matched.deal_id) is DealState.OPEN:
                self._orders.add(matched.deal_id, matched.deal.deadline)
        self._next_block = head + 1


class StartedPool:
    """A pool that has made its offer: `service` is its HTTP application, `rounds` its work, `isolation` what
    surrounds its enclaves. `close` gives back what its launcher holds.
    """

    def __init__(self, service: FastAPI, rounds: Rounds, launcher: Launcher) -> None:
        self.service = service
        self.rounds = rounds
        self.isolation = launcher.isolation
        self.close = launcher.close

    def run_in_thread(self) -> Callable[[], None]:
        """Do rounds in a thread; return a function that stops it and waits."""
        stop = threading.Event()
        thread = threading.Thread(target=self.rounds.run_until, args=(stop,), daemon=True)
        thread.start()

        def end() -> None:
            stop.set()
            thread.join(30)

        return end


def _check_measurement(launcher: Launcher, app_release: AppRelease, tee_kind: TeeKindName) -> None:
    if launcher.measurement not in app_release.reference_measurements(tee_kind):
        raise PolicyError(
            f"this machine's enclave measures {to_hex(launcher.measurement)}, which the app release does not name",
            hint="install the version of heartify that the app release was made from",
        )


def _create_platform(home: PoolHome) -> None:
    platform = SimulatedPlatform.create(int(time.time()))
    platform.store(home.platform_folder)
    give_keys_to_quoter(home.platform_folder)
    certificate = x509.load_der_x509_certificate(platform.root_der)
    write_atomically(home.simulated_root_file, certificate.public_bytes(Encoding.PEM))


def _offer(access: MarketAccess, settings: PoolSettings, private_key: bytes) -> None:
    """Register the pool's address and post its offer, unless the chain has both already."""
    endpoints = {endpoint.pool: endpoint.uri for endpoint in access.registry.pool_endpoints(pool=settings.account)}
    if endpoints.get(address(settings.account)) != settings.url:
        access.registry.register_pool(settings.url)
    now = int(time.time())
    deployment = access.deployment
    book = OrderBook(access.market, access.registry, deployment.domain, deployment.block)
    kind = int(parse_tee_kind(settings.tee_kind))
    for live in book.pool_offers(now):
        offer = live.order
        same_machine = offer.teeKind == kind and offer.sizeClass == settings.size_class
        if offer.pool == settings.account and offer.price == settings.price and same_machine:
            return
    offer = PoolOffer(
        pool=address(settings.account),
        teeKind=uint256(kind),
        sizeClass=uint256(settings.size_class),
        price=uint256(settings.price),
        uses=uint256(OFFER_USES),
        requester=ZERO_ADDRESS,
        expiry=uint256(now + OFFER_DAYS * 86400),
        nonce=fresh_nonce(),
    )
    access.market.post_pool_offer(sign_order(offer, deployment.domain, private_key))
