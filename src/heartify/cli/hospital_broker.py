"""`heartify hospital broker`: the key broker as a service, and the group of its operator's commands.

The group starts without what reads and encrypts cohorts, and each of its commands imports what it needs when it is
called. Without a subcommand the service runs, as service files have it.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from heartify.broker.key_broker import DEFAULT_RELEASES_PER_DEAL
from heartify.broker.rate_limits import RateLimits
from heartify.broker.service import build_broker_service
from heartify.cli import hospital_broker_control, hospital_broker_rules, hospital_broker_state, options
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import say
from heartify.errors import UsageError
from heartify.hospital.broker import build_hospital_broker
from heartify.hospital.home import HospitalHome
from heartify.hospital.state_lock import using_state
from heartify.party.http_service import bind, port_of, serve
from heartify.party.tls import choose_tls

Host = Annotated[str, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port; else that of the broker's URL.")]
ReleasesPerDeal = Annotated[
    int, typer.Option(help="How often keys go out for one deal; 2 lets a pool retry once after a crash.")
]
TlsCertificate = Annotated[
    Path | None, typer.Option(help="PEM certificate chain of the broker, leaf first; without one a proxy does TLS.")
]
TlsKey = Annotated[Path | None, typer.Option(help="Its PEM key, unencrypted, readable by the broker's user only.")]
TrustedProxies = Annotated[
    str | None,
    typer.Option(help="Addresses of reverse proxies, with commas, whose word on a client's address is believed."),
]
RequestsPerMinute = Annotated[int, typer.Option(min=1, help="How many requests one client may send in a minute.")]
_LOCALHOST = "127.0.0.1"

app = typer.Typer(help="The hospital's key broker: run it, keep its keys and its state.")


@app.callback(invoke_without_command=True)
def broker(
    context: typer.Context,
    home: Home = HOME,
    host: Host = _LOCALHOST,
    port: Port = None,
    releases_per_deal: ReleasesPerDeal = DEFAULT_RELEASES_PER_DEAL,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    trusted_proxies: TrustedProxies = None,
    requests_per_minute: RequestsPerMinute = 600,
    password_file: options.PasswordFile = None,
) -> None:
    """Run the hospital's key broker, or one of its operator's commands.

    Example: heartify hospital broker --home ./cleveland
    """
    if context.invoked_subcommand is None:
        run(
            home,
            host,
            port,
            releases_per_deal,
            tls_certificate,
            tls_key,
            trusted_proxies,
            requests_per_minute,
            password_file,
        )
        return
    given = [name for name in context.params if not _is_default(context, name)]
    if given:  # it would go unheard, and the command would work on another home
        raise UsageError(
            f"--{given[0].replace('_', '-')} stands before `{context.invoked_subcommand}`",
            hint="options go after the subcommand",
        )


@app.command()
def run(
    home: Home = HOME,
    host: Host = _LOCALHOST,
    port: Port = None,
    releases_per_deal: ReleasesPerDeal = DEFAULT_RELEASES_PER_DEAL,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    trusted_proxies: TrustedProxies = None,
    requests_per_minute: RequestsPerMinute = 600,
    password_file: options.PasswordFile = None,
) -> None:
    """Run the hospital's key broker in the foreground until Ctrl-C.

    Example: heartify hospital broker run --home ./cleveland
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("heartify").setLevel(logging.INFO)
    url = HospitalHome(home).settings().broker_url
    tls = choose_tls(tls_certificate, tls_key)
    listener = bind(host, port if port is not None else port_of(url))
    with using_state(home):  # while it runs, no rotation of its key and no restore
        built = build_hospital_broker(home, options.password(password_file), releases_per_deal=releases_per_deal)
        rates = RateLimits(a_client=f"{requests_per_minute}/minute")
        service = build_broker_service(built.broker, rates, built.anchoring.newest)
        with built.running():
            say(f"key broker {built.broker.address} listens on {host}:{listener.getsockname()[1]}")
            serve(service, listener, tls, trusted_proxies=trusted_proxies)


app.registered_commands.extend(hospital_broker_control.app.registered_commands)
app.registered_commands.extend(hospital_broker_state.app.registered_commands)
app.registered_commands.extend(hospital_broker_rules.app.registered_commands)


def _is_default(context: typer.Context, parameter: str) -> bool:
    source = context.get_parameter_source(parameter)
    return source is None or source.name == "DEFAULT"
