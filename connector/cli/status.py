"""`connector status`: what is pending, dead and stopped in the outbox of a service."""

from __future__ import annotations

import sys
import time
from typing import Annotated, Any

import typer

from connector.cli.options import Format, FormatOption
from connector.cli.output import on_one_line, print_result, say_raw
from connector.cli.store import FolderOption, StoreOption
from connector.cli.words import counted

_WATCH_SECONDS = 2.0
_CLEAR = "\x1b[2J\x1b[H"


def status(
    state: FolderOption = None,
    store: StoreOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")
    ] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show what is pending, dead and stopped in the outbox of a service, which may be running.

    Exit status: 0 shown, 2 usage or configuration error.
    """
    from connector.service.status import status_json
    from connector.service.stores import Place, opened

    with opened(Place(state, store), delivers=False) as outbox:
        while True:
            found = status_json(outbox.status())
            if watch and form is Format.TEXT and sys.stdout.isatty():
                say_raw(_CLEAR)
            print_result(found, _text, form)
            if not watch:
                return
            try:
                time.sleep(_WATCH_SECONDS)
            except KeyboardInterrupt:
                return


def _text(found: dict[str, Any]) -> str:
    lines = []
    for name, one in found["connections"].items():
        line = f"{name}: {one['pending']:,} pending"
        if one["oldest_seconds"] is not None:
            line += f" (the oldest for {_duration(one['oldest_seconds'])})"
        line += f", {counted(one['dead'], 'dead letter')}"
        counts = one["counts"]
        for word in ("delivered", "superseded", "rejected", "skipped"):
            if counts.get(word):
                line += f", {counts[word]:,} {word}"
        lines.append(line)
        lines += [f"  {on_one_line(text)}" for text in map(_lane, one["lanes"])]
    return "\n".join(lines) or "nothing was accepted yet"


def _lane(lane: dict[str, Any]) -> str:
    text = f"{lane['lane']}: {lane['pending']:,} pending, {lane['dead']:,} dead"
    stopped = lane["stopped"]
    if stopped is not None:
        wait = _duration(stopped["tried_again_in_seconds"])
        text += f"; stopped ({stopped['code']}), tried again in {wait}: {stopped['reason']}"
    return text


def _duration(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
