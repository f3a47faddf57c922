"""`heartify hospital broker`: a service that starts by itself, without what reads and encrypts cohorts."""

from __future__ import annotations

import logging
from typing import Annotated
from urllib.parse import urlsplit

import typer

from heartify.broker.key_broker import DEFAULT_RELEASES_PER_DEAL
from heartify.broker.service import build_broker_service
from heartify.cli import options
from heartify.cli.hospital_options import HOME, Home
from heartify.cli.output import say
from heartify.hospital.broker import build_key_broker
from heartify.hospital.home import HospitalHome
from heartify.party.http_service import bind, serve


def broker(
    home: Home = HOME,
    host: Annotated[str, typer.Option(help="Address to listen on; TLS is a reverse proxy's work.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Port; else that of the broker's URL.")] = None,
    releases_per_deal: Annotated[
        int, typer.Option(help="How often keys go out for one deal; 2 lets a pool retry once after a crash.")
    ] = DEFAULT_RELEASES_PER_DEAL,
    password_file: options.PasswordFile = None,
) -> None:
    """Run the hospital's key broker in the foreground until Ctrl-C.

    Example: heartify hospital broker --home ./cleveland
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("heartify").setLevel(logging.INFO)
    url = urlsplit(HospitalHome(home).settings().broker_url)
    listener = bind(host, port if port is not None else url.port or 80)
    key_broker = build_key_broker(home, options.password(password_file), releases_per_deal=releases_per_deal)
    say(f"key broker {key_broker.address} listens on {host}:{listener.getsockname()[1]}")
    serve(build_broker_service(key_broker), listener)
