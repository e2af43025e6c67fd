"""A first destination: files that pass lint and their own cases at once, for an author to mend one by one.

They stand in `scaffold_files/` as they will stand in the author's folder, with DESTINATION in their names. They are
text templates with [[ … ]] and [% … %], because what they make is full of Jinja's own braces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from connector.definitions.uri_template import placeholders
from connector.errors import ConfigError, Problem

_FILES = "files"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_NAMES = "lower-case letters, digits and single underscores, starting with a letter"
_BASE_URL = re.compile(
    r"https://(?=[^/]*[A-Za-z])[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+(:[1-9][0-9]{0,4})?(/[A-Za-z0-9._~-]+)*/?"
)
_PATH = re.compile(r"(/([A-Za-z0-9._~:-]|\{[a-z][a-z0-9_]*\})*)+")
# Folders of schemas that are no destination, and words that YAML does not take for text.
_RESERVED = frozenset({"meta", "true", "false", "null"})


class Wanted(NamedTuple):
    """What an author says about the destination. `auth` is a key of `parts.json`."""

    destination: str
    base_url: str
    auth: str
    identifiers: tuple[str, ...]
    path: str


@cache
def parts() -> Mapping[str, Any]:
    """Return what an author can choose from: the usual path, authentication and identifiers."""
    found: Mapping[str, Any] = json.loads((_folder() / "parts.json").read_text("utf-8"))
    return found


def _folder() -> Path:
    return Path(str(resources.files(__package__))) / _FILES


# What may be wrong with an answer: the text says it, and how to mend it; it is empty when nothing is wrong.


def wrong_destination(name: str) -> str:
    """Look at the name of a destination."""
    from connector.definitions.catalog import Catalog

    if name in _RESERVED:
        return f"'{name}' cannot be a destination's name: it is reserved; choose another name, such as acme_audiences"
    if not _NAME.fullmatch(name):
        return f"'{name}' cannot be a destination's name; write {_NAMES}, such as acme_audiences"
    known = Catalog().ids()
    if name in known:
        return f"there is a destination '{name}' already; choose another name (known: {', '.join(known)})"
    return ""


def wrong_base_url(url: str) -> str:
    """Look at the address that all paths start at. What was written is not repeated: it may hold a password."""
    hint = "write the vendor's https address without user, query and fragment, such as https://api.acme.example/v2"
    if url.startswith("http://"):
        return f"is not https, and identifiers would travel in the clear; {hint}"
    if not _BASE_URL.fullmatch(url):
        return f"is not the https address of a vendor; {hint}; a connection has a base_url of its own, for a sandbox"
    return ""


def wrong_identifiers(names: Sequence[str]) -> str:
    """Look at what names a person."""
    known = ", ".join(parts()["identifiers"])
    for name in names:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            return f"'{name}' cannot be a parameter's name; take {known}, or a name of your own: {_NAMES}"
        if names.count(name) > 1:
            return f"'{name}' is named twice; name each identifier once"
    return "" if names else f"nothing names a person; take {known}, or names of your own"


def wrong_path(path: str, identifiers: Sequence[str] = ()) -> str:
    """Look at the path below the base URL. `identifiers`: names that cannot stand in it."""
    usual = parts()["path"]
    if not _PATH.fullmatch(path):
        return (
            f"'{path}' is not a path; write it from the first / on, without query, such as {usual}"
        )
    for name in placeholders(path):
        if not _NAME.fullmatch(name) or name in _RESERVED:
            return f"{{{name}}} cannot be a parameter's name; write {_NAMES}"
        if name in identifiers:
            return f"{{{name}}} names a person, and an identifier never stands in a URL; take it out of the path"
    return ""


def check(
    destination: str, base_url: str | None, identifiers: Sequence[str], path: str | None
) -> None:
    """Raise ConfigError (C020) with everything that is wrong with the answers that an author has given so far."""
    wrong = {
        "DESTINATION": wrong_destination(destination),
        "--base-url": wrong_base_url(base_url) if base_url is not None else "",
        "--identifier": wrong_identifiers(identifiers) if identifiers else "",
        "--path": wrong_path(path, identifiers) if path is not None else "",
    }
    problems = [Problem("C020", flag, "", message) for flag, message in wrong.items() if message]
    if problems:
        raise ConfigError(problems)


def scaffold(wanted: Wanted) -> dict[Path, str]:
    """Return the files of a destination, by their paths below the author's folder, snapshots of its cases included.

    What is wanted has been checked.
    """
    made = dict(_rendered(wanted))
    with TemporaryDirectory() as folder:
        write(Path(folder), made)
        made |= dict(_snapshots(Path(folder), made))
    return dict(sorted(made.items()))


def _rendered(wanted: Wanted) -> Iterator[tuple[Path, str]]:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(  # noqa: S701 - what is put in has been checked: names, an address, a path
        variable_start_string="[[", variable_end_string="]]", block_start_string="[%", block_end_string="%]",
        comment_start_string="[#", comment_end_string="#]", undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    context = _context(wanted)
    for file in sorted(_folder().rglob("*.txt")):
        name = str(file.relative_to(_folder()).with_suffix("")).replace(
            "DESTINATION", wanted.destination
        )
        yield Path(name), environment.from_string(file.read_text("utf-8")).render(context)


def _context(wanted: Wanted) -> dict[str, Any]:
    """Return what the templates see. Of the path's names the last is the audience; those before are settings."""
    known, other = parts()["identifiers"], parts()["other"]
    names = list(dict.fromkeys(placeholders(wanted.path)))
    base_url = wanted.base_url.rstrip("/")
    auth = {
        key: value.replace("BASE_URL", base_url) if isinstance(value, str) else value
        for key, value in parts()["auth"][wanted.auth].items()
    }
    identifiers = [
        {"name": name, "title": _title(name), **(known.get(name) or _named(other, name))}
        for name in wanted.identifiers
    ]
    hashes = {one["hash"] for one in identifiers}
    return {
        "destination": wanted.destination,
        "title": _title(wanted.destination),
        "base_url": base_url,
        "auth": auth,
        "path": wanted.path,
        "settings": [_id(name) for name in names[:-1]],
        "parameters": [_id(name) for name in names[-1:]],
        "noun": _noun(names[-1]) if names else _NOUN,
        "identifiers": identifiers,
        "digests": "sha256" in hashes,
        "texts": "none" in hashes,
    }


