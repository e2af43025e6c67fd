"""`connector login` and `connector logout`: sign in with the vendor, and out again."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.options import (
    ConnectionArgument,
    DefinitionsOption,
    Format,
    FormatOption,
    SetOption,
)
from connector.cli.output import on_one_line, print_result, say_error
from connector.errors import CallError, ConfigError, LoginError, Problem

if TYPE_CHECKING:
    from connector.login.accounts import Account
    from connector.login.flow import SignedIn
    from connector.login.plan import Plan

_WAIT_SECONDS = 300.0
_TRIAL_SECONDS = 20.0


def login(
    connection: ConnectionArgument,
    pin: Annotated[
        bool,
        typer.Option("--pin", help="Enter a PIN that the vendor shows, where it can show one."),
    ] = False,
    callback: Annotated[
        str | None,
        typer.Option(
            "--callback",
            metavar="URL",
            help="Where the browser comes back to: http://127.0.0.1:PORT/, to the letter as it is "
            "registered with the vendor; default: what the definition says.",
        ),
    ] = None,
    paste: Annotated[
        bool,
        typer.Option("--paste", help="Paste what you have already, and visit no page."),
    ] = False,
    browser: Annotated[
        bool,
        typer.Option(
            "--browser/--no-browser", help="Open the page in a browser; it is printed anyway."
        ),
    ] = True,
    label: Annotated[
        str,
        typer.Option(
            "--label", metavar="TEXT", help="Whose login it is; default: as the vendor says."
        ),
    ] = "",
    description: Annotated[
        str,
        typer.Option(
            "--description",
            metavar="TEXT",
            help="What the login is for; default: the destination and the day.",
        ),
    ] = "",
    wait: Annotated[
        float,
        typer.Option("--wait", min=0.1, metavar="SECONDS", help="How long to wait for consent."),
    ] = _WAIT_SECONDS,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Sign in with the vendor, and keep the tokens under the name that the connection gives.

    What the vendor has no page for is asked for; without a terminal it is read from standard input,
    a line for each. Exit status: 0 signed in, 1 declined, refused or without an answer, 2 usage or
    configuration error.
    """
    from connector.connection.load import load_connection
    from connector.definitions.catalog import Catalog
    from connector.login.plan import plan

    with _errors():
        catalog = Catalog(definitions or ())
        loaded = load_connection(connection, catalog, settings or (), signing_in=True)
        planned = plan(loaded, paste=paste)
        _check_options(planned, pin=pin, paste=paste, callback=callback)
        pasted = _paste(planned.pasted)
        person = _AtTheTerminal(browser=browser)
        signed_in = planned.sign_in(person, pasted, callback=callback or "", pin=pin, wait=wait)
        not_tried = _try(planned, pasted)
        places = planned.keep(pasted, signed_in, label, description)
        accounts = _accounts(planned)
        chosen = _choose(accounts)
    result = _result(planned, signed_in, label, places, accounts, chosen)
    result |= {"accepted": None if not_tried else True, "not_tried": not_tried or None}
    print_result(result, _text, form)


def logout(
    connection: ConnectionArgument,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Remove the login here, and leave its token valid."),
    ] = False,
    settings: SetOption = None,
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Have the vendor take the token back, where it can, and remove the login from the store.

    Exit status: 0 removed, 1 the vendor refused or there is no login, 2 usage or configuration
    error.
    """
    from connector.connection.load import load_connection
    from connector.definitions.catalog import Catalog
    from connector.login import sign_out

    removed = []
    with _errors():
        catalog = Catalog(definitions or ())
        loaded = load_connection(connection, catalog, settings or (), signing_in=True)
        logins = sign_out.stored_logins(loaded)
        if not logins:
            raise LoginError(f"{loaded.file} refers to no login that there is")
        for name, stored in logins.items():
            revoked = not forget and sign_out.revoke(loaded, stored)
            sign_out.forget(name)
            removed.append({"login": name, "label": stored.label, "revoked": revoked})
    print_result({"removed": removed}, _removed_text, form)


@contextmanager
def _errors() -> Iterator[None]:
    """End with status 1 when nobody is signed in or out; a store that fails is a ConfigError."""
    from connector.connection.store import FOLDER_VARIABLE, StoreError

    try:
        yield
    except LoginError as error:
        say_error(str(error))
        raise typer.Exit(1) from None
    except StoreError as error:
        message, _, hint = str(error).partition("; ")
        raise ConfigError([Problem("C028", FOLDER_VARIABLE, "", message, hint)]) from None


def _check_options(planned: Plan, *, pin: bool, paste: bool, callback: str | None) -> None:
    """Raise ConfigError for options that would have no effect, and a callback that is none."""
    from connector.login.callback import callback_problem

    if pin and paste:
        message = "it and --paste exclude each other: who pastes visits no page"
        raise _unusable("--pin", message, "leave one of them out")
    if pin and not planned.can_use_pin:
        raise _unusable("--pin", "this destination shows no PIN", "leave it out")
    if callback is None:
        return
    if pin or planned.login is None:
        raise _unusable("--callback", "no browser comes back to it", "leave it out")
    message = callback_problem(callback)
    if message:
        raise _unusable("--callback", message)


def _unusable(option: str, message: str, hint: str = "") -> ConfigError:
    return ConfigError([Problem("C027", option, "", message, hint)])


class _AtTheTerminal:
    """Whoever runs the command."""

    def __init__(self, *, browser: bool) -> None:
        self._browser = browser

    def visit(self, address: str) -> None:
        """Print the address, and open it."""
        print(f"sign in here: {address}", file=sys.stderr, flush=True)
        if self._browser:
            import webbrowser

            webbrowser.open(address)

    def pin(self) -> str:
        """Ask for the PIN."""
        return _read_line("PIN", is_secret=False)


def _paste(names: Sequence[str]) -> dict[str, str]:
    """Ask for secrets without showing them. Raise LoginError for one that is left out."""
    pasted = {}
    for name in names:
        secret = _read_line(name, is_secret=True)
        if not secret or not secret.isprintable():
            raise LoginError(f"'{name}' was not pasted as one line; nothing is stored")
        pasted[name] = secret
    return pasted


def _read_line(question: str, *, is_secret: bool) -> str:
    """Ask on a terminal; elsewhere read a line of standard input, "" at its end."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    text: str = typer.prompt(
        question, hide_input=is_secret, err=True, default="", show_default=False
    )
    return text.strip()


