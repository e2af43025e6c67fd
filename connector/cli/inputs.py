"""The input of a run: what the options say of it, and how it is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from connector.cli.options import InputFormat
from connector.errors import ConfigError, Problem
from connector.sources.prepared import PREPARED

if TYPE_CHECKING:
    from connector.connection.model import Connection, Taking
    from connector.sources.files import Source


class InputFlags(NamedTuple):
    """The options that say how the input is written; None where one is not given."""

    format: InputFormat | None
    delimiter: str | None
    encoding: str | None
    quote: str | None

    def overrides(self) -> list[str]:
        """Return them as `--set` would give them: they win over the connection's `input`."""
        texts = []
        for name, value in self._asdict().items():
            if value is not None:
                # As JSON, which is YAML in which no character is special.
                texts.append(f"input.{name}={json.dumps(str(value), ensure_ascii=False)}")
        return texts


def open_input(
    connection: Connection,
    events: Sequence[str],
    flags: InputFlags,
    limit: int | None,
    takings: Sequence[Taking] | None = None,
) -> Source:
    """Open the input of a run; `takings` read it, by default the routes.

    Raise SourceError, and ConfigError (C025) for an option that would have no effect.
    """
    from connector.delivery.inputs import open_events

    source = open_events(connection, events, limit=limit, takings=takings)
    problems = list(_without_effect(flags, source.formats))
    if problems:
        source.close()
        raise ConfigError(problems)
    return source


def _without_effect(flags: InputFlags, formats: set[str]) -> Iterator[Problem]:
    if PREPARED in formats:
        for name, value in flags._asdict().items():
            if value is not None:
                option = "--input-format" if name == "format" else f"--{name}"
                message = "has no effect: the input is prepared records"
                yield Problem("C025", option, "", message, "leave it out")
        return

    message = "has no effect: no input is CSV"
    hint = "leave it out, or add --input-format csv"
    if "csv" not in formats:
        if flags.delimiter is not None:
            yield Problem("C025", "--delimiter", "", message, hint)
        if flags.quote is not None:
            yield Problem("C025", "--quote", "", message, hint)
    if flags.encoding is not None and formats == {"parquet"}:
        yield Problem("C025", "--encoding", "", "has no effect: Parquet is no text", "leave it out")
