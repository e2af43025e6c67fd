"""`connector call`: ask the vendor for something, or have it do something, without people."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from connector.cli.interrupt import interruptible
from connector.cli.options import (
    ConnectionArgument,
    DefinitionsOption,
    Format,
    FormatOption,
    ProgressOption,
    RetriesOption,
    SetOption,
    TimeoutOption,
)
from connector.cli.output import print_result, say_error
from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.calls.answer import Row


def call(
    connection: ConnectionArgument,
    name: Annotated[
        str, typer.Argument(metavar="CALL", help="What to call; 'connector show' lists the calls.")
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME=VALUE…]",
            help="The parameters; a list is JSON, or its elements with commas between them.",
        ),
    ] = None,
    retries: RetriesOption = None,
    timeout: TimeoutOption = None,
    progress: ProgressOption = None,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Call the vendor: list, create, change or delete what is not people; all pages are read.

    Exit status: 0 done, 1 the vendor did not do it, 2 usage or configuration error.
    """
    from connector import library
    from connector.calls.run import run
    from connector.cli.progress import show_pages
    from connector.cli.rows import rows_text
    from connector.delivery.clock import SystemClock
    from connector.errors import CallError

    loaded = library.load_connection(
        connection, overrides=settings or (), definitions=definitions or ()
    )
    given = given_values(values or ())
    clock = SystemClock()
    rows: list[Row] = []
    is_list = True

    wants_progress = sys.stderr.isatty() if progress is None else progress
    with ExitStack() as stack:
        show, notify = stack.enter_context(show_pages(wanted=wants_progress))
        transport = stack.enter_context(library.http_transport(loaded, timeout=timeout))
        clock.when_cut(transport.cut)
        stack.enter_context(interruptible(clock))
        pages = run(loaded, name, given, transport, clock=clock, retries=retries, notify=notify)
        try:
            for page in pages:
                rows += page.rows
                is_list = page.is_list
                show(page.number, len(rows))
        except CallError as error:
            failure: CallError | None = error
        else:
            failure = None

    if failure is not None:
        say_error(str(failure))
        raise typer.Exit(1)
    print_result(rows if is_list else rows[0], lambda _: rows_text(rows, is_list=is_list), form)


def given_values(values: Iterable[str]) -> dict[str, str]:
    """Return the parameters of the command line. Raise ConfigError (C232)."""
    given: dict[str, str] = {}
    for written in values:
        name, sign, value = written.partition("=")
        if not sign:
            # It may be a value, and private: what it is called stands before the sign.
            message = "a parameter without a value"
            raise ConfigError([Problem("C232", "NAME=VALUE", "", message, "write name=value")])
        if name in given:
            message = f"'{name}' is given twice"
            raise ConfigError([Problem("C232", "NAME=VALUE", "", message, "write it once")])
        given[name] = value
    return given
