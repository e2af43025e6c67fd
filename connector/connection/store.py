"""The store of logins: what a sign-in gave, by a name that connections refer to.

Each login is a file of its own, which only its owner can read. Its secrets are in the keyring of
the operating system where there is one that works, else in the file as well. No message here quotes
a secret or a name: somebody may have written the secret itself in the place of the name.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from connector._util.replace_file import replace_file

#: The environment variable with the folder to use instead of the user's own; no keyring then.
FOLDER_VARIABLE = "CONNECTOR_STORE"

#: What the name of a login looks like.
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")

# What the keyring of the operating system calls us.
_SERVICE = "audience-connector"
#: What others than its owner may do with a file.
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class StoreError(ValueError):
    """The store cannot be read or written; the text is `message; hint`."""


class UnknownLoginError(StoreError):
    """There is no login of this name."""


@dataclass(frozen=True, slots=True)
class Login:
    """What a sign-in gave.

    `credentials` holds the secrets by the names of the credentials. `label` says whose they are,
    `description` what for. `ends`: when they end, in seconds since the epoch, None when that is not
    known. `signed_in` is False for what was pasted: it may be in use elsewhere.
    """

    label: str
    description: str
    credentials: Mapping[str, str] = field(repr=False)
    ends: float | None = None
    signed_in: bool = True


class Store:
    """The logins of a folder. `keyring`: whether secrets go into the keyring, where one works."""

    def __init__(self, folder: Path, *, keyring: bool = False) -> None:
        self.folder = folder
        self._uses_keyring = keyring

    @classmethod
    def of_user(cls) -> Store:
        """Return the store of this user, or the one that the environment names."""
        chosen = os.environ.get(FOLDER_VARIABLE)
        if chosen:
            return cls(Path(chosen))
        config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
        return cls(Path(config) / _SERVICE / "logins", keyring=True)

    def names(self) -> list[str]:
        """Return the names of all logins. Raise StoreError."""
        names = []
        try:
            for path in self.folder.iterdir():
                if path.suffix == ".json" and NAME.fullmatch(path.stem):
                    names.append(path.stem)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unusable(error) from None
        return sorted(names)

    def read(self, name: str) -> Login:
        """Return a login. Raise UnknownLoginError, StoreError."""
        try:
            document = json.loads(self._text(name))
            if document.pop("in_keyring"):
                document["credentials"] = json.loads(_keyring_secrets(name))
            login = Login(**document)
            "".join(login.credentials.values())  # all of them are texts
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise self._damaged(error) from None
        return login

    def write(self, name: str, login: Login) -> str:
        """Keep a login, in place of an older one; return where its secrets are. Raise StoreError.

        Whoever reads at the same time sees the old one or the new one.
        """
        in_keyring = self._uses_keyring and _set_in_keyring(name, login.credentials)
        document: dict[str, Any] = {
            "label": login.label,
            "description": login.description,
            "credentials": {} if in_keyring else dict(login.credentials),
            "ends": login.ends,
            "signed_in": login.signed_in,
            "in_keyring": in_keyring,
        }
        try:
            self._replace(name, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
        except OSError as error:
            raise self._unusable(error) from None
        if self._uses_keyring and not in_keyring:
            _forget_in_keyring(name)  # an older one
        return "the keyring of this system" if in_keyring else str(self._path(name))

    def renew(self, name: str, credential: str, secret: str) -> None:
        """Keep a new secret in place of an older one. Raise UnknownLoginError, StoreError."""
        login = self.read(name)
        self.write(name, replace(login, credentials={**login.credentials, credential: secret}))

    def forget(self, name: str) -> None:
        """Remove a login. Raise UnknownLoginError, StoreError."""
        path = self._path(name)
        if self._uses_keyring and not _forget_in_keyring(name):
            message = "the keyring of this system keeps the login's secrets"
            raise StoreError(f"{message}; unlock it, and sign out again")
        try:
            path.unlink()
        except FileNotFoundError:
            raise UnknownLoginError from None
        except OSError as error:
            raise self._unusable(error) from None

    def _path(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise UnknownLoginError
        return self.folder / f"{name}.json"

    def _text(self, name: str) -> str:
        path = self._path(name)
        try:
            with path.open(encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                if sys.platform != "win32" and mode & OTHERS:
                    hint = f"take the rights away: chmod -R go= {self.folder}"
                    raise StoreError(f"the login in the store can be read by others; {hint}")
                return file.read()
        except FileNotFoundError:
            raise UnknownLoginError from None
        except UnicodeDecodeError as error:
            raise self._damaged(error) from None
        except OSError as error:
            raise self._unusable(error) from None

    def _replace(self, name: str, text: str) -> None:
        path = self._path(name)
        # only its owner can list the folder
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, text.encode())

    def _damaged(self, error: Exception) -> StoreError:
        message = f"the login in the store is damaged ({type(error).__name__})"
        return StoreError(f"{message}; remove its file in {self.folder}, and sign in again")

    def _unusable(self, error: OSError) -> StoreError:
        reason = error.strerror or type(error).__name__
        hint = f"make the folder yours, or name another one in {FOLDER_VARIABLE}"
        return StoreError(f"the store {self.folder} cannot be used: {reason}; {hint}")


def has_ended(login: Login) -> bool:
    """Return whether a login is known to have ended."""
    return login.ends is not None and login.ends <= time.time()


# The keyring: an extra, and not on every machine where it is installed is there one that works.


def _keyring() -> Any:
    """Return the module, None when it is not installed or has nothing to keep secrets in."""
    try:
        import keyring
    except ImportError:
        return None
    return keyring if keyring.get_keyring().priority > 0 else None


def _set_in_keyring(name: str, credentials: Mapping[str, str]) -> bool:
    """Return whether the keyring keeps the secrets."""
    keyring = _keyring()
    if keyring is None:
        return False
    text = json.dumps(dict(credentials))
    try:
        keyring.set_password(_SERVICE, name, text)
        return bool(keyring.get_password(_SERVICE, name) == text)
    except Exception:  # noqa: BLE001 - each system's keyring fails in its own way
        return False


def _keyring_secrets(name: str) -> str:
    """Return the secrets as they were written. Raise StoreError."""
    hint = "unlock the keyring of this system, or sign in again"
    keyring = _keyring()
    if keyring is None:
        raise StoreError(f"there is no keyring here, and the login's secrets are in one; {hint}")
    try:
        text = keyring.get_password(_SERVICE, name)
    except Exception as error:  # noqa: BLE001 - each system's keyring fails in its own way
        message = f"the keyring of this system cannot be read ({type(error).__name__})"
        raise StoreError(f"{message}; {hint}") from None
    if text is None:
        raise StoreError(f"the keyring of this system has lost the login's secrets; {hint}")
    return str(text)


def _forget_in_keyring(name: str) -> bool:
    """Return whether the secrets are gone, as far as the keyring says."""
    keyring = _keyring()
    if keyring is None:
        return True
    with suppress(Exception):  # it may have nothing of this name
        keyring.delete_password(_SERVICE, name)
    with suppress(Exception):  # one that cannot be read kept nothing of a login that could be
        return keyring.get_password(_SERVICE, name) is None
    return True
