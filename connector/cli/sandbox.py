"""`connector sandbox`: a local vendor on a port."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
            help="A fault such as 429:3, 5xx, timeout, slow=2, 204, counts; can be repeated.",
        ),
    ] = None,
    holdings: Annotated[
        Path | None,
        typer.Option(
            "--holdings",
            metavar="FILE",
            help="Keep in FILE (JSON) whom the sandbox holds, as SHA-256 digests: a value that is "
            "one is kept as it is, any other is hashed. FILE is there once the sandbox listens, "
            "and says what a request changed before the request is answered.",
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
    box.vendor.log = _log

    wait = _wait_for_a_signal()
    server = _listen(box, port)
    try:
        members = _members(described, box, server)
        # A connection has its own credentials: they are not printed.
        credentials = {} if connection else box.secrets
        print(sandbox_text(destination, members, credentials), flush=True)
        with _holdings_file(box, server, holdings, connection), server:
            wait()
    finally:
        server.close()
    print(holdings_text(box.holdings()))


def _wait_for_a_signal() -> Callable[[], object]:
    """Return what waits for the first SIGINT or SIGTERM from now on.

    A shell starts what runs in its background with SIGINT ignored: it is asked for here. No signal
    interrupts anything, so that the second one does not spoil the end.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # The system may give the signal to any thread, and only this pipe wakes the one that waits.
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    return lambda: os.read(reading, 1)


def _log(line: str) -> None:
    # in one piece: several threads write
    sys.stderr.write(on_one_line(line) + "\n")
    sys.stderr.flush()


@contextmanager
def _holdings_file(
    box: Sandbox, server: SandboxServer, path: Path | None, connection: Path | None
) -> Iterator[None]:
    """Keep the file of `--holdings`, to the end. Raise ConfigError (C024)."""
    from connector.sandbox.holdings_file import HoldingsFile

    if path is None:
        yield
        return

    with _writing(path):
        if connection and path.exists() and path.samefile(connection):
            raise OSError(errno.EEXIST, "it is the connection")
        file = HoldingsFile(box.vendor, path)

    def update() -> None:
        try:
            file.update()
        except OSError as error:
            _log(f"no answer: {path} cannot be written: {error.strerror}")
            raise

    server.before_answer(update)
    try:
        yield
    finally:
        with _writing(path):
            file.update()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot be written: {error.strerror}"
        hint = "choose another file for --holdings"
        raise ConfigError([Problem("C024", str(path), "", message, hint)]) from None


def _for_connection(
    path: Path, destination: Destination, definitions: list[Path], faults: list[Fault]
) -> Sandbox:
    """Return a sandbox that expects a connection's settings and credentials."""
    from connector import library
    from connector.auth.schemes import scheme_of
    from connector.sandbox.local import Sandbox

    connection = library.load_connection(path, definitions=definitions)
    chosen = connection.destination.id
    if chosen != destination.id:
        message = f"is '{chosen}', and the sandbox is to stand in for '{destination.id}'"
        hint = "use a connection to that destination, or change the argument"
        raise ConfigError([Problem("C201", str(path), "/destination", message, hint)])
    signed_in = scheme_of(destination.auth_of(connection.settings)).SIGNED_IN
    secrets = connection.secrets(given_later=signed_in)
    return Sandbox(connection, secrets=secrets, faults=faults)


def _listen(box: Sandbox, port: int) -> SandboxServer:
    try:
        return box.serve(port)
    except OSError as error:
        message = f"port {port} cannot be used: {error.strerror}"
        hint = "use 0 for a free port"
        raise ConfigError([Problem("C018", "--port", "", message, hint)]) from None


def _members(destination: Destination, box: Sandbox, server: SandboxServer) -> dict[str, str]:
    """Return the members of a connection to the sandbox, by name."""
    members = {
        "base_url": server.base_url,
        "token_url": server.token_url,
        "login_url": server.login_url,
    }
    setting = destination.auth.setting
    if setting:
        # The authentication that was chosen among several.
        members[f"settings.{setting}"] = box.settings[setting]
    return members
