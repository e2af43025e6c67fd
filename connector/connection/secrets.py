"""Credentials: references to secrets, and the secrets that they resolve to.

No message of this module quotes a secret or a reference: somebody may have written the secret
itself there. A problem's pointer says which reference it is about.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connector.definitions.model import KEY_ROOM, AuthConfig
from connector.errors import ConfigError, Problem

#: The hint that says what a reference looks like.
REFERENCE_HINT = "write {env: NAME} or {file: PATH}"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A reference to a secret.

    `kind` is `env` or `file`, `location` a variable's name or a path.
    """

    kind: str
    location: str = field(repr=False)


def missing(auth: AuthConfig, given: Container[str]) -> Iterator[str]:
    """Yield the credentials of an `auth` that are neither given nor optional."""
    for name in auth.credentials:
        if name not in given and name not in auth.optional:
            yield name


def find_secrets(
    auth: AuthConfig, references: Mapping[str, SecretRef], file: str
) -> dict[str, str]:
    """Return the secrets by name. Raise ConfigError (C204, C216) for all that cannot be used."""
    secrets: dict[str, str] = {}
    problems = []
    for name in missing(auth, references):
        message = f"missing credential '{name}'"
        problems.append(Problem("C204", file, "/credentials", message, REFERENCE_HINT))

    for name, reference in references.items():
        try:
            secret = _read(reference)
            _check_size(secret, auth)
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            problems.append(Problem("C216", file, f"/credentials/{name}", message, hint))
        else:
            secrets[name] = secret
    if problems:
        raise ConfigError(problems)
    return secrets


def _check_size(secret: str, auth: AuthConfig) -> None:
    """Raise ValueError when a key does not fit into the room that is kept free for it in a body."""
    if auth.key_in == "body" and len(json.dumps([auth.key_name, secret])) > KEY_ROOM:
        raise ValueError("the secret is too long for a body; check that it is the right one")


def _read(reference: SecretRef) -> str:
    is_variable = reference.kind == "env"
    secret = _variable(reference.location) if is_variable else _file(reference.location)
    if not secret.isprintable():
        raise ValueError(
            "the secret contains a line break or a control character; store the secret alone"
        )
    return secret


def _variable(name: str) -> str:
    secret = os.environ.get(name, "").strip()
    if not secret:
        raise ValueError("the environment variable is not set or empty; export it before sending")
    return secret


def _file(path: str) -> str:
    try:
        secret = Path(path).read_text("utf-8").strip()
    except FileNotFoundError:
        check = "check the path"
        if not Path(path).is_absolute():
            check += (
                f", which starts in {Path.cwd()}: relative paths start in the working directory"
            )
        raise ValueError(f"the file does not exist; write the secret to it, or {check}") from None
    except (OSError, ValueError) as error:
        # ValueError: not UTF-8, or a null byte in the path
        raise ValueError(f"the file cannot be read ({type(error).__name__})") from None
    if not secret:
        raise ValueError("the file is empty; write the secret to it")
    return secret