def _try(planned: Plan, pasted: Mapping[str, str]) -> str:
    """Return why it is not known that the vendor accepts what was pasted, "" when it does.

    Raise LoginError when the vendor refuses it. What a page gave needs no trial.
    """
    from connector import library
    from connector.login.trial import why_not_tried

    if planned.login is not None:
        return ""
    try:
        secrets = planned.all_secrets(pasted)
        opened = library.http_transport(planned.connection, secrets=secrets, timeout=_TRIAL_SECONDS)
    except ConfigError as error:
        return error.problems[0].message
    with opened as transport:
        return why_not_tried(planned.connection, transport)


def _accounts(planned: Plan) -> list[Account]:
    """Return the accounts of who signed in, none where nothing lists them."""
    from connector import library
    from connector.login.accounts import accounts_from

    login = planned.login
    if login is None or login.accounts is None:
        return []
    try:
        with library.http_transport(planned.connection) as transport:
            return accounts_from(planned.connection, login.accounts, transport)
    except CallError as error:
        say_error(f"signed in, but the accounts cannot be listed: {error}")
        return []


def _choose(accounts: Sequence[Account]) -> Account | None:
    """Return the account to use; ask where there are several and somebody to ask."""
    if len(accounts) == 1:
        return accounts[0]
    if not accounts or not sys.stdin.isatty():
        return None

    for number, account in enumerate(accounts, 1):
        say_error(f"{number:>4}  {account.id}  {account.name}".rstrip())

    def pick(text: str) -> Account:
        number = int(text) if text.strip().isdecimal() else 0
        if not 1 <= number <= len(accounts):
            raise typer.BadParameter(f"a number from 1 to {len(accounts)}")
        return accounts[number - 1]

    picked: Account = typer.prompt("account", value_proc=pick, err=True)
    return picked


def _result(
    planned: Plan,
    signed_in: SignedIn,
    label: str,
    places: Sequence[str],
    accounts: Sequence[Account],
    chosen: Account | None,
) -> dict[str, Any]:
    login = planned.login
    settings = {}
    if chosen and login and login.accounts:
        settings[login.accounts.setting] = chosen.id
    return {
        "logins": sorted(set(planned.kept_in.values())),
        "label": label or signed_in.label,
        "kept_in": list(places),
        "accounts": [account._asdict() for account in accounts],
        "settings": settings,
    }


def _text(result: Mapping[str, Any]) -> str:
    whose = f" as {on_one_line(result['label'])}" if result["label"] else ""
    kept = f"kept in {', '.join(result['kept_in'])}"
    lines = [f"signed in{whose}; {kept}"]
    if result["not_tried"]:
        lines = [f"{kept}; whether the vendor accepts it is not known: {result['not_tried']}"]
    if result["settings"]:
        lines.append("settings:")
        for name, value in result["settings"].items():
            lines.append(f"  {name}: {value}")
    elif result["accounts"]:
        lines.append("accounts, of which one is to be set:")
        for account in result["accounts"]:
            lines.append(f"  {account['id']}  {on_one_line(account['name'])}".rstrip())
    return "\n".join(lines)


def _removed_text(result: Mapping[str, Any]) -> str:
    lines = []
    for login in result["removed"]:
        whose = f" of {on_one_line(login['label'])}" if login["label"] else ""
        how = (
            "the vendor took its token back" if login["revoked"] else "its token is not taken back"
        )
        lines.append(f"removed the login '{login['login']}'{whose}; {how}")
    return "\n".join(lines)
