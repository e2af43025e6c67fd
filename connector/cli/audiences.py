"""`connector audiences`: list, show, create, rename and delete audiences."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from connector.cli.call import given_values
from connector.cli.interrupt import interruptible
from connector.cli.options import (
    ConnectionArgument,
    DefinitionsOption,
    Format,
    FormatOption,
    RetriesOption,
    SetOption,
    TimeoutOption,
)
from connector.cli.output import on_one_line, print_result, say_error
from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.audiences.manager import Manager
    from connector.calls.answer import Row
    from connector.errors import CallError

#: What every audience is shown with, before all else that the vendor says of it.
FIRST = ("id", "name", "size", "state")
# What a table has; JSON and `show` have all of it.
_COLUMNS = (*FIRST, "description")

audiences = typer.Typer(
    help="List, show, create, rename and delete audiences, where the destination has calls for it.",
    epilog="Example: connector audiences list connection.yaml --format json",
    no_args_is_help=True,
    rich_markup_mode=None,
)

KindOption = Annotated[
    str | None,
    typer.Option(
        "--kind",
        metavar="PARAMETER",
        help="The kind of audience, by the parameter of actions that takes its id; "
        "default: the first that has names.",
    ),
]
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The audience's id.")]
NameOption = Annotated[
    str, typer.Option("--name", metavar="NAME", help="The name; it is checked before it is sent.")
]
ValuesArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="[NAME=VALUE…]", help="Further parameters of the call."),
]


class _Account(NamedTuple):
    """What the options of every command here say of an account."""

    connection: Path
    kind: str | None
    settings: list[str] | None
    definitions: list[Path] | None
    retries: int | None
    timeout: float | None

    def ask(self, do: Callable[[Manager], Any]) -> Any:
        """Return what is done with the account's audiences.

        A refusal of the vendor ends the command with the status 1.
        """
        from connector.errors import CallError

        with self._opened() as manager:
            try:
                return do(manager)
            except CallError as error:
                failure = error
        say_error(str(failure))
        raise typer.Exit(1)

    @contextmanager
    def _opened(self) -> Iterator[Manager]:
        from connector import library
        from connector.delivery.clock import SystemClock

        loaded = library.load_connection(
            self.connection, overrides=self.settings or (), definitions=self.definitions or ()
        )
        clock = SystemClock()
        with ExitStack() as stack:
            opened = library.open_audiences(
                loaded,
                self.kind,
                clock=clock,
                notify=say_error,
                retries=self.retries,
                timeout=self.timeout,
            )
            manager = stack.enter_context(opened)
            stack.enter_context(interruptible(clock))
            yield manager


@audiences.command("list", epilog="Example: connector audiences list connection.yaml")
def list_audiences(
    connection: ConnectionArgument,
    values: ValuesArgument = None,
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Also deleted ones, which keep their names.")
    ] = False,
    kind: KindOption = None,
    retries: RetriesOption = None,
    timeout: TimeoutOption = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """List the audiences of the account, all pages."""
    account = _Account(connection, kind, settings, definitions, retries, timeout)

    more = given_values(values or ())

    def do(manager: Manager) -> list[Row]:
        return [shown(row) for row in manager.list(more, deleted=deleted)]

    _print(account.ask(do), form, is_list=True)


@audiences.command(epilog="Example: connector audiences show connection.yaml ID")
def show(
    connection: ConnectionArgument,
    own: IdArgument,
    kind: KindOption = None,
    retries: RetriesOption = None,
    timeout: TimeoutOption = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show an audience: its size, its state, and why it cannot be targeted."""
    account = _Account(connection, kind, settings, definitions, retries, timeout)
    row = account.ask(lambda manager: _existing(manager, own))
    _print([row], form, is_list=False)


@audiences.command(
    epilog='Example: connector audiences create connection.yaml --name "Spring list"'
)
def create(
    connection: ConnectionArgument,
    values: ValuesArgument = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="NAME",
            help="The name; it is checked before it is sent. "
            "Left out for what an account has only one of.",
        ),
    ] = None,
    kind: KindOption = None,
    retries: RetriesOption = None,
    timeout: TimeoutOption = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Create an audience without people, and print it with its id."""
    account = _Account(connection, kind, settings, definitions, retries, timeout)
    more = given_values(values or ())
    row = account.ask(lambda manager: _created(manager, name, more))
    _print([shown(row)], form, is_list=False)


@audiences.command(
    epilog='Example: connector audiences rename connection.yaml ID --name "Summer list"'
)
def rename(
    connection: ConnectionArgument,
    own: IdArgument,
    name: NameOption,
    kind: KindOption = None,
    retries: RetriesOption = None,
    timeout: TimeoutOption = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Give an audience another name."""
    account = _Account(connection, kind, settings, definitions, retries, timeout)
    row = account.ask(lambda manager: _renamed(manager, own, name))
    _print([shown(row)], form, is_list=False)


