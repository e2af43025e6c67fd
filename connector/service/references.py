"""Options that refer to a secret instead of holding it."""

from __future__ import annotations

from connector.connection.secrets import SecretRef, secret_of
from connector.errors import ConfigError, Problem


def reference_in(text: str, option: str) -> str:
    """Return the secret that an option's `env:NAME` or `file:PATH` refers to.

    Raise ConfigError (C045).
    """
    kind, _, location = text.partition(":")
    if kind not in ("env", "file") or not location:
        # It may be the secret itself, so it is not quoted.
        message = "is not a reference to a secret"
        hint = f"write {option} env:NAME or {option} file:PATH"
        raise ConfigError([Problem("C045", option, "", message, hint)])
    try:
        return secret_of(SecretRef(kind, location))
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        raise ConfigError([Problem("C045", option, "", message, hint)]) from None
