"""Two stores of one folder: a run of files, and the outbox of pipes and of a service.

Whoever begins to deliver looks at the other one first: what is left there is older, and would undo
what is newer when it is sent afterwards.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from connector.delivery.outbox.sqlite import FILE as OUTBOX_FILE
from connector.delivery.outbox.sqlite import SqliteOutbox
from connector.delivery.state.runs import FILE as RUNS_FILE
from connector.delivery.state.runs import Runs
from connector.errors import ConfigError, Problem


def check_nothing_is_pending(folder: Path, connection: str) -> None:
    """Raise ConfigError (C252) when the outbox has records of a connection, and OutboxError."""
    if not (folder / OUTBOX_FILE).exists():
        return
    with closing(SqliteOutbox(folder, None)) as outbox:
        found = outbox.status().connections.get(connection)
    if found is None or not found.pending:
        return
    count = f"{found.pending:,} record{'' if found.pending == 1 else 's'}"
    message = f"{count} of '{connection}' from a pipe or a service wait here to be sent first"
    again = f"'connector send CONNECTION - --state {folder} < /dev/null'"
    hint = f"send them with {again} or with 'connector serve', then give this command again"
    raise ConfigError([Problem("C252", str(folder), "", message, hint)])


def check_run_is_finished(folder: Path, connection: str) -> None:
    """Raise ConfigError (C252) when a run of files of a connection is unfinished."""
    if not (folder / RUNS_FILE).exists():
        return
    with closing(Runs(folder)) as runs:
        last = runs.last(connection)
    if last is None or last.ended:
        return
    files = " ".join(file.path for file in last.input.files)
    message = f"run {last.id} of '{connection}' is unfinished, and what it has left goes first"
    command = f"'connector send CONNECTION {files} --state {folder}'"
    hint = f"finish it with the command that began it, {command} (--restart begins it again)"
    raise ConfigError([Problem("C252", str(folder), "", message, hint)])
