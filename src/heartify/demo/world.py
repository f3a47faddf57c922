"""A whole market on one machine: embedded chain, operator, hospitals with broker processes, a pool process, a lab.

Everything lies in one work folder. The parties use the same calls as on separate machines; only the loopback addresses
and the shared test password are the demo's own.
"""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import heartify
from heartify.chain.deployment import Deployment, store_deployment
from heartify.chain.node import EmbeddedChain, unsafe_fund
from heartify.chain.rpc import connect
from heartify.chain.sender import Sender
from heartify.demo.cohorts import DemoCohorts
from heartify.demo.processes import Services, free_port
from heartify.hospital.hospital import GrantTerms, Hospital
from heartify.hospital.publishing.open_source import CohortSource
from heartify.hospital.publishing.publish import Published
from heartify.hospital.publishing.terms import Decisions
from heartify.lab.lab import Lab
from heartify.market.launch import launch_market
from heartify.party.account import deposit, unsafe_faucet
from heartify.party.home import write_atomically
from heartify.party.keystore import create_account, load_secret
from heartify.pool.pool import Pool
from heartify.tee.app_release import build_app_release, measure_installed_enclave

TOKEN = 10**6
APP_PRICE, POOL_PRICE = 20 * TOKEN, 40 * TOKEN
LAB_FUNDS, POOL_FUNDS = 100_000 * TOKEN, 100 * TOKEN
FIRST_GRANT_PRICE, GRANT_PRICE_STEP = 200 * TOKEN, 25 * TOKEN

GRANT_USES = 100
BROKER_PATIENCE_SECONDS = 10  # on one machine a broker starts in seconds, or not at all

Report = Callable[[str], None]


@dataclasses.dataclass(frozen=True, slots=True)
class DemoHospital:
    """One hospital of the demo."""

    name: str
    hospital: Hospital
    published: Published
    broker_url: str


class DemoWorld:
    """Build it with `with DemoWorld(...)`: entering starts everything, leaving ends every process."""

    def __init__(self, work: Path, cohorts: DemoCohorts, report: Report) -> None:
        self.work = work
        self.cohorts = cohorts
        self._report = report
        self._password = secrets.token_urlsafe(24)
        self._password_file = work / "password"
        self.services = Services(work / "logs", self._password_file)
        self.hospitals: list[DemoHospital] = []
        self.chain: EmbeddedChain
        self.deployment: Deployment
        self.lab: Lab
        self._measurement: bytes
        self.pool: Pool

    @property
    def deployment_file(self) -> Path:
        """Return the path of the deployment document."""
        return self.work / "deployment.json"

    @property
    def password(self) -> bytes:
        """Return the one password of all keystores of the demo."""
        return self._password.encode()

    def __enter__(self) -> Self:
        self.work.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._password_file, self.password, mode=0o600)
        self._report("starting the embedded chain")
        self.chain = EmbeddedChain.start(self.work / "chain")
        try:
            self._open_market()
            self._start_pool()
            for index, name in enumerate(self.cohorts.csv_files):
                self.hospitals.append(self._add_hospital(index, name))
            self._add_lab()
            self._wait_for_services()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process of the demo."""
        self.services.__exit__(None, None, None)
        self.chain.stop()

    def _open_market(self) -> None:
        self._report("deploying the contracts and registering the app release")
        keystore = self.work / "operator" / "account.json"
        account = create_account(keystore, self.password)
        unsafe_fund(self.chain.rpc_url, account, 100)
        private_key = load_secret(keystore, self.password)
        release = build_app_release(heartify.__version__)
        self._measurements = measure_installed_enclave()
        sender = Sender(connect(self.chain.rpc_url), private_key)
        self.deployment = launch_market(sender, private_key, release, app_price=APP_PRICE, embedded=True)
        store_deployment(self.deployment_file, self.deployment)

    def _start_pool(self) -> None:
        home, url = self.work / "pool", f"http://127.0.0.1:{free_port()}"
        self.pool = Pool.init(
            home,
            self.password,
            deployment=self.deployment_file,
            url=url,
            price=POOL_PRICE,
            broker_patience_seconds=BROKER_PATIENCE_SECONDS,
        )
        unsafe_faucet(home, self.password, POOL_FUNDS)
        deposit(home, self.password, POOL_FUNDS)
        self._report("starting the pool (SIMULATED SGX)")
        self.services.start("pool", ["pool", "start", "--home", str(home)])

    def _add_hospital(self, index: int, name: str) -> DemoHospital:
        home, broker_url = self.work / "hospitals" / name, f"http://127.0.0.1:{free_port()}"
        hospital = Hospital.init(
            home,
            self.password,
            name=name,
            deployment=self.deployment_file,
            store_url=str((self.work / "stores" / name).resolve()),
            broker_url=broker_url,
            unsafe_simulated_root=self.pool.home.simulated_root_file,
        )
        unsafe_faucet(home, self.password, 0)
        cohort = CohortSource(str(self.cohorts.csv_files[name]), self.cohorts.dictionary_file)
        decisions = Decisions(accepted_findings=self.cohorts.accepted_findings.get(name, {}))
        published = hospital.publish(cohort, decisions=decisions)
        # Each hospital measures for itself; on one machine, once is the same.
        hospital.approve(lambda: self._measurements)
        terms = GrantTerms(
            price=FIRST_GRANT_PRICE + index * GRANT_PRICE_STEP,
            columns=self.cohorts.plan.columns(),
            purposes=(self.cohorts.plan.purpose,),
            uses=GRANT_USES,
            tee_kinds=("simulated-sgx",),
        )
        hospital.grant(published.version, terms)
        self.services.start(f"broker-{name}", ["hospital", "broker", "--home", str(home)])
        self._report(f"{name}: published version {published.version[:12]}…, granted its use")
        return DemoHospital(name, hospital, published, broker_url)

    def _wait_for_services(self) -> None:
        for item in self.hospitals:
            self.services.wait_until_ready(f"broker-{item.name}", item.broker_url)
        self.services.wait_until_ready("pool", self.pool.settings.url)
        self._report(f"{len(self.hospitals)} key brokers and the pool answer")

    def _add_lab(self) -> None:
        home = self.work / "lab"
        self.lab = Lab.init(
            home,
            self.password,
            deployment=self.deployment_file,
            unsafe_simulated_root=self.pool.home.simulated_root_file,
        )
        unsafe_faucet(home, self.password, LAB_FUNDS)
