"""The command line: its commands by name, and how errors end them.

Heavy imports wait until a command needs them.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from connector import __version__
from connector.cli.audiences import audiences
from connector.cli.call import call
from connector.cli.check import check
from connector.cli.dead import dead
from connector.cli.docs import docs
from connector.cli.export import export
from connector.cli.flush import flush
from connector.cli.lint import lint
from connector.cli.list import list_destinations
from connector.cli.login import login, logout
from connector.cli.new import EXAMPLE, new
from connector.cli.output import say, say_error
from connector.cli.preview import preview
from connector.cli.sandbox import sandbox
from connector.cli.send import send
from connector.cli.serve import serve
from connector.cli.show import show
from connector.cli.status import status
from connector.cli.streams import prepare_streams, silence_output
from connector.cli.test import run_tests
from connector.connection.urls import ALLOW_VARIABLE
from connector.errors import ConnectorError, OutputError

app = typer.Typer(
    name="connector",
    help="Add people to ad audiences and remove them, with destinations described in files.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # importing rich for a help text takes longer than all the rest
    pretty_exceptions_enable=False,
)

_COMMANDS = (
    ("list", list_destinations, "connector list --format json"),
    ("show", show, "connector show DESTINATION.add_user"),
    ("docs", docs, "connector docs DESTINATION > setup.md"),
    ("new", new, EXAMPLE),
    ("login", login, "connector login connection.yaml"),
    ("logout", logout, "connector logout connection.yaml"),
    ("lint", lint, "connector lint connection.yaml schemas/"),
    ("preview", preview, "connector preview connection.yaml events.ndjson --limit 3"),
    ("send", send, "connector send connection.yaml events.ndjson.gz --report failed.ndjson"),
    ("serve", serve, "connector serve connection.yaml --state state/ --token env:TOKEN"),
    ("flush", flush, "connector flush --url http://127.0.0.1:8080 --token env:TOKEN"),
    ("status", status, "connector status --state state/ --watch"),
    ("export", export, "connector export connection.yaml EXPORT events.csv --into out/"),
    ("call", call, "connector call connection.yaml CALL name=value --format json"),
    ("check", check, "connector check connection.yaml"),
    ("sandbox", sandbox, "connector sandbox DESTINATION --port 8080 --holdings held.json"),
    ("test", run_tests, "connector test tests/cases --update"),
)
for _name, _command, _example in _COMMANDS:
    app.command(_name, epilog=f"Example: {_example}")(_command)
app.add_typer(audiences, name="audiences")
app.add_typer(dead, name="dead")


def main() -> None:
    """Run the command line. A usage or configuration error ends with a message and status 2."""
    prepare_streams()
    try:
        app()
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        silence_output()
        sys.exit(1)
    except OutputError as error:
        say_error(str(error))
        silence_output()
        sys.exit(1)
    except ConnectorError as error:
        say_error(str(error))
        sys.exit(2)
    except PermissionError as error:
        if error.filename is None:
            raise
        fix = "let this user enter its folder, or run as the owner"
        say_error(f"{error.filename}: {error.strerror}; {fix}")
        sys.exit(2)


def _print_version(is_asked_for: bool) -> None:
    if is_asked_for:
        say(f"connector {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version and exit.",
        ),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="HOST",
            help="A host (*.example.com: every one below it) that a connection's base_url, "
            "token_url and login_url may lead to beside those of its destination; repeatable. "
            f"Also: {ALLOW_VARIABLE}, with commas.",
        ),
    ] = None,
) -> None:
    """Add people to ad audiences and remove them, with destinations described in files."""
    if allow_host:
        os.environ[ALLOW_VARIABLE] = ",".join([*allow_host, os.environ.get(ALLOW_VARIABLE, "")])
