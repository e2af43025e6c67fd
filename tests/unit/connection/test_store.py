"""The store of logins: what is kept is found again, by its owner alone, and nothing of it is ever shown."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.connection import store as store_module
from connector.connection.secrets import KeptSecret, SecretRef, find_secrets
from connector.connection.store import FOLDER_VARIABLE, Login, Store, StoreError, UnknownLoginError
from connector.definitions.model import AuthConfig
from connector.errors import ConfigError, UnauthorizedError

TOKEN = "correct-horse-battery"
LOGIN = Login("Ann", "Tests, signed in on 2026-01-15", {"access_token": TOKEN, "other": "stäple"})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "config" / "logins")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_kept_is_found_again(store: Store) -> None:
    assert store.names() == []
    assert store.write("a", LOGIN) == str(store.folder / "a.json")
    store.write("b-2", Login("", "", {"access_token": "x"}, ends=1.5, signed_in=False))
    assert store.names() == ["a", "b-2"]
    assert store.read("a") == LOGIN
    assert (store.read("b-2").ends, store.read("b-2").signed_in) == (1.5, False)
    store.renew("a", "access_token", "new")
    assert store.read("a").credentials == {"access_token": "new", "other": "stäple"}
    store.forget("a")
    assert store.names() == ["b-2"]
    for forgotten in (store.read, store.forget):
        with pytest.raises(UnknownLoginError):
            forgotten("a")


def test_only_its_owner_can_read_it(store: Store) -> None:
    store.write("a", LOGIN)
    assert (mode(store.folder), mode(store.folder / "a.json")) == (0o700, 0o600)
    assert [file.name for file in store.folder.iterdir()] == ["a.json"]
    assert TOKEN not in repr(LOGIN)
    (store.folder / "a.json").chmod(0o604)
    with pytest.raises(StoreError, match="can be read by others; take the rights away: chmod"):
        store.read("a")
    # signing in again makes it right
    store.write("a", LOGIN)
    assert store.read("a") == LOGIN


def test_a_login_is_replaced_as_a_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write("a", LOGIN)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store_module.os, "fsync", fail)
    with pytest.raises(StoreError, match="cannot be used: No space left on device"):
        store.renew("a", "access_token", "new")
    assert store.read("a") == LOGIN
    assert [file.name for file in store.folder.iterdir()] == ["a.json"]


DAMAGED = ["", "{", "[]", "{}", '{"in_keyring": false, "label": 1}', "\xff",
           '{"label": "", "description": "", "credentials": {"access_token": 7}, "ends": null, "signed_in": true, "in_keyring": false}']  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_login(store: Store, text: str) -> None:
    store.write("a", LOGIN)
    (store.folder / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(StoreError, match=r"is damaged \(\w+\); remove its file in .*, and sign in"):
        store.read("a")


@pytest.mark.parametrize("name", ["", "../a", "a/b", "A", "a.b", "-a", "a" * 64, "a\n"])
def test_a_name_that_is_none_leads_nowhere(store: Store, name: str) -> None:
    for act in (store.read, store.forget, lambda name: store.write(name, LOGIN)):
        with pytest.raises(UnknownLoginError):
            act(name)
    assert not store.folder.exists()


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "own"))
    assert Store.of_user().folder == tmp_path / "own"
    monkeypatch.delenv(FOLDER_VARIABLE)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert Store.of_user().folder == tmp_path / "xdg" / "audience-connector" / "logins"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Store.of_user().folder == tmp_path / ".config" / "audience-connector" / "logins"


# --- the keyring of the operating system ---


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A keyring that works, with what it holds."""
    keyring = pytest.importorskip("keyring")
    backend = pytest.importorskip("keyring.backend")
    errors = pytest.importorskip("keyring.errors")

    class Vault(backend.KeyringBackend):  # type: ignore[misc, name-defined]
        priority = 5
        locked = False
        keeps = False

        def __init__(self) -> None:
            super().__init__()
            self.held: dict[tuple[str, str], str] = {}

        def set_password(self, service: str, username: str, password: str) -> None:
            if self.locked:
                raise errors.KeyringLocked(password)
            self.held[service, username] = password

        def get_password(self, service: str, username: str) -> str | None:
            if self.locked:
                raise errors.KeyringLocked(TOKEN)
            return self.held.get((service, username))

        def delete_password(self, service: str, username: str) -> None:
            if self.keeps or (service, username) not in self.held:
                raise errors.PasswordDeleteError(username)
            del self.held[service, username]

    before = keyring.get_keyring()
    vault = Vault()
    keyring.set_keyring(vault)
    yield vault
    keyring.set_keyring(before)


