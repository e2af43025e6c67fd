"""`connector dead`: list, show, retry and purge the dead letters of a service."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.options import Format, FormatOption
from connector.cli.output import print_result, say_error
from connector.cli.store import FolderOption, StoreOption
from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.delivery.outbox.model import DeadLetter, Selection
    from connector.delivery.outbox.store import SqlOutbox

dead = typer.Typer(
    help="List, show, retry and purge dead letters: records that a service sends no more.",
    epilog="Example: connector dead list --state state/",
    no_args_is_help=True,
    rich_markup_mode=None,
)

ConnectionFilter = Annotated[
    str | None, typer.Option("--connection", metavar="NAME", help="Only those of a connection.")
]
LaneFilter = Annotated[
    str | None, typer.Option("--lane", metavar="LANE", help="Only those of a lane.")
]
CodeFilter = Annotated[
    str | None, typer.Option("--code", metavar="CODE", help="Only those with this code.")
]
IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ID…]", help="Dead letters, as 'list' calls them.")
]
_SENT_WHEN = (
    "they are sent within the 'age' of the connection's 'limits'; 'connector flush' sends them now"
)
AllOption = Annotated[bool, typer.Option("--all", help="All of them.")]


@dead.command("list", epilog="Example: connector dead list --state state/ --format json")
def list_dead(
    state: FolderOption = None,
    store: StoreOption = None,
    connection: ConnectionFilter = None,
    lane: LaneFilter = None,
    code: CodeFilter = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, metavar="N", help="At most so many.")
    ] = 100,
    form: FormatOption = Format.TEXT,
) -> None:
    """List dead letters: which they are, why they died, and whether they were overtaken."""
    from connector.cli.rows import rows_text
    from connector.delivery.outbox.model import Selection

    with _opened(state, store) as outbox:
        selection = Selection(connection, lane, code)
        _check_known(outbox, selection)
        now = outbox.status().now
        found = outbox.dead_letters(selection, limit=limit)
    rows = [_row(one, now) for one in found]
    print_result(rows, lambda rows: rows_text(rows, is_list=True), form)


@dead.command("show", epilog="Example: connector dead show 3-17 --state state/")
def show_dead(
    dead_id: Annotated[str, typer.Argument(metavar="ID", help="As 'list' calls it.")],
    state: FolderOption = None,
    store: StoreOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show a dead letter: what it was made of, but no identifier."""
    from connector.cli.rows import rows_text

    with _opened(state, store) as outbox:
        now = outbox.status().now
        found = outbox.dead_letter(dead_id)
    if found is None:
        say_error(f"there is no dead letter '{dead_id}'; 'connector dead list' names them")
        raise typer.Exit(1)
    shown = {**_row(found, now), **_origin(found.payload)}
    print_result(shown, lambda row: rows_text([row], is_list=False), form)


@dead.command("retry", epilog="Example: connector dead retry --state state/ --code CODE")
def retry_dead(
    ids: IdsArgument = None,
    state: FolderOption = None,
    store: StoreOption = None,
    connection: ConnectionFilter = None,
    lane: LaneFilter = None,
    code: CodeFilter = None,
    everything: AllOption = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Put dead letters at the end of their lanes; a running service sends them again.

    It does so within the 'age' of the connection's 'limits'; 'connector flush' sends them now. One
    that was overtaken stays: sending it would undo what a newer record of the person did.
    """
    selection = _selection(ids, connection, lane, code, everything=everything)
    with _opened(state, store) as outbox:
        _check_known(outbox, selection)
        done = outbox.retry(selection)
    result = {"retried": done.retried, "overtaken": done.overtaken}

    def text(result: dict[str, int]) -> str:
        line = f"{result['retried']:,} retried"
        if result["overtaken"]:
            line += f"; {_overtaken(result['overtaken'])}"
        return f"{line}\n{_SENT_WHEN}" if result["retried"] else line

    print_result(result, text, form)


@dead.command("purge", epilog="Example: connector dead purge --state state/ --older-than 30d")
def purge_dead(
    ids: IdsArgument = None,
    state: FolderOption = None,
    store: StoreOption = None,
    connection: ConnectionFilter = None,
    lane: LaneFilter = None,
    code: CodeFilter = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="DURATION", help="Only those that died before: 30d."),
    ] = None,
    everything: AllOption = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Delete dead letters for good; nothing of them is left in the files."""
    from connector.cli.durations import seconds_of

    age = 0.0 if older_than is None else seconds_of(older_than, "--older-than")
    by_age = older_than is not None
    selection = _selection(ids, connection, lane, code, everything=everything, by_age=by_age)
    with _opened(state, store) as outbox:
        _check_known(outbox, selection)
        purged = outbox.purge(selection, age)
    print_result({"purged": purged}, lambda result: f"{result['purged']:,} purged", form)


def _opened(state: Any, store: str | None) -> AbstractContextManager[SqlOutbox]:
    from connector.service.stores import Place, opened

    return opened(Place(state, store), delivers=False)


def _selection(
    ids: list[str] | None,
    connection: str | None,
    lane: str | None,
    code: str | None,
    *,
    everything: bool,
    by_age: bool = False,
) -> Selection:
    """Return what is chosen. Raise ConfigError (C051) when nothing is, or in two ways."""
    from connector.delivery.outbox.model import Selection

    filters = (connection, lane, code)
    if ids and (everything or any(filters)):
        message = "ids are asked for alone"
        hint = "leave --connection, --lane, --code and --all out"
        raise ConfigError([Problem("C051", "ID", "", message, hint)])
    if not ids and not any(filters) and not everything and not by_age:
        hint = "name ids, --connection, --lane or --code, or say --all"
        raise ConfigError([Problem("C051", "ID", "", "nothing is chosen", hint)])
    return Selection(*filters, tuple(ids or ()))


def _check_known(outbox: SqlOutbox, selection: Selection) -> None:
    """End with status 1, and do nothing, when there is no such dead letter or connection."""
    missing = [f"'{one}'" for one in selection.ids if outbox.dead_letter(one) is None]
    if missing:
        no = "is no dead letter" if len(missing) == 1 else "are no dead letters"
        hint = "nothing was done; 'connector dead list' names them"
        say_error(f"there {no} {', '.join(missing)}; {hint}")
        raise typer.Exit(1)
    name = selection.connection
    known = outbox.status().connections if name else {}
    if name and name not in known:
        hint = f"it knows: {', '.join(sorted(known)) or 'none yet'}"
        say_error(f"the outbox knows no connection '{name}'; {hint}")
        raise typer.Exit(1)


def _overtaken(count: int) -> str:
    if count == 1:
        return "1 was overtaken by a newer record, and stays"
    return f"{count:,} were overtaken by newer records, and stay"


def _row(one: DeadLetter, now: float) -> dict[str, Any]:
    from connector._util import times

    return {
        "id": one.id,
        "connection": one.connection,
        "lane": one.lane,
        "operation": one.operation,
        "code": one.code,
        "reason": one.reason,
        "attempts": one.attempts,
        "died": times.from_epoch(one.died_at),
        "age_seconds": round(max(0.0, now - one.committed_at)),
        "overtaken": one.overtaken,
    }


def _origin(payload: bytes) -> dict[str, Any]:
    """Return the route, the action and the event of a dead letter: nobody is named by them."""
    from connector.model import ItemId, name_of
    from connector.pipeline.bundles import origin_of

    origin = origin_of(payload)
    if origin is None:
        return {}
    route, action, event_id = origin
    item = event_id.item if isinstance(event_id, ItemId) else None
    return {"route": route, "action": action, "event": name_of(event_id), "item": item}
