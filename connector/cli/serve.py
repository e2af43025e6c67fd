"""`connector serve`: take events over HTTP, keep them, and deliver them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.options import DefinitionsOption, RetriesOption, SetOption, TimeoutOption
from connector.cli.store import FolderOption, StoreOption
from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.connection.model import Connection

_NEEDED = ("starlette", "uvicorn", "prometheus_client", "structlog")
_MAX_PENDING = 1_000_000


def serve(
    connections: Annotated[
        list[Path],
        typer.Argument(
            metavar="CONNECTION…",
            help="Connection files; each is called as its file, without .yaml.",
        ),
    ],
    host: Annotated[
        str, typer.Option("--host", help="The address to listen on; others need --token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="The port to listen on; 0: any.")
    ] = 8080,
    token: Annotated[
        str | None,
        typer.Option(
            "--token",
            metavar="REFERENCE",
            help="Where the token that callers send stands: env:NAME or file:PATH.",
        ),
    ] = None,
    state: FolderOption = None,
    store: StoreOption = None,
    max_pending: Annotated[
        int,
        typer.Option(
            "--max-pending",
            min=1,
            metavar="N",
            help="Take no more events for a connection with so many pending records.",
        ),
    ] = _MAX_PENDING,
    keep_dead: Annotated[
        str | None,
        typer.Option(
            "--keep-dead",
            metavar="DURATION",
            help="Delete dead letters that are older, as 30d or 12h; default: never.",
        ),
    ] = None,
    deadline: Annotated[
        str | None,
        typer.Option(
            "--deadline",
            metavar="DURATION",
            help="Let records become dead letters that a stop has kept for longer; default: never.",
        ),
    ] = None,
    grace: Annotated[
        float,
        typer.Option(
            "--grace", min=0.0, metavar="SECONDS", help="Seconds to end in good order on SIGTERM."
        ),
    ] = 20.0,
    tls_cert: Annotated[
        Path | None,
        typer.Option("--tls-cert", metavar="FILE", help="The certificate for TLS (PEM)."),
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", metavar="FILE", help="Its key (PEM).")
    ] = None,
    retries: RetriesOption = None,
    timeout: TimeoutOption = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
) -> None:
    """Take events over HTTP, keep them on disk, and deliver them; logs on stderr.

    Exit status: 0 ended by SIGTERM or Ctrl-C, 2 usage or configuration error.
    """
    _check_installed()

    import os
    from contextlib import closing

    from connector.cli.durations import seconds_of
    from connector.delivery.http import TIMEOUT_SECONDS
    from connector.delivery.run import quiet_collector
    from connector.service.logs import open_log
    from connector.service.server import Address, Serving, listen
    from connector.service.service import Service, Settings
    from connector.service.stores import Place, opened
    from connector.service.tokens import token_of
    from connector.service.traces import traces_of

    place = Place(state, store)
    place.check()
    known = token_of(token) if token is not None else None
    address = Address(host, port, tls_cert, tls_key)
    address.check(known)
    keep = None if keep_dead is None else seconds_of(keep_dead, "--keep-dead")
    ends = None if deadline is None else seconds_of(deadline, "--deadline")
    loaded = _loaded(connections, settings or [], definitions or [])
    log = open_log()
    traces = traces_of(os.environ, lambda: log.warning("traces_lost"))

    with (
        closing(traces),
        listen(address) as bound,
        opened(place, delivers=True, max_pending=max_pending) as outbox,
    ):
        terms = Settings(place, timeout or TIMEOUT_SECONDS, retries, keep, ends)
        service = Service(loaded, outbox, terms, log, traces)
        quiet_collector()
        Serving(service, address, known, grace, log).run(bound)


def _check_installed() -> None:
    """Raise ConfigError (C044) without the packages of the service."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        message = f"the service needs packages that are not installed: {', '.join(missing)}"
        hint = "install them with: pip install 'audience-connector[serve]'"
        raise ConfigError([Problem("C044", "serve", "", message, hint)])


def _loaded(
    paths: list[Path], overrides: list[str], definitions: list[Path]
) -> dict[str, Connection]:
    """Return the connections by the names of their files. Raise ConfigError (C048)."""
    from connector import library

    loaded = {}
    for path in paths:
        name = path.stem
        if name in loaded:
            message = f"two connections are called '{name}', as their files are"
            raise ConfigError([Problem("C048", str(path), "", message, "rename one of the files")])
        loaded[name] = library.load_connection(path, overrides=overrides, definitions=definitions)
    return loaded
