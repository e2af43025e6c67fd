"""Credentials: references to secrets, and where the secrets are found. No text here ever holds one."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from connector.definitions.model import KEY_ROOM, AuthConfig
from connector.errors import ConfigError, Problem


class SecretRef(NamedTuple):
    """Where a secret is found: kind `env` (a variable's name) or `file` (a path)."""

    kind: str
    place: str


def missing(auth: AuthConfig, given: Container[str], file: str) -> Iterator[Problem]:
    """Yield the credentials of an `auth` that are neither given nor optional."""
    for name in auth.credentials:
        if name not in given and name not in auth.optional:
            hint = "write {env: NAME} or {file: PATH}"
            yield Problem("C204", file, "/credentials", f"missing credential '{name}'", hint)


def find_secrets(auth: AuthConfig, given: Mapping[str, SecretRef], file: str) -> dict[str, str]:
    """Return the secrets by name. Raises ConfigError (C204, C216): which are missing, and where they were sought."""
    found: dict[str, str] = {}
    problems = list(missing(auth, given, file))
    for name, ref in given.items():
        try:
            found[name] = _read(ref)
            _check_room(found[name], auth)
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            problems.append(Problem("C216", file, f"/credentials/{name}", message, hint))
    if problems:
        raise ConfigError(problems)
    return found


def _check_room(secret: str, auth: AuthConfig) -> None:
    """Raise ValueError when a key does not fit into the room that is kept free for it in a body."""
    if auth.key_in == "body" and len(json.dumps([auth.key_name, secret])) > KEY_ROOM:
        raise ValueError(
            "the secret is too long to be sent in a body; look whether it is the right one"
        )


def _read(ref: SecretRef) -> str:
    secret = _variable(ref.place) if ref.kind == "env" else _file(ref.place)
    if not secret.isprintable():
        raise ValueError(
            "the secret holds a line break or a control character; write the secret and nothing else"
        )
    return secret


def _variable(name: str) -> str:
    secret = os.environ.get(name, "").strip()
    if not secret:
        # a name of another form may be the secret itself
        shown = name if re.fullmatch("[A-Z_][A-Z0-9_]*", name) else "named here"
        raise ValueError(
            f"the environment variable {shown} is not set or empty; export it before sending"
        )
    return secret


# No token and no key is written like this: they have capitals, or no slash and no ending.
_PATH = re.compile(r"[/~].*|[a-z0-9._-]*/[a-z0-9._/-]*|[a-z0-9_-]+\.[a-z]{2,5}")


def _file(path: str) -> str:
    try:
        secret = Path(path).read_text("utf-8").strip()
    except FileNotFoundError:
        # what looks like no path may be the secret itself
        shown = f"file {path}" if _PATH.fullmatch(path) else "such file"
        raise ValueError(f"there is no {shown}; write the secret to it, or mend the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file {path} cannot be read ({type(error).__name__})") from None
    if not secret:
        raise ValueError(f"the file {path} is empty; write the secret to it")
    return secret
