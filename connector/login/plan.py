"""What signing in for a connection is about: which secrets are wanted, and where they are kept."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from connector.auth.schemes import scheme_of
from connector.connection.model import Connection
from connector.connection.secrets import REFERENCE_HINT, find_secrets
from connector.connection.store import Login as StoredLogin
from connector.connection.store import Store, StoreError, UnknownLoginError
from connector.definitions.login import Login
from connector.definitions.model import AuthConfig
from connector.errors import ConfigError, Problem
from connector.login import code, oauth1
from connector.login.flow import Flow, Person, SignedIn

_SIGN_IN = {"oauth1": oauth1.sign_in, "oauth2": code.sign_in, "bearer": code.sign_in}


@dataclass(frozen=True)
class Plan:
    """What a sign-in gives, and what has to be pasted.

    `login` is None when there is no page to sign in on: everything is pasted. `given` are the
    credentials that a sign-in gives, `pasted` those that a person has. `kept_in` names the login of
    the store for each of them.
    """

    connection: Connection
    auth: AuthConfig
    login: Login | None
    given: tuple[str, ...]
    pasted: tuple[str, ...]
    # somebody may have written the secret itself in the place of a name
    kept_in: Mapping[str, str] = field(repr=False)

    @property
    def can_use_pin(self) -> bool:
        """Whether the vendor can show a PIN instead of coming back to this machine."""
        return self.login is not None and self.auth.scheme == "oauth1"

    def sign_in(
        self, person: Person, pasted: Mapping[str, str], *, callback: str, pin: bool, wait: float
    ) -> SignedIn:
        """Sign in, with what was pasted of the app. Raise LoginError, ConfigError."""
        if self.login is None:
            return SignedIn({})
        secrets = {**self._app_secrets(), **pasted}
        address = "" if pin else callback or self.login.callback
        flow = Flow(self.auth, self.login, secrets, address, wait)
        return _SIGN_IN[self.auth.scheme](flow, person)

    def _app_secrets(self) -> dict[str, str]:
        """Return the secrets of the app that the connection refers to. Raise ConfigError."""
        references = {}
        for name, reference in self.connection.credentials.items():
            if name not in self.given and name not in self.pasted and name in self._app_names():
                references[name] = reference
        # the rest is missing still, and nobody needs it yet
        auth = replace(self.auth, credentials=tuple(references))
        found = find_secrets(auth, references, self.connection.file, even_ended=True)

        for name in self._app_names():
            needed = name not in self.auth.optional or name == "client_id"
            if needed and name not in found and name not in self.pasted:
                message = f"missing credential '{name}': signing in needs it"
                file = self.connection.file
                raise ConfigError([Problem("C204", file, "/credentials", message, REFERENCE_HINT)])
        return found

    def _app_names(self) -> list[str]:
        """Return the credentials that signing in needs: those of the app."""
        names = [name for name in scheme_of(self.auth).CREDENTIALS if name not in self.given]
        if self.auth.scheme == "bearer":
            names.append("client_id")
        return names

    def all_secrets(self, pasted: Mapping[str, str]) -> dict[str, str]:
        """Return the secrets of the connection with those that were pasted. Raise ConfigError."""
        references = {}
        for name, reference in self.connection.credentials.items():
            if name not in pasted:
                references[name] = reference
        auth = replace(self.auth, credentials=tuple(references))
        return {**find_secrets(auth, references, self.connection.file), **pasted}

    def keep(
        self, secrets: Mapping[str, str], signed_in: SignedIn, label: str, description: str
    ) -> list[str]:
        """Keep the secrets in the store; return where they are. Raise StoreError."""
        by_login: dict[str, dict[str, str]] = {}
        for name, secret in {**secrets, **signed_in.credentials}.items():
            by_login.setdefault(self.kept_in[name], {})[name] = secret

        store = Store.of_user()
        places = []
        for name, credentials in by_login.items():
            is_given = not signed_in.credentials.keys().isdisjoint(credentials)
            login = StoredLogin(
                label=label or signed_in.label,
                description=description or self._description(signed_in),
                credentials={**_kept_before(store, name), **credentials},
                ends=signed_in.ends if is_given else None,
                signed_in=is_given,
            )
            places.append(store.write(name, login))
        return places

    def _description(self, signed_in: SignedIn) -> str:
        """Return what a login is for, when nobody has said it."""
        today = time.strftime("%Y-%m-%d", time.gmtime())
        how = "signed in" if signed_in.credentials else "pasted"
        return f"{self.connection.destination.title}, {how} on {today}"


def _kept_before(store: Store, name: str) -> Mapping[str, str]:
    """Return what a login has: an app's secrets stay when a person signs in again."""
    try:
        return store.read(name).credentials
    except StoreError:
        return {}


def plan(connection: Connection, *, paste: bool = False) -> Plan:
    """Return what signing in for a connection is about.

    `paste`: whatever the vendor's pages are, the person has all of it already.

    Raise ConfigError (C026) when nothing would be kept, and StoreError.
    """
    auth = connection.auth()
    login = None if paste else connection.login()
    given = scheme_of(auth).SIGNED_IN if login else ()
    kept_in = {}
    for name, reference in connection.credentials.items():
        if reference.kind == "stored":
            kept_in[name] = reference.location

    wanted = given or tuple(name for name in auth.credentials if name not in auth.optional)
    _check_kept(connection, wanted, kept_in, is_given=bool(given))
    pasted = []
    for name, stored in kept_in.items():
        if paste or (name not in given and not _is_kept(stored, name)):
            pasted.append(name)
    if login is None and not pasted:
        # all of it is there already: it is pasted anew
        pasted = list(kept_in)
    return Plan(connection, auth, login, tuple(given), tuple(pasted), kept_in)


def _check_kept(
    connection: Connection, wanted: Iterable[str], kept_in: Mapping[str, str], *, is_given: bool
) -> None:
    """Raise ConfigError when nothing, or only a part of a sign-in, would be kept."""
    names = list(wanted)
    stored = {kept_in[name] for name in names if name in kept_in}
    is_whole = all(name in kept_in for name in names) and len(stored) == 1
    if is_whole or (kept_in and not is_given):
        return

    # not the name that is there: it may be the secret itself
    login = connection.destination.id
    lines = ", ".join(f"{name}: {{stored: {login}}}" for name in names)
    message = "does not refer to a login for what a sign-in gives"
    if not is_given:
        message = "refers to no login, so that nothing would be kept"
    hint = f"write {lines}" if lines else "this destination needs no credentials"
    raise ConfigError([Problem("C026", connection.file, "/credentials", message, hint)])


def _is_kept(login: str, credential: str) -> bool:
    try:
        return credential in Store.of_user().read(login).credentials
    except UnknownLoginError:
        return False
