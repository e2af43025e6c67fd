"""OAuth 1.0a with HMAC-SHA1 (RFC 5849), in the Authorization header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

from oauthlib.oauth1 import SIGNATURE_HMAC_SHA1, Client

from connector.auth.base import Exchange, Message, Scheme
from connector.definitions.model import AuthConfig


class OAuth1(Scheme):
    """Signs the method and the URL with its query.

    A JSON body is not part of the signature (RFC 5849, 3.4.1.3).
    """

    DESCRIPTION: ClassVar[str] = (
        "OAuth 1.0a: every request is signed, and signed again for each retry."
    )
    CREDENTIALS: ClassVar[Mapping[str, str]] = {
        "consumer_key": "the app's consumer key",
        "consumer_secret": "the app's consumer secret",
        "access_token": "the access token of the user for whom the app acts",
        "access_token_secret": "the secret of that access token",
    }
    SIGNED_IN: ClassVar[tuple[str, ...]] = ("access_token", "access_token_secret")

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)

    def sign(self, message: Message, exchange: Exchange) -> Message:
        """Sign with a new nonce and the current time."""
        return self.signed(message)

    def signed(
        self, message: Message, nonce: str | None = None, timestamp: str | None = None
    ) -> Message:
        """Sign; a given nonce and time (seconds since the epoch) are for test vectors only."""
        client = Client(
            self._secrets["consumer_key"],
            client_secret=self._secrets["consumer_secret"],
            resource_owner_key=self._secrets["access_token"],
            resource_owner_secret=self._secrets["access_token_secret"],
            signature_method=SIGNATURE_HMAC_SHA1,
            nonce=nonce,
            timestamp=timestamp,
        )
        _, headers, _ = client.sign(message.url, cast(Any, message.method))
        return message.with_header("authorization", headers["Authorization"])


class OAuth1SignIn(Scheme):
    """Signs the requests of a sign-in (RFC 5849, 2): by the app, later with the request token.

    `token` is the request token and its secret. `callback` and `verifier` are signed and sent in
    the header.
    """

    def __init__(
        self,
        secrets: Mapping[str, str],
        *,
        callback: str = "",
        token: tuple[str, str] | None = None,
        verifier: str = "",
    ) -> None:
        key, secret = token or (None, None)
        self._client = Client(
            secrets["consumer_key"],
            client_secret=secrets["consumer_secret"],
            resource_owner_key=key,
            resource_owner_secret=secret,
            callback_uri=callback or None,
            verifier=verifier or None,
            signature_method=SIGNATURE_HMAC_SHA1,
        )

    def sign(self, message: Message, exchange: Exchange) -> Message:
        """Sign with a new nonce and the current time."""
        _, headers, _ = self._client.sign(message.url, cast(Any, message.method))
        return message.with_header("authorization", headers["Authorization"])
