"""Credentials: references to secrets, and the secrets that they resolve to.

No message of this module quotes a secret or a reference: somebody may have written the secret
itself there. A problem's pointer says which reference it is about.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from connector.connection.store import (
    Login,
    Store,
    StoreError,
    UnknownLoginError,
    has_ended,
)
from connector.definitions.model import KEY_ROOM, AuthConfig
from connector.errors import ConfigError, Problem, UnauthorizedError, nearest

#: The kinds of references: keys in a connection.
KINDS = ("env", "file", "stored")

#: The hint that says what a reference looks like.
REFERENCE_HINT = "write {env: NAME}, {file: PATH} or {stored: NAME}"

#: What to do when somebody may have written the secret in the place of a reference.
ROTATE_HINT = (
    "a reference says where the secret is: if the secret itself was written here, rotate it"
)

# What names of variables, of files and of logins look like. Anything else may be a secret.
_USUAL = {
    "env": re.compile(r"[A-Z_][A-Z0-9_]*"),
    "file": re.compile(r"[/.~].*|.*\.\w{1,5}"),
    "stored": re.compile(r"[a-z0-9_.-]{1,24}"),
}


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A reference to a secret.

    `kind` is `env`, `file` or `stored`; `location` a variable's name, a path or a login's name.
    """

    kind: str
    location: str = field(repr=False)


def missing(auth: AuthConfig, given: Container[str]) -> Iterator[str]:
    """Yield the credentials of an `auth` that are neither given nor optional."""
    for name in auth.credentials:
        if name not in given and name not in auth.optional:
            yield name


def find_secrets(
    auth: AuthConfig,
    references: Mapping[str, SecretRef],
    file: str,
    *,
    even_ended: bool = False,
    given_later: Container[str] = (),
) -> dict[str, str]:
    """Return the secrets by name. Raise ConfigError (C204, C216) for all that cannot be used.

    `even_ended`: take those of a login that has ended, too. `given_later`: leave these out where
    they are in a login that there is not.
    """
    secrets: dict[str, str] = {}
    problems = []
    for name in missing(auth, references):
        message = f"missing credential '{name}'"
        problems.append(Problem("C204", file, "/credentials", message, REFERENCE_HINT))

    logins = _Logins(file, even_ended=even_ended)
    for name, reference in references.items():
        try:
            secret = _read(reference, name, logins)
            _check_size(secret, auth)
        except ValueError as error:
            if name in given_later and isinstance(error.__cause__, UnknownLoginError):
                continue
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


def sign_in_command(file: str) -> str:
    """Return the command that signs in for a connection."""
    return f"connector login {shlex.quote(file)}"


class _Logins:
    """The logins that one connection refers to, each read once."""

    def __init__(self, file: str, *, even_ended: bool) -> None:
        self._sign_in = sign_in_command(file)
        self._even_ended = even_ended
        self._read: dict[str, Login] = {}

    def secret(self, name: str, credential: str) -> str:
        """Return a secret of a login. Raise ValueError."""
        login = self._login(name)
        if has_ended(login) and not self._even_ended:
            raise ValueError(f"the login has ended; sign in again: {self._sign_in}")
        if credential not in login.credentials:
            known = ", ".join(login.credentials)
            message = f"the login has no '{credential}'"
            raise ValueError(f"{message}; it has: {known}; sign in again: {self._sign_in}")
        return login.credentials[credential]

    def _login(self, name: str) -> Login:
        if name not in self._read:
            store = Store.of_user()
            try:
                self._read[name] = store.read(name)
            except UnknownLoginError as error:
                hint = f"{nearest(name, store.names())}; sign in: {self._sign_in}"
                hint += _rotate_hint("stored", name)
                raise ValueError(f"there is no login of this name; {hint}") from error
        return self._read[name]


class KeptSecret:
    """A secret of a login that a vendor may renew."""

    def __init__(self, name: str, credential: str) -> None:
        self._store = Store.of_user()
        self._name = name
        self._credential = credential

    def latest(self) -> str | None:
        """Return it as it is now, None when it is gone: another process may have renewed it."""
        try:
            return self._store.read(self._name).credentials.get(self._credential)
        except StoreError:
            return None

    def keep(self, secret: str) -> None:
        """Keep a new one. Raise UnauthorizedError when it would be lost."""
        try:
            self._store.renew(self._name, self._credential, secret)
        except StoreError as error:
            reason = str(error) or "the login was removed from the store meanwhile"
            message = f"the vendor sent a new '{self._credential}', which cannot be kept"
            raise UnauthorizedError(f"{message}: {reason}") from None


def _read(reference: SecretRef, credential: str, logins: _Logins) -> str:
    if reference.kind == "stored":
        return _checked(logins.secret(reference.location, credential))
    return secret_of(reference)


def secret_of(reference: SecretRef) -> str:
    """Return the secret that a variable or a file holds. Raise ValueError."""
    read = _variable if reference.kind == "env" else _file
    return _checked(read(reference.location))


def _checked(secret: str) -> str:
    if not secret.isprintable():
        raise ValueError(
            "the secret contains a line break or a control character; store the secret alone"
        )
    return secret


def _rotate_hint(kind: str, location: str) -> str:
    """Return what to add where nothing was found at a place that does not look like one."""
    return "" if _USUAL[kind].fullmatch(location) else f"; {ROTATE_HINT}"


def _variable(name: str) -> str:
    secret = os.environ.get(name, "").strip()
    if not secret:
        hint = f"export it before sending{_rotate_hint('env', name)}"
        raise ValueError(f"the environment variable is not set or empty; {hint}")
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
        hint = f"write the secret to it, or {check}{_rotate_hint('file', path)}"
        raise ValueError(f"the file does not exist; {hint}") from None
    except UnicodeDecodeError:
        raise ValueError("the file is not UTF-8 text; write the secret to it as text") from None
    except (OSError, ValueError) as error:
        # ValueError: a null byte in the path
        message = f"the file cannot be read ({type(error).__name__})"
        raise ValueError(message + _rotate_hint("file", path)) from None
    if not secret:
        raise ValueError("the file is empty; write the secret to it")
    return secret