_NOUN = "audience"


def _id(name: str) -> dict[str, str]:
    noun = _noun(name)
    words = f"id of the {noun}" if name.endswith("id") else noun
    return {"name": name, "title": _title(name), "words": words, "example": "42"}


def _noun(name: str) -> str:
    return name.removesuffix("id").rstrip("_").replace("_", " ") or _NOUN


def _title(name: str) -> str:
    return " ".join("ID" if word == "id" else word.capitalize() for word in name.split("_"))


def _named(about: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {**about, "description": about["description"].replace("NAME", _title(name))}


def _snapshots(folder: Path, made: Mapping[Path, str]) -> Iterator[tuple[Path, str]]:
    """Yield what the cases come to, where the snapshots of a case file are kept."""
    from connector.definitions.catalog import Catalog
    from connector.testing.case import load_cases, run_case

    for path in made:
        if path.name.endswith(".case.yaml"):
            for case in load_cases(folder / path, Catalog([folder])):
                yield path.parent / "__snapshots__" / path.stem / f"{case.slug}.txt", run_case(case)


def write(folder: Path, files: Mapping[Path, str]) -> list[Path]:
    """Write files below a folder and return their paths: all of them or none.

    Raises ConfigError (C021) when one exists, or cannot be written.
    """
    paths = [folder / path for path in files]
    existing = [path for path in paths if path.exists() or path.is_symlink()]
    if existing:
        hint = "nothing was written; take it away, or choose another destination or --into"
        raise ConfigError(
            Problem("C021", str(path), "", "exists already", hint) for path in existing
        )
    written: list[Path] = []
    try:
        for path, text in zip(paths, files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                written.append(path)
                file.write(text)
    except OSError as error:
        for path in written:
            with suppress(OSError):
                path.unlink()
        message = f"cannot be written: {error.strerror}; nothing was written"
        raise ConfigError([Problem("C021", str(error.filename or folder), "", message)]) from None
    return paths
