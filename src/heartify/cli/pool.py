"""`heartify pool`: the worker pool's commands."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from heartify.chain.deployment import load_deployment
from heartify.cli import options
from heartify.cli.output import say, short, show, table
from heartify.party.http_service import bind, port_of, serve
from heartify.party.market_access import DEPLOYMENT_FILE
from heartify.party.money import format_amount, parse_amount
from heartify.pool.courier import BROKER_PATIENCE_SECONDS
from heartify.pool.home import parse_pool_tee_kind, parse_sandbox
from heartify.pool.pool import Pool
from heartify.protocol.evidence import is_simulated

app = typer.Typer(no_args_is_help=True, help="The worker pool: offers machines, runs studies in enclaves, settles.")

Home = Annotated[Path, options.home_option("pool")]
HOME = options.default_home("pool")


@app.command()
def init(
    deployment: options.DeploymentFile,
    url: Annotated[str, typer.Option(help="Address at which labs reach the pool.")] = "http://127.0.0.1:8700",
    price: Annotated[str, typer.Option(help="Price of one run, in the market's token.")] = "40",
    size_class: Annotated[int, typer.Option(help="1 small, 2 medium, 3 large.")] = 1,
    tee_kind: Annotated[
        str, typer.Option(help="simulated-sgx or simulated-tdx; on hardware sgx, tdx or sev-snp.")
    ] = "simulated-sgx",
    isolation: Annotated[
        str, typer.Option(help="Of a simulated TEE: auto, bubblewrap or unsafe-plain-process.")
    ] = "auto",
    enclave_build: Annotated[
        Path | None, typer.Option(help="Folder of the signed or registered build that hardware runs.")
    ] = None,
    broker_patience: Annotated[
        int, typer.Option(min=0, max=600, help="Seconds to wait for a hospital's broker that is away.")
    ] = int(BROKER_PATIENCE_SECONDS),
    home: Home = HOME,
    password_file: options.PasswordFile = None,
    as_json: options.Json = False,
) -> None:
    """Create a pool's home with its account, and for a simulated kind of TEE the simulated platform.

    Example: heartify pool init --deployment deployment.json --home ./pool
    """
    pool = Pool.init(
        home,
        options.password(password_file, confirm=True),
        deployment=deployment,
        url=url,
        price=parse_amount(price, load_deployment(deployment)),
        size_class_number=size_class,
        tee_kind=parse_pool_tee_kind(tee_kind),
        isolation=parse_sandbox(isolation),
        enclave_build=enclave_build,
        broker_patience_seconds=broker_patience,
    )
    settings = pool.settings
    rows = [["account", settings.account], ["TEE", settings.tee_kind]]
    if is_simulated(settings.tee_kind):
        rows[-1][1] += " (a simulation: protects nothing from the pool's own administrator)"
        rows.append(["simulated root", str(pool.home.simulated_root_file)])
    rows.append(["price", format_amount(settings.price, load_deployment(deployment))])
    show(settings, as_json=as_json, human=lambda c: c.print(table(["pool", ""], rows)))


@app.command()
def start(
    home: Home = HOME,
    host: Annotated[str, typer.Option(help="Address to listen on; TLS is a reverse proxy's work.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; else that of the pool's URL.")] = None,
    password_file: options.PasswordFile = None,
) -> None:
    """Run the pool in the foreground until Ctrl-C.

    Example: heartify pool start --home ./pool
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    pool = Pool(home, options.password(password_file))
    url = pool.settings.url
    listener = bind(host, port if port is not None else port_of(url))
    started = pool.start()
    end = started.run_in_thread()
    say(f"pool {pool.settings.account} listens on {host}:{listener.getsockname()[1]}, isolation {started.isolation}")
    try:
        serve(started.service, listener)
    finally:
        end()
        started.close()


@app.command()
def status(home: Home = HOME, as_json: options.Json = False) -> None:
    """Show the pool's work orders, and what surrounds its enclaves.

    Example: heartify pool status --home ./pool
    """
    pool = Pool(home, b"")
    orders = pool.work_orders()
    deployment = load_deployment(home / DEPLOYMENT_FILE)
    rows = [[short(o.deal_id), o.state.value, str(o.attempts), o.step, o.problem] for o in orders]
    last = pool.home.last_start()
    document = {
        "account": pool.settings.account,
        "price": str(pool.settings.price),
        "tee_kind": pool.settings.tee_kind,
        "last_start": last,
        "work_orders": [
            {"deal": o.deal_id, "state": o.state.value, "attempts": o.attempts, "step": o.step, "problem": o.problem}
            for o in orders
        ],
    }
    title = f"pool {pool.settings.account}, {format_amount(pool.settings.price, deployment)} a run"
    columns = ["deal", "state", "attempts", "step", "problem"]
    started = f"last start: {last.isolation}" if last else "not started yet"

    def human(console: Console) -> None:
        console.print(table(columns, rows, title=title))
        console.print(f"{pool.settings.tee_kind}, {started}")

    show(document, as_json=as_json, human=human)
