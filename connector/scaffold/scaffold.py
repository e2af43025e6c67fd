"""A first destination, for an author to change one file after the other.

Its files pass lint and their own cases at once. Their templates are in `files/`, laid out as in the
author's folder, with DESTINATION in their names. They have [[ … ]] and [% … %] for tags, because
the files themselves are full of Jinja's braces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from connector.definitions.derive import credentials_of
from connector.definitions.metaschema import own_folder
from connector.definitions.uri_template import placeholders
from connector.errors import ConfigError, Problem
from connector.scaffold.answers import FOLDER, Answers, choices

_DEFAULT_NOUN = "audience"

# What the files of a destination name in "$schema", and what those refer to.
_META_SCHEMAS = ("action", "common", "destination", "fragment")


def scaffold(answers: Answers) -> dict[Path, str]:
    """Return the files of a destination by their paths below the author's folder.

    The snapshots of its cases are included. The answers have been checked.
    """
    files = _rendered(answers)
    with TemporaryDirectory() as folder:
        write(Path(folder), files)
        files |= _snapshots(Path(folder), list(files))
    return dict(sorted(files.items()))


def meta_schemas(folder: Path) -> dict[Path, str]:
    """Return the meta-schemas that a folder lacks, by their paths below it.

    The files of a destination refer to them, so that any editor completes and checks these files.
    """
    files = {}
    for name in _META_SCHEMAS:
        path = Path("schemas", "meta", f"{name}.schema.json")
        if not (folder / path).exists():
            files[path] = (own_folder() / path).read_text("utf-8")
    return files


def _rendered(answers: Answers) -> dict[Path, str]:
    from jinja2 import Environment, StrictUndefined

    # All values have been checked: names, an address, a path.
    environment = Environment(  # noqa: S701 - the values are checked
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    context = _context(answers)

    files: dict[Path, str] = {}
    for source in sorted(FOLDER.rglob("*.txt")):
        template = environment.from_string(source.read_text("utf-8"))
        name = str(source.relative_to(FOLDER).with_suffix(""))
        path = Path(name.replace("DESTINATION", answers.destination))
        files[path] = template.render(context)
    return files


def _context(answers: Answers) -> dict[str, Any]:
    """Return what the templates see.

    The last placeholder of the path is the audience; earlier ones are settings.
    """
    names = list(dict.fromkeys(placeholders(answers.path)))
    path_parameters = list(map(_path_parameter, names))
    identifiers = list(map(_identifier, answers.identifiers))
    hashes = {identifier["hash"] for identifier in identifiers}
    base_url = answers.base_url.rstrip("/")
    auth = _auth(answers.auth, base_url)
    return {
        "destination": answers.destination,
        "title": _title(answers.destination),
        "base_url": base_url,
        "auth": auth,
        "credentials": credentials_of(auth),
        "path": answers.path,
        "settings": path_parameters[:-1],
        "parameters": path_parameters[-1:],
        "noun": _noun(names[-1]) if names else _DEFAULT_NOUN,
        "identifiers": identifiers,
        "digests": "sha256" in hashes,
        "texts": "none" in hashes,
    }


def _auth(choice: str, base_url: str) -> dict[str, Any]:
    auth: dict[str, Any] = {}
    for key, value in choices()["auth"][choice].items():
        is_text = isinstance(value, str)
        auth[key] = value.replace("BASE_URL", base_url) if is_text else value
    return auth


def _identifier(name: str) -> dict[str, Any]:
    title = _title(name)
    known = choices()["identifiers"].get(name)
    if known:
        return {"name": name, "title": title, **known}

    other = choices()["other"]
    description = other["description"].replace("NAME", title)
    return {"name": name, "title": title, **other, "description": description}


def _path_parameter(name: str) -> dict[str, str]:
    noun = _noun(name)
    words = f"id of the {noun}" if name.endswith("id") else noun
    return {"name": name, "title": _title(name), "words": words, "example": "42"}


def _noun(name: str) -> str:
    """Return what an id is of: `list_id` is of a list."""
    return name.removesuffix("id").rstrip("_").replace("_", " ") or _DEFAULT_NOUN


def _title(name: str) -> str:
    words = []
    for word in name.split("_"):
        words.append("ID" if word == "id" else word.capitalize())
    return " ".join(words)


def _snapshots(folder: Path, paths: list[Path]) -> dict[Path, str]:
    """Return what the cases come to, where the snapshots of a case file are kept."""
    from connector.definitions.catalog import Catalog
    from connector.testing.case import load_cases
    from connector.testing.run_case import run_case

    snapshots: dict[Path, str] = {}
    catalog = Catalog([folder])
    for path in paths:
        if not path.name.endswith(".case.yaml"):
            continue
        kept = path.parent / "__snapshots__" / path.stem
        for case in load_cases(folder / path, catalog):
            snapshots[kept / f"{case.slug}.txt"] = run_case(case)
    return snapshots


def write(folder: Path, files: Mapping[Path, str | bytes]) -> list[Path]:
    """Write files below a folder and return their paths: all of them or none.

    Raise ConfigError (C021) when one exists, or cannot be written.
    """
    paths = [folder / path for path in files]
    _check_absent(paths)

    written: list[Path] = []
    try:
        for path, content in zip(paths, files.values(), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                written.append(path)
                file.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        for path in written:
            with suppress(OSError):
                path.unlink()
        name = str(error.filename or folder)
        message = f"cannot be written: {error.strerror}; nothing was written"
        raise ConfigError([Problem("C021", name, "", message)]) from None
    return paths


def _check_absent(paths: list[Path]) -> None:
    """Raise ConfigError (C021) for the first path that exists; it says how many others do."""
    present = []
    for path in paths:
        if path.exists() or path.is_symlink():
            present.append(path)
    if not present:
        return
    message = "exists already"
    if len(present) > 1:
        message += f", and so do others ({len(present) - 1})"
    hint = "nothing was written; remove what is there, or choose another destination or --into"
    raise ConfigError([Problem("C021", str(present[0]), "", message, hint)])
