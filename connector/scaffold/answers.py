"""An author''s answers about a new destination, and their checks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from connector.definitions.uri_template import placeholders
from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.definitions.catalog import Catalog

#: The folder with the templates of the files, and with what an author can choose from.
FOLDER = Path(str(resources.files(__package__))) / "files"

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_NAME_RULE = "lower-case letters, digits and single underscores, starting with a letter"
# Folders of schemas that are no destination, and words that YAML does not take for text.
_RESERVED = frozenset({"meta", "standard", "true", "false", "null"})

_LABEL = "[A-Za-z0-9-]+"
_BASE_URL = re.compile(
    # A host with a dot that is no IP address, a port, and a path.
    rf"https://(?=[^/]*[A-Za-z]){_LABEL}(\.{_LABEL})+"
    r"(:[1-9][0-9]{0,4})?"
    r"(/[A-Za-z0-9._~-]+)*/?"
)
_BASE_URL_HINT = (
    "use the vendor's https address without user, query and fragment, "
    "such as https://api.acme.example/v2"
)
_PATH = re.compile(r"(/([A-Za-z0-9._~:-]|\{[a-z][a-z0-9_]*\})*)+")


class Answers(NamedTuple):
    """What an author decides. `auth` and the known `identifiers` are keys of `choices()`."""

    destination: str
    base_url: str
    auth: str
    identifiers: tuple[str, ...]
    path: str


@cache
def choices() -> Mapping[str, Any]:
    """Return what an author can choose from: the usual path, authentication and identifiers."""
    text = (FOLDER / "choices.json").read_text("utf-8")
    document: Mapping[str, Any] = json.loads(text)
    return document


def check(
    destination: str, base_url: str | None, identifiers: Sequence[str], path: str | None
) -> None:
    """Raise ConfigError (C020) with every problem of the answers given so far."""
    messages = {"DESTINATION": check_destination(destination)}
    if base_url is not None:
        messages["--base-url"] = check_base_url(base_url)
    if identifiers:
        messages["--identifier"] = check_identifiers(identifiers)
    if path is not None:
        messages["--path"] = check_path(path, identifiers)

    problems = []
    for option, message in messages.items():
        if message:
            problems.append(Problem("C020", option, "", message))
    if problems:
        raise ConfigError(problems)


# Each returns what is wrong with an answer and how to fix it, or an empty text.


def check_destination(name: str) -> str:
    """Check the name of a destination."""
    from connector.definitions.catalog import Catalog

    if name in _RESERVED:
        hint = "choose another name, such as acme_audiences"
        return f"'{name}' is reserved; {hint}"
    if not _NAME.fullmatch(name):
        hint = f"use {_NAME_RULE}, such as acme_audiences"
        return f"invalid name '{name}'; {hint}"

    catalog = Catalog()
    known = catalog.ids()
    if name in known:
        hint = f"choose another name (known: {', '.join(known)})"
        return f"destination '{name}' already exists; {hint}{_preset_hint(catalog, name)}"
    return ""


def _preset_hint(catalog: Catalog, destination: str) -> str:
    """Return how to get a connection to a destination that exists, "" if it has no presets."""
    from connector.definitions.presets import presets

    names = []
    for preset in presets(catalog.folder(destination) / "schemas" / destination):
        names.append(preset.name)
    return f"; for a connection to it, add --from {'|'.join(names)}" if names else ""


def check_base_url(url: str) -> str:
    """Check the base URL. The message does not quote it: it may hold a password."""
    if url.startswith("http://"):
        message = "https is required: identifiers would be sent unencrypted"
        return f"{message}; {_BASE_URL_HINT}"
    if not _BASE_URL.fullmatch(url):
        message = "is not a vendor's https address"
        for_a_sandbox = "for a sandbox, set base_url in the connection"
        return f"{message}; {_BASE_URL_HINT}; {for_a_sandbox}"
    return ""


def check_identifiers(names: Sequence[str]) -> str:
    """Check the names of the identifiers."""
    known = ", ".join(choices()["identifiers"])
    if not names:
        hint = f"use {known}, or custom names"
        return f"at least one identifier is required; {hint}"

    for name in names:
        if not _is_parameter_name(name):
            hint = f"use {known}, or a custom name: {_NAME_RULE}"
            return f"invalid name '{name}'; {hint}"
        if names.count(name) > 1:
            return f"'{name}' is listed twice; list each identifier once"
    return ""


def check_path(path: str, identifiers: Sequence[str] = ()) -> str:
    """Check the path below the base URL. No placeholder in it may be one of the identifiers."""
    if not _PATH.fullmatch(path):
        example = choices()["path"]
        hint = f"start with / and omit the query, such as {example}"
        return f"invalid path '{path}'; {hint}"

    for name in placeholders(path):
        if not _is_parameter_name(name):
            return f"invalid name {{{name}}}; use {_NAME_RULE}"
        if name in identifiers:
            message = f"{{{name}}} is an identifier, which is not allowed in a URL"
            return f"{message}; remove it from the path"
    return ""


def _is_parameter_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None and name not in _RESERVED
