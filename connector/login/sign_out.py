"""Signing out: the vendor takes its token back, and the store forgets the login."""

from __future__ import annotations

from connector.auth.base import Scheme
from connector.auth.oauth1 import OAuth1
from connector.auth.schemes import scheme_of
from connector.connection.model import Connection
from connector.connection.store import Login as StoredLogin
from connector.connection.store import Store, UnknownLoginError, has_ended
from connector.definitions.login import Login
from connector.definitions.model import AuthConfig
from connector.errors import LoginError
from connector.login.flow import Flow


def stored_logins(connection: Connection) -> dict[str, StoredLogin]:
    """Return the logins that a connection refers to and that there are. Raise StoreError."""
    store = Store.of_user()
    logins = {}
    for reference in connection.credentials.values():
        if reference.kind == "stored" and reference.location not in logins:
            try:
                logins[reference.location] = store.read(reference.location)
            except UnknownLoginError:
                continue
    return logins


def revoke(connection: Connection, stored: StoredLogin) -> bool:
    """Have the vendor take a login's token back; return whether it can.

    What was pasted stays valid: it may be in use elsewhere. Raise LoginError when it is refused,
    ConfigError for a missing secret.
    """
    auth = connection.auth()
    login = connection.login()
    names = scheme_of(auth).SIGNED_IN
    is_whole = stored.credentials.keys() >= set(names)
    if login is None or not login.revoke_url or not is_whole:
        return False
    if not stored.signed_in or has_ended(stored):
        return False
    _ask(connection, auth, login, stored.credentials[names[0]])
    return True


def _ask(connection: Connection, auth: AuthConfig, login: Login, token: str) -> None:
    """Raise LoginError unless the vendor takes a token back."""
    scheme = Scheme(auth, {})
    form = None
    if auth.scheme == "oauth1":
        scheme = OAuth1(auth, connection.secrets())
    else:
        form = {"token": token}  # RFC 7009

    flow = Flow(auth, login, {}, "", 0.0)
    try:
        status = flow.fetch(scheme, "POST", login.revoke_url, form).status
    except LoginError as error:
        raise LoginError(f"{error}; nothing is removed. {_WITHOUT}") from None
    if not 200 <= status < 300:
        message = f"the vendor does not take the token back (HTTP {status})"
        raise LoginError(f"{message}: it may be taken back already; nothing is removed. {_WITHOUT}")


_WITHOUT = "With --forget it is removed here, and not taken back"


def forget(name: str) -> None:
    """Remove a login from the store. Raise StoreError."""
    Store.of_user().forget(name)
