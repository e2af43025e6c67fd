"""`connector new`: asks an author, or takes flags, and writes the files of a first destination."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.options import Format, FormatOption
from connector.cli.output import print_result
from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.scaffold.scaffold import Wanted


class AuthKind(StrEnum):
    """How requests prove who sends them."""

    OAUTH1 = "oauth1"
    BEARER = "bearer"
    BASIC = "basic"
    API_KEY_HEADER = "api-key-header"
    API_KEY_QUERY = "api-key-query"
    API_KEY_BODY = "api-key-body"
    OAUTH2_CLIENT_CREDENTIALS = "oauth2-client-credentials"
    OAUTH2_REFRESH_TOKEN = "oauth2-refresh-token"  # noqa: S105 - a name
    NONE = "none"


EXAMPLE = "connector new acme --base-url https://api.acme.example --auth bearer --identifier email"


def new(
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DESTINATION", help="Its name: lower-case letters, digits, underscores."
        ),
    ],
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="The vendor's https address.")
    ] = None,
    auth: Annotated[
        AuthKind | None, typer.Option("--auth", help="How requests prove who sends them.")
    ] = None,
    identifiers: Annotated[
        list[str] | None,
        typer.Option(
            "--identifier",
            metavar="NAME",
            help="What names a person: email, another known kind, or a name of your own "
            "(an id that is trimmed and sent as it is); can be repeated.",
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            "--path",
            metavar="PATH",
            help="The path below the address; its last {name} is the audience, others are settings.",
        ),
    ] = None,
    into: Annotated[
        Path, typer.Option("--into", metavar="FOLDER", help="Where the files go.")
    ] = Path(),
    form: FormatOption = Format.TEXT,
) -> None:
    """Write the files of a new destination, with a case that passes.

    On a terminal, what no option says is asked for. Files that exist are never overwritten.
    """
    from connector.scaffold.scaffold import check, scaffold, write

    check(destination, base_url, identifiers or (), path)
    written = write(
        into, scaffold(_wanted(destination, base_url, auth, tuple(identifiers or ()), path))
    )
    following = [shlex.join(["connector", *command]) for command in _following(destination, into)]
    result = {
        "destination": destination,
        "files": [str(file) for file in written],
        "next": following,
    }
    print_result(result, _text, form)


def _text(result: Mapping[str, Any]) -> str:
    rows = [
        "wrote",
        *(f"  {file}" for file in result["files"]),
        "next",
        *(f"  {line}" for line in result["next"]),
    ]
    return "\n".join(rows)


def _following(destination: str, into: Path) -> list[list[str]]:
    """Return the commands that an author goes on with."""
    folder, first = (
        str(into),
        [str(into / f"{destination}.{kind}") for kind in ("connection.yaml", "events.ndjson")],
    )
    commands = [
        ["lint", folder],
        ["test", str(into / "cases")],
        ["preview", *first],
        ["send", "--sandbox", *first],
    ]
    return [[*command, "--definitions", folder] for command in [*commands, ["docs", destination]]]


def _wanted(
    destination: str,
    base_url: str | None,
    auth: AuthKind | None,
    identifiers: tuple[str, ...],
    path: str | None,
) -> Wanted:
    """Return what was given, after asking for what is missing. Raises ConfigError (C019) when nobody can be asked."""
    from connector.scaffold import scaffold

    given = {"--base-url": base_url, "--auth": auth, "--identifier": identifiers}
    missing = [flag for flag, value in given.items() if not value]
    if missing and not sys.stdin.isatty():
        raise _missing(missing)
    usual = scaffold.parts()["path"]
    base_url = base_url or _ask("the vendor's address (https://…)", scaffold.wrong_base_url)
    auth = auth or AuthKind(
        _ask(f"authentication ({', '.join(AuthKind)})", _wrong_auth, AuthKind.BEARER)
    )
    identifiers = identifiers or _names(_ask(*_about_identifiers()))
    if path is None and missing:
        path = _ask("path", lambda text: scaffold.wrong_path(text, identifiers), usual)
    return scaffold.Wanted(destination, base_url, auth.value, identifiers, path or usual)


def _missing(flags: Sequence[str]) -> ConfigError:
    from connector.scaffold.scaffold import parts

    allowed = {
        "--base-url": "the vendor's https address",
        "--auth": ", ".join(AuthKind),
        "--identifier": f"{', '.join(parts()['identifiers'])}, or a name of your own",
    }
    problems = [
        Problem("C019", flag, "", "is missing, and there is no terminal to ask on", allowed[flag])
        for flag in flags
    ]
    last = problems[-1]
    return ConfigError([*problems[:-1], last._replace(hint=f"{last.hint}\nexample: {EXAMPLE}")])


def _about_identifiers() -> tuple[str, Callable[[str], str], str]:
    from connector.scaffold.scaffold import parts, wrong_identifiers

    known = list(parts()["identifiers"])
    words = f"what names a person ({', '.join(known)} or names of your own, parted by commas)"
    return words, lambda text: wrong_identifiers(_names(text)), known[0]


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _wrong_auth(text: str) -> str:
    return "" if text in list(AuthKind) else f"'{text}' is none of {', '.join(AuthKind)}"


def _ask(words: str, wrong: Callable[[str], str], default: str | None = None) -> str:
    """Ask until nothing is wrong with the answer; on stderr, so that what is printed stays clean."""

    def checked(text: str) -> str:
        message = wrong(text.strip())
        if message:
            raise typer.BadParameter(message)
        return text.strip()

    answer: str = typer.prompt(words, default=default, value_proc=checked, err=True)
    return answer