@audiences.command(epilog="Example: connector audiences delete connection.yaml ID --yes")
def delete(
    connection: ConnectionArgument,
    own: IdArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether that is meant.")] = False,
    kind: KindOption = None,
    retries: RetriesOption = None,
    timeout: TimeoutOption = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Delete an audience for good."""
    account = _Account(connection, kind, settings, definitions, retries, timeout)
    row = account.ask(lambda manager: _existing(manager, own))
    if not yes:
        _confirm(row)
    deleted = account.ask(lambda manager: manager.delete(own))
    _print([shown({**row, **deleted})], form, is_list=False)


def shown(row: Mapping[str, Any]) -> Row:
    """Return an audience with the members that every audience has in front, None for unknown."""
    first = {member: row.get(member) for member in FIRST}
    return {**first, **row}


def _print(rows: list[Row], form: Format, *, is_list: bool) -> None:
    from connector.cli.rows import rows_text

    def as_text(_: Any) -> str:
        if not is_list:
            return rows_text(rows, is_list=False)
        short = [{name: row.get(name) for name in _COLUMNS} for row in rows]
        return rows_text(short, is_list=True)

    print_result(rows if is_list else rows[0], as_text, form)


def _existing(manager: Manager, own: str) -> Row:
    """Return an audience. Raise CallError when there is none."""
    try:
        row = manager.get(own)
    except ConfigError as error:
        if not _has_no_form_of_an_id(manager, error):
            raise
        row = None
    if row is None:
        raise _not_there(manager, own, "get" if manager.can("get") else "list")
    return shown(row)


def _renamed(manager: Manager, own: str, name: str) -> Row:
    """Give an audience another name. Raise CallError."""
    from connector.errors import CallError

    try:
        return manager.rename(own, name)
    except ConfigError as error:
        if not _has_no_form_of_an_id(manager, error):
            raise
    except CallError as error:
        if error.code != "not_found":
            raise
    raise _not_there(manager, own, "rename")


def _has_no_form_of_an_id(manager: Manager, error: ConfigError) -> bool:
    """Return whether a call was not sent because its id can be none."""
    pointers = [problem.pointer for problem in error.problems]
    return pointers == [f"/{manager.kind.parameter}"]


def _not_there(manager: Manager, own: str, does: str) -> CallError:
    """Return the error of an id that no audience has; somebody may have given its name instead."""
    from connector.errors import CallError

    kind = manager.kind
    could_be_name = not kind.only and not kind.names.problem(own)
    named = manager.find(own) if could_be_name else None
    if named is not None:
        reason = f"'{own}' is the name of a {kind.title}; its id is {named['id']}"
    else:
        see = manager.command("list")
        reason = f"there is no {kind.title} '{own}' in this account; see '{see}'"
    return CallError(kind.calls[does], "not_found", reason)


def _created(manager: Manager, name: str | None, more: Mapping[str, Any]) -> Row:
    """Create an audience. Raise ConfigError (C236) when a name is missing, or nobody gives one."""
    title = manager.kind.title
    if manager.kind.only:
        if name is not None:
            message = f"nobody names a {title}: an account has one"
            raise ConfigError([Problem("C236", "--name", "", message, "leave it out")])
        return manager.create_only(more)
    if name is None:
        message = f"a {title} needs a name"
        raise ConfigError([Problem("C236", "--name", "", message, 'add --name "…"')])
    return manager.create(name, more)


def _confirm(row: Mapping[str, Any]) -> None:
    """Ask whether an audience is to be deleted; end when it is not.

    Raise ConfigError (C237) where nobody can be asked.
    """
    if not sys.stdin.isatty():
        message = "an audience is deleted for good"
        raise ConfigError([Problem("C237", "--yes", "", message, "add --yes if that is meant")])
    named = on_one_line(f"{row['id']} ({row['name']})" if row.get("name") else str(row["id"]))
    typer.confirm(f"Delete {named} for good?", abort=True, err=True)
