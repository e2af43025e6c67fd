"""Authentication in words."""

from __future__ import annotations

from collections.abc import Sequence

from connector.auth.schemes import scheme_of
from connector.definitions.login import Login
from connector.definitions.model import AuthConfig, BodySignature
from connector.guide.markdown import Markdown, code, prose

_ROTATION = (
    "If an answer brings a new refresh token (some vendors rotate them), it is kept where the old "
    "one is {stored: NAME}; from elsewhere it is used until the run ends, and the next run needs a "
    "fresh one if the old one is then invalid."
)
_LOGIN = (
    "`connector login connection.yaml` signs a person in at {page}, and keeps the tokens; the "
    "browser comes back to {callback}"
)


def auth_words(auth: AuthConfig) -> Markdown:
    """Return how requests are authenticated."""
    sentences: list[str] = [prose(scheme_of(auth).DESCRIPTION)]
    if auth.key_name:
        after = f", after {code(auth.key_prefix)}" if auth.key_prefix else ""
        where = f"in the {prose(auth.key_in)}, as {code(auth.key_name)}{after}"
        sentences.append(f"The key is sent {where}.")
    if auth.grant:
        sentences.append(f"The grant is {code(auth.grant)}.")
    if auth.token_url:
        sentences.append(f"Tokens come from {code(auth.token_url)}.")
    if auth.scope:
        sentences.append(f"The scope is {code(auth.scope)}.")
    if auth.grant == "refresh_token":
        sentences.append(_ROTATION)
    if auth.login:
        sentences.append(_login_words(auth.login))
    for signature in auth.body_signatures:
        sentences.append(_signature_words(auth, signature))
    return Markdown(" ".join(sentences))


def _login_words(login: Login) -> str:
    callback = login.callback.removesuffix(":0")
    port = ", at any free port" if callback != login.callback else ""
    return _LOGIN.format(page=code(login.authorize_url), callback=code(callback)) + f"{port}."


def _signature_words(auth: AuthConfig, signature: BodySignature) -> str:
    words = f"The body is signed ({prose(signature.hash)}) in the header {code(signature.header)}"
    if signature.credential in auth.optional:
        words += f", when there is a {code(signature.credential)}"
    return words + "."


def credential_rows(auth: AuthConfig) -> list[Sequence[object]]:
    """Return a row for each credential: its name, whether it is required, what it is for."""
    purposes: dict[str, str] = dict(scheme_of(auth).CREDENTIALS)
    if auth.key_name:
        where = f"in the {prose(auth.key_in)} as {code(auth.key_name)}"
        purposes["api_key"] = Markdown(f"the key, {where}")
    if auth.login and auth.scheme == "bearer":
        purposes["client_id"] = "the app's client id; only signing in needs it"
    for header, credential in auth.headers.items():
        purpose = f"in the header {code(header)}"
        if credential in purposes:
            purpose = f"{purposes[credential]}; {purpose}"
        purposes[credential] = Markdown(purpose)
    for signature in auth.body_signatures:
        purposes[signature.credential] = Markdown("signs the body")

    rows: list[Sequence[object]] = []
    for name in auth.credentials:
        required = "no" if name in auth.optional else "yes"
        rows.append([code(name), required, purposes.get(name, "")])
    return rows
