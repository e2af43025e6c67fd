"""Cases of a mapping under test.

A `*.case.yaml` file declares the events, answers and clock of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from connector._util import times
from connector._util.yaml_file import read_yaml
from connector.connection.load import load_connection, make_connection
from connector.connection.model import Connection
from connector.definitions.catalog import Catalog
from connector.definitions.metaschema import form_problems
from connector.errors import ConfigError, Problem, nearest
from connector.model import Event, Response

_DEFAULT_NOW = "2026-01-15T00:00:00Z"
_CONNECTION_KEYS = ("destination", "settings", "limits", "event_id", "order", "routes")
_NOT_IN_A_SLUG = re.compile(r"[^\w.]+")


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `now` is in seconds since the epoch."""

    name: str
    file: str
    connection: Connection = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)
    #: The vendor's first answers, None for a request that times out.
    answers: tuple[Response | None, ...] = field(repr=False)
    now: float
    #: The names of the routes that take its events; empty where the case does not say.
    taken_by: frozenset[str] = frozenset()

    @property
    def slug(self) -> str:
        """The name of the snapshot file, without its extension."""
        return slug(self.name)


def slug(name: str) -> str:
    """Return a case's name as a file name.

    Letters, digits, dots and underscores stay; dashes stand for the rest.
    """
    return _NOT_IN_A_SLUG.sub("-", name).strip("-.")


def load_cases(path: Path, catalog: Catalog) -> list[Case]:
    """Load a case file.

    Raises ConfigError with every problem, DefinitionError when the destination itself is invalid.
    """
    file = str(path)
    document = read_yaml(path, "K")
    problems = form_problems("case", document, file, "K")
    if problems:
        raise ConfigError(problems)

    problems = [*_name_problems(document, file), *_time_problems(document, file)]
    try:
        connection = _connection(document, path, catalog)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    problems += _route_problems(document, file, connection)
    if problems:
        raise ConfigError(problems)

    cases = []
    for declared in document["cases"]:
        now = declared.get("now", document.get("now", _DEFAULT_NOW))
        case = Case(
            name=declared["name"],
            file=file,
            connection=connection,
            events=tuple(_events(declared["events"])),
            answers=tuple(_answers(declared)),
            now=times.to_epoch(now),
            taken_by=frozenset(declared.get("taken_by", ())),
        )
        cases.append(case)
    return cases


def _connection(document: Mapping[str, Any], path: Path, catalog: Catalog) -> Connection:
    """Return the connection under test: that of a file of its own, or what the case file says."""
    if "connection" in document:
        loaded = load_connection(path.parent / document["connection"], catalog)
        # A snapshot says what the vendor is sent, also while the connection is tried in a sandbox.
        return replace(loaded, base_url=loaded.destination.base_url(loaded.settings))
    connection_keys = {key: document[key] for key in _CONNECTION_KEYS if key in document}
    return make_connection(connection_keys, str(path), catalog)


def _name_problems(document: Mapping[str, Any], file: str) -> Iterator[Problem]:
    """Yield a problem for each name that shares its snapshot file with an earlier one."""
    name_by_slug: dict[str, str] = {}
    for index, declared in enumerate(document["cases"]):
        name = declared["name"]
        # Some file systems do not distinguish capitals from small letters.
        key = slug(name).lower()
        if key in name_by_slug:
            message = f"cases '{name_by_slug[key]}' and '{name}' share one snapshot file"
            hint = "use names that differ in letters or digits"
            yield Problem("K201", file, f"/cases/{index}/name", message, hint)
        else:
            name_by_slug[key] = name


def _time_problems(document: Mapping[str, Any], file: str) -> Iterator[Problem]:
    """Yield a problem for each `now` that is no time."""
    owners = {"/now": document}
    for index, declared in enumerate(document["cases"]):
        owners[f"/cases/{index}/now"] = declared

    for pointer, owner in owners.items():
        try:
            times.canonical(owner.get("now", _DEFAULT_NOW))
        except ValueError as error:
            yield Problem("K202", file, pointer, str(error))


def _route_problems(
    document: Mapping[str, Any], file: str, connection: Connection
) -> Iterator[Problem]:
    """Yield a problem for each name at `taken_by` that no route has."""
    known = [route.name for route in connection.routes]
    for index, declared in enumerate(document["cases"]):
        for position, name in enumerate(declared.get("taken_by", ())):
            if name not in known:
                pointer = f"/cases/{index}/taken_by/{position}"
                yield Problem(
                    "K203", file, pointer, f"unknown route '{name}'", nearest(name, known)
                )


def _answers(declared: Mapping[str, Any]) -> Iterator[Response | None]:
    for answer in declared.get("responses", ()):
        if "fail" in answer:
            yield None
            continue

        status, body = answer["status"], answer.get("body")
        headers = {name.lower(): text for name, text in answer.get("headers", {}).items()}
        if isinstance(body, str):
            # Text is the exact body, to be parsed as a vendor's is.
            yield Response.parsed(status, headers, body.encode())
        else:
            yield Response(status, headers, body)


def _events(declared: Any) -> Iterator[Event]:
    if isinstance(declared, list):
        for position, data in enumerate(declared, 1):
            yield Event(position, data)
        return

    for number in range(declared["repeat"]):
        yield Event(number + 1, _numbered(declared["event"], str(number)))


def _numbered(value: Any, number: str) -> Any:
    """Return a value with `{n}` replaced by a number in all its texts."""
    if isinstance(value, str):
        return value.replace("{n}", number)
    if isinstance(value, list):
        return [_numbered(entry, number) for entry in value]
    if isinstance(value, dict):
        return {key: _numbered(member, number) for key, member in value.items()}
    return value
