"""`connector new`: ask an author, or take options, and write the files of a first destination."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from connector.cli.options import DefinitionsOption, Format, FormatOption
from connector.cli.output import print_result
from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    from connector.scaffold.answers import Answers


class AuthChoice(StrEnum):
    """How requests are authenticated."""

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
            metavar="DESTINATION",
            help="The destination's name: lower-case letters, digits, underscores.",
        ),
    ],
    base_url: Annotated[
        str | None, typer.Option("--base-url", metavar="URL", help="The vendor's https address.")
    ] = None,
    auth: Annotated[
        AuthChoice | None, typer.Option("--auth", help="How requests are authenticated.")
    ] = None,
    identifiers: Annotated[
        list[str] | None,
        typer.Option(
            "--identifier",
            metavar="NAME",
            help="An identifier of people: email, another known kind, or a custom name "
            "(an id that is trimmed, not hashed); can be repeated.",
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            "--path",
            metavar="PATH",
            help="The path after the base URL; "
            "its last {name} is the audience, others are settings.",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="PRESET",
            help="Instead of a new destination: a connection to one that is there, for the events "
            "of this system, with events and cases. 'connector show DESTINATION' lists them.",
        ),
    ] = None,
    into: Annotated[
        Path, typer.Option("--into", metavar="FOLDER", help="The folder to write the files to.")
    ] = Path(),
    definitions: DefinitionsOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Write the files of a new destination, with a case that passes; or a connection to start from.

    On a terminal, what no option says is asked for. Files that exist are never overwritten.
    """
    if preset is not None:
        from connector.cli.new_preset import check_alone, new_preset, text

        check_alone(
            {"--base-url": base_url, "--auth": auth, "--identifier": identifiers, "--path": path}
        )
        print_result(new_preset(destination, preset, into, definitions or ()), text, form)
        return
    if definitions:
        message = "has no effect without --from"
        raise ConfigError([Problem("C020", "--definitions", "", message, "leave it out")])

    from connector.scaffold.answers import check
    from connector.scaffold.scaffold import meta_schemas, scaffold, write

    check(destination, base_url, identifiers or (), path)
    answers = _answers(destination, base_url, auth, tuple(identifiers or ()), path)
    files = scaffold(answers) | meta_schemas(into)
    written = write(into, dict(sorted(files.items())))

    result = {
        "destination": destination,
        "files": [str(file) for file in written],
        "next": _next_commands(destination, into),
    }
    print_result(result, _text, form)


def _text(result: Mapping[str, Any]) -> str:
    lines = ["wrote"]
    for file in result["files"]:
        lines.append(f"  {file}")
    lines.append("next")
    for command in result["next"]:
        lines.append(f"  {command}")
    return "\n".join(lines)


def _next_commands(destination: str, folder: Path) -> list[str]:
    """Return the next commands for an author."""
    connection = str(folder / f"{destination}.connection.yaml")
    events = str(folder / f"{destination}.events.ndjson")
    commands = [
        ["lint", str(folder)],
        ["test", str(folder / "cases")],
        ["preview", connection, events],
        ["send", "--sandbox", connection, events],
        ["docs", destination],
    ]

    lines = []
    for command in commands:
        lines.append(shlex.join(["connector", *command, "--definitions", str(folder)]))
    return lines


# Asking
# -----------------------------------------------------------------------------------------------


def _answers(
    destination: str,
    base_url: str | None,
    auth: AuthChoice | None,
    identifiers: tuple[str, ...],
    path: str | None,
) -> Answers:
    """Return the answers; ask for missing ones.

    Raise ConfigError (C019) when there is no terminal to ask on.
    """
    from connector.scaffold.answers import Answers, check_base_url, check_path, choices

    options = {"--base-url": base_url, "--auth": auth, "--identifier": identifiers}
    missing = [option for option, value in options.items() if not value]
    if missing and not sys.stdin.isatty():
        raise _missing_options(missing)

    usual_path: str = choices()["path"]
    if not base_url:
        base_url = _ask("the vendor's address (https://…)", check_base_url)
    if not auth:
        auth = AuthChoice(_ask(_auth_question(), _check_auth, AuthChoice.BEARER))
    if not identifiers:
        identifiers = _ask_for_identifiers()
    if path is None and missing:
        path = _ask("path", lambda text: check_path(text, identifiers), usual_path)
    return Answers(destination, base_url, auth.value, identifiers, path or usual_path)


def _missing_options(options: Sequence[str]) -> ConfigError:
    from connector.scaffold.answers import choices

    known = ", ".join(choices()["identifiers"])
    hints = {
        "--base-url": "the vendor's https address",
        "--auth": ", ".join(AuthChoice),
        "--identifier": f"{known}, or a custom name",
    }
    problems = []
    for option in options:
        hint = hints[option]
        if option == options[-1]:
            hint += f"\nexample: {EXAMPLE}"
        message = "is required when there is no terminal to ask on"
        problems.append(Problem("C019", option, "", message, hint))
    return ConfigError(problems)


def _auth_question() -> str:
    return f"authentication ({', '.join(AuthChoice)})"


def _check_auth(text: str) -> str:
    allowed = list(AuthChoice)
    return (
        "" if text in allowed else f"unknown authentication '{text}'; known: {', '.join(allowed)}"
    )


def _ask_for_identifiers() -> tuple[str, ...]:
    from connector.scaffold.answers import check_identifiers, choices

    known = list(choices()["identifiers"])
    question = f"identifiers ({', '.join(known)} or custom names, separated by commas)"
    answer = _ask(question, lambda text: check_identifiers(_names(text)), known[0])
    return _names(answer)


def _names(text: str) -> tuple[str, ...]:
    names = map(str.strip, text.split(","))
    return tuple(filter(None, names))


def _ask(question: str, check: Callable[[str], str], default: str | None = None) -> str:
    """Ask on stderr until `check` accepts the answer; stdout holds the result alone."""

    def checked(text: str) -> str:
        message = check(text.strip())
        if message:
            raise typer.BadParameter(message)
        return text.strip()

    answer: str = typer.prompt(question, default=default, value_proc=checked, err=True)
    return answer
