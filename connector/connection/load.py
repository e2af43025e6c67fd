"""Connections: from a file to typed values, checked with every problem at once."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yaml import YAMLError

from connector._util.yaml_file import parse_yaml, read_yaml
from connector.connection.input import input_options
from connector.connection.model import (
    Connection,
    MappedExport,
    Route,
    field_mappings,
    opt_out,
)
from connector.connection.rules import Rules, route_name
from connector.connection.secrets import KINDS, REFERENCE_HINT, ROTATE_HINT, SecretRef
from connector.connection.whole import event_id_findings, warnings
from connector.definitions.catalog import Catalog
from connector.definitions.metaschema import form_problems
from connector.definitions.model import Destination
from connector.definitions.read import read_limits
from connector.errors import ConfigError, Problem, nearest
from connector.validation.explain import lookup

if TYPE_CHECKING:
    from connector.definitions.exports import Export

_ADDRESSES = ("base_url", "token_url", "login_url")
_CREDENTIAL = re.compile("[a-z][a-z0-9_]*")
_SECTIONS = ("settings", "limits", "input")
# Members of a connection that change nothing of what is sent to whom.
_DECIDE_NOTHING = (
    "name", "description", "credentials", "token_url", "login_url", "limits", "exports",
)  # fmt: skip
_SETTABLE = (
    "allowed: settings.NAME=VALUE, limits.NAME=VALUE, input.NAME=VALUE, base_url=URL, "
    "token_url=URL, login_url=URL"
)


def load_connection(
    path: Path, catalog: Catalog, overrides: Sequence[str] = (), *, signing_in: bool = False
) -> Connection:
    """Load a connection file; `overrides` are `settings.name=value`.

    `signing_in`: the setting that a sign-in finds the value of may be missing still.

    Raise ConfigError with every problem, and DefinitionError when the destination is wrong.
    """
    document = read_yaml(path, "C")
    for override in overrides:
        document = _override(document, override)

    return connection_from_document(document, str(path), catalog, signing_in=signing_in)


def connection_from_document(
    document: Any, file: str, catalog: Catalog, *, signing_in: bool = False
) -> Connection:
    """Make a connection of what a connection file holds, whatever it is.

    Raise as `load_connection` does.
    """
    problems = list(_form(document, file))
    if problems:
        raise ConfigError(problems)
    return make_connection(document, file, catalog, signing_in=signing_in)


def _override(document: Any, override: str) -> Any:
    """Return the document with one value replaced. Raise ConfigError (C011)."""
    target, equals, text = override.partition("=")
    section, _, name = target.partition(".")
    is_address = section in _ADDRESSES
    is_member = section in _SECTIONS and name
    if not equals or not (is_address or is_member):
        message = f"'{target}' cannot be set"
        raise ConfigError([Problem("C011", "--set", "", message, _SETTABLE)])

    if not isinstance(document, dict):
        return document  # the meta-schema reports it
    if is_address:
        return {**document, section: text}

    try:
        value = parse_yaml(text)
    except (YAMLError, RecursionError):
        message = f"invalid YAML in the value of '{target}'"
        raise ConfigError([Problem("C011", "--set", "", message)]) from None

    members = document.get(section) or {}
    if not isinstance(members, dict):
        return document  # the meta-schema reports it
    return {**document, section: {**members, name: value}}


def _form(document: Any, file: str) -> Iterator[Problem]:
    """Yield what the meta-schema finds, without quoting what may be a secret."""
    for problem in form_problems("connection", document, file, "C"):
        if problem.pointer.startswith("/credentials/"):
            yield _credential_problem(problem, document)
        else:
            yield problem


def _credential_problem(problem: Problem, document: Any) -> Problem:
    """Return a problem of `credentials` that shows neither keys nor values of a reference."""
    name = problem.pointer.split("/")[2]
    if not _CREDENTIAL.fullmatch(name):
        message = "the name of a credential has an invalid format"
        return problem._replace(code="C106", pointer="/credentials", message=message)
    if problem.code == "C105" and lookup(document, problem.pointer) is not None:
        message = "literal secret in the file"
        hint = f"{REFERENCE_HINT} instead, and rotate that secret"
        return problem._replace(code="C203", message=message, hint=hint)

    # a secret in braces is a key: {s3cret} is {s3cret: null}
    if problem.code == "C102":
        reference, _, _ = problem.pointer.rpartition("/")
        hint = f"known: {', '.join(KINDS)}; {ROTATE_HINT}"
        return problem._replace(pointer=reference, message="unknown key", hint=hint)
    if problem.code == "C106":
        return problem._replace(hint=f"{problem.hint}; {ROTATE_HINT}")
    return problem


def make_connection(
    document: Mapping[str, Any], file: str, catalog: Catalog, *, signing_in: bool = False
) -> Connection:
    """Return the connection of a document that satisfies the meta-schema.

    Raise ConfigError, DefinitionError.
    """
    name = document["destination"]
    if name not in catalog.ids():
        known = nearest(name, catalog.ids())
        hint = f"{known}; for your own definitions, pass --definitions FOLDER"
        message = f"unknown destination '{name}'"
        raise ConfigError([Problem("C201", file, "/destination", message, hint)])

    destination = catalog.load(name)
    exports = destination.exports if "exports" in document else {}
    rules = Rules(document, file, destination, exports, signing_in=signing_in)
    problems = list(rules.problems())
    if problems:
        raise ConfigError(problems)

    routes = _routes(document.get("routes", ()), destination)
    mapped = _exports(document.get("exports", {}), exports)
    event_id = document.get("event_id")
    for finding in event_id_findings(event_id, routes, mapped.values()):
        problems.append(finding.in_file(file))
    if problems:
        raise ConfigError(problems)

    credentials = {}
    for credential, reference in document.get("credentials", {}).items():
        kind, location = next(iter(reference.items()))
        credentials[credential] = SecretRef(kind, location)

    return Connection(
        file=file,
        destination=destination,
        settings=rules.settings,
        credentials=credentials,
        base_url=document.get("base_url") or destination.base_url(rules.settings),
        limits=read_limits(document.get("limits", {})),
        event_id=event_id,
        order=document.get("order", "strict"),
        routes=routes,
        token_url=document.get("token_url", ""),
        login_url=document.get("login_url", ""),
        name=document.get("name", ""),
        description=document.get("description", ""),
        input=input_options(document.get("input", {})),
        exports=mapped,
        digest=_digest(document),
    )


def _digest(document: Mapping[str, Any]) -> str:
    """Return the digest of the members that decide what is sent where."""
    deciding = {name: document[name] for name in document if name not in _DECIDE_NOTHING}
    content = json.dumps(deciding, default=str, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def connection_warnings(connection: Connection) -> list[Problem]:
    """Return what may be meant in a connection, but probably is not."""
    found = []
    for finding in warnings(connection.routes, connection.exports):
        problem = finding.in_file(connection.file)
        found.append(problem._replace(severity="warning"))
    return found


def _routes(documents: Sequence[Mapping[str, Any]], destination: Destination) -> tuple[Route, ...]:
    routes = []
    for index, document in enumerate(documents):
        route = Route(
            name=route_name(index, document),
            action=destination.actions[document["action"]],
            when=document.get("when"),
            map=field_mappings(document.get("map", {})),
            each=document.get("each"),
            description=document.get("description", ""),
            opt_out=opt_out(document.get("opt_out", False)),
        )
        routes.append(route)
    return tuple(routes)


def _exports(
    documents: Mapping[str, Mapping[str, Any]], known: Mapping[str, Export]
) -> dict[str, MappedExport]:
    exports = {}
    for name, document in documents.items():
        exports[name] = MappedExport(
            export=known[name],
            when=document.get("when"),
            map=field_mappings(document["map"]),
            each=document.get("each"),
            description=document.get("description", ""),
        )
    return exports
