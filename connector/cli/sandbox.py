"""`connector sandbox`: a local vendor on a port."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.options import DefinitionsOption, parse_faults
from connector.cli.output import on_one_line
from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.definitions.model import Destination
    from connector.sandbox.faults import Fault
    from connector.sandbox.local import Sandbox
    from connector.sandbox.server import SandboxServer


def sandbox(
    destination: Annotated[
        str, typer.Argument(metavar="DESTINATION", help="The destination to simulate.")
    ],
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, metavar="N", help="The port; 0 picks a free one."),
    ] = 0,
    connection: Annotated[
        Path | None,
        typer.Option(
            "--connection", metavar="FILE", help="Expect the credentials of this connection."
        ),
    ] = None,
    fail: Annotated[
        list[str] | None,
        typer.Option(
            "--fail",
            metavar="FAULT",
            help="A fault such as 429:3, 5xx, timeout, drop, counts; can be repeated.",
        ),
    ] = None,
    definitions: DefinitionsOption = None,
) -> None:
    """Run a local vendor that checks auth, caps and bodies."""
    from connector.cli.summary import holdings_text, sandbox_text
    from connector.definitions.catalog import Catalog
    from connector.sandbox.local import Sandbox

    described = Catalog(definitions or ()).load(destination)
    faults = parse_faults(fail)
    if connection:
        box = _for_connection(connection, described, definitions or [], faults)
    else:
        box = Sandbox(described, faults=faults)
    box.vendor.log = lambda line: print(on_one_line(line), file=sys.stderr, flush=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _listen(box, port) as server:
        try:
            members = _members(described, box, server)
            # A connection has its own credentials: they are not printed.
            credentials = {} if connection else box.secrets
            print(sandbox_text(destination, members, credentials), flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            print(holdings_text(box.holdings()))


def _for_connection(
    path: Path, destination: Destination, definitions: list[Path], faults: list[Fault]
) -> Sandbox:
    """Return a sandbox that expects a connection's settings and credentials."""
    from connector import library
    from connector.sandbox.local import Sandbox

    connection = library.load_connection(path, definitions=definitions)
    chosen = connection.destination.id
    if chosen != destination.id:
        message = f"is '{chosen}', and the sandbox is to stand in for '{destination.id}'"
        hint = "use a connection to that destination, or change the argument"
        raise ConfigError([Problem("C201", str(path), "/destination", message, hint)])
    return Sandbox(connection, secrets=connection.secrets(), faults=faults)


def _listen(box: Sandbox, port: int) -> SandboxServer:
    try:
        return box.serve(port)
    except OSError as error:
        message = f"port {port} cannot be used: {error.strerror}"
        hint = "use 0 for a free port"
        raise ConfigError([Problem("C018", "--port", "", message, hint)]) from None


def _members(destination: Destination, box: Sandbox, server: SandboxServer) -> dict[str, str]:
    """Return the members of a connection to the sandbox, by name."""
    members = {"base_url": server.base_url, "token_url": server.token_url}
    setting = destination.auth.setting
    if setting:
        # The authentication that was chosen among several.
        members[f"settings.{setting}"] = box.settings[setting]
    return members
