"""`connector flush`: have a service send what it accepted so far."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import urlencode

import typer

from connector.cli.options import Format, FormatOption
from connector.cli.output import print_result, say_error
from connector.errors import ConfigError, Problem

_SECONDS = 30.0


def flush(
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="Where the service is reached.")
    ] = "http://127.0.0.1:8080",
    token: Annotated[
        str | None,
        typer.Option(
            "--token", metavar="REFERENCE", help="Where its token stands: env:NAME or file:PATH."
        ),
    ] = None,
    connections: Annotated[
        list[str] | None,
        typer.Option(
            "--connection", metavar="NAME", help="A connection; can be repeated; default: all."
        ),
    ] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Have a service send what it accepted so far without waiting for full requests.

    Exit status: 0 done, 1 the service refused it or cannot be reached, 2 usage error.
    """
    from connector.service.references import reference_in

    if not url.startswith(("http://", "https://")):
        hint = "write it like http://127.0.0.1:8080"
        raise ConfigError([Problem("C050", "--url", "", "is no URL of a service", hint)])
    secret = None if token is None else reference_in(token, "--token")
    query = urlencode([("connection", name) for name in connections or ()])
    address = f"{url.rstrip('/')}/v1/flush" + (f"?{query}" if query else "")
    status, answer = _asked(address, secret)
    if status != 200:
        detail = answer.get("detail") or f"the service answered {status}"
        say_error(f"nothing was flushed: {detail}")
        raise typer.Exit(1)
    print_result(answer, lambda found: f"flushed: {', '.join(found['flushed'])}", form)


def _asked(address: str, secret: str | None) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON of the answer; 0 when there is none."""
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import (
        HTTPRedirectHandler,
        HTTPSHandler,
        ProxyHandler,
        Request,
        build_opener,
    )

    from connector.delivery.http import tls_context

    class Stay(HTTPRedirectHandler):
        """Never takes the token elsewhere."""

        def redirect_request(self, *_: Any) -> None:
            """Follow nothing."""

    headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
    request = Request(address, b"", headers, method="POST")  # noqa: S310 - http or https
    opener = build_opener(Stay, ProxyHandler({}), HTTPSHandler(context=tls_context()))
    try:
        with opener.open(request, timeout=_SECONDS) as answer:
            return answer.status, _object(answer.read())
    except HTTPError as error:
        with error:
            return error.code, _object(error.read())
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        name = getattr(reason, "strerror", None) or type(reason).__name__
        return 0, {"detail": f"the service cannot be reached ({name}); check --url"}


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