def test_secrets_are_in_the_keyring(tmp_path: Path, vault: Any) -> None:
    store = Store(tmp_path, keyring=True)
    assert store.write("a", LOGIN) == "the keyring of this system"
    assert TOKEN not in (tmp_path / "a.json").read_text("utf-8")
    assert json.loads(vault.held["audience-connector", "a"])["access_token"] == TOKEN
    assert store.read("a") == LOGIN
    store.renew("a", "access_token", "new")
    assert store.read("a").credentials["access_token"] == "new"
    store.forget("a")
    assert (vault.held, store.names()) == ({}, [])


def test_a_folder_that_is_named_has_no_keyring(tmp_path: Path, vault: Any) -> None:
    assert Store(tmp_path).write("a", LOGIN) == str(tmp_path / "a.json")
    assert vault.held == {}


@pytest.mark.parametrize("how", ["locked", "useless"])
def test_a_keyring_that_does_not_work(tmp_path: Path, vault: Any, how: str) -> None:
    store = Store(tmp_path, keyring=True)
    store.write("a", LOGIN)
    if how == "locked":
        vault.locked = True
    else:
        type(vault).priority = 0
    with pytest.raises(StoreError, match="keyring") as caught:
        store.read("a")
    assert TOKEN not in str(caught.value)
    # the file then, which only its owner can read
    assert store.write("a", LOGIN) == str(tmp_path / "a.json")
    assert store.read("a") == LOGIN
    assert mode(tmp_path / "a.json") == 0o600


def test_a_keyring_that_has_lost_the_secrets(tmp_path: Path, vault: Any) -> None:
    store = Store(tmp_path, keyring=True)
    store.write("a", LOGIN)
    vault.held.clear()
    with pytest.raises(StoreError, match="has lost the login's secrets; unlock the keyring"):
        store.read("a")


def test_a_keyring_that_does_not_forget(tmp_path: Path, vault: Any) -> None:
    store = Store(tmp_path, keyring=True)
    store.write("a", LOGIN)
    vault.keeps = True
    with pytest.raises(StoreError, match="keyring of this system keeps the login's secrets"):
        store.forget("a")
    assert store.read("a") == LOGIN
    vault.keeps = False
    store.forget("a")
    assert (vault.held, store.names()) == ({}, [])


# --- what a connection refers to ---


@pytest.fixture
def users(store: Store, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv(FOLDER_VARIABLE, str(store.folder))
    return store


AUTH = AuthConfig("bearer", ("access_token",))


def found(credential: str = "access_token", name: str = "a", **how: Any) -> dict[str, str]:
    auth = AuthConfig("bearer", (credential,))
    return find_secrets(auth, {credential: SecretRef("stored", name)}, "my connection.yaml", **how)


def refused(credential: str = "access_token", name: str = "a") -> str:
    with pytest.raises(ConfigError) as caught:
        found(credential, name)
    [problem] = caught.value.problems
    assert (problem.code, problem.pointer) == ("C216", f"/credentials/{credential}")
    assert TOKEN not in str(caught.value)
    return f"{problem.message}; {problem.hint}"


def test_a_secret_of_a_login(users: Store) -> None:
    users.write("a", LOGIN)
    assert found() == {"access_token": TOKEN}
    sign_in = "connector login 'my connection.yaml'"
    assert refused(name="ab").startswith("there is no login of this name; known: a")
    assert refused(name="ab").endswith(f"; sign in: {sign_in}")
    said = (
        f"the login has no 'refresh_token'; it has: access_token, other; sign in again: {sign_in}"
    )
    assert refused("refresh_token") == said


def test_a_login_that_has_ended(users: Store) -> None:
    users.write("a", Login("", "", {"access_token": TOKEN}, ends=1.0))
    assert refused().startswith("the login has ended; sign in again: connector login")
    assert found(even_ended=True) == {"access_token": TOKEN}


def test_what_a_sign_in_gives_later_may_be_missing(users: Store) -> None:
    assert found(given_later=("access_token",)) == {}
    users.write("a", LOGIN)
    assert found(given_later=("access_token",)) == {"access_token": TOKEN}


def test_a_name_in_the_place_of_a_secret_is_not_shown(users: Store) -> None:
    assert TOKEN not in refused(name=TOKEN)
    assert TOKEN not in repr(SecretRef("stored", TOKEN))


def test_a_secret_that_is_renewed(users: Store) -> None:
    kept = KeptSecret("a", "access_token")
    assert kept.latest() is None
    with pytest.raises(
        UnauthorizedError, match="cannot be kept: the login was removed from the store"
    ):
        kept.keep("new")
    users.write("a", LOGIN)
    kept.keep("new")
    assert (kept.latest(), users.read("a").credentials["other"]) == ("new", "stäple")
