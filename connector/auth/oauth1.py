"""OAuth 1.0a with HMAC-SHA1 (RFC 5849), in the Authorization header."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, ClassVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from oauthlib.common import Request as OAuthRequest
from oauthlib.oauth1 import SIGNATURE_HMAC_SHA1, Client
from oauthlib.oauth1.rfc5849 import signature

from connector.auth.base import Ask, Message, Scheme, same
from connector.definitions.model import AuthConfig

# How far a request's time may be off in the sandbox; vendors do not say how far they let it be.
_CLOCK_SECONDS = 300


class OAuth1(Scheme):
    """Signs the method and the URL with its query; a JSON body is not part of the signature (RFC 5849, 3.4.1.3)."""

    CREDENTIALS: ClassVar[tuple[str, ...]] = (
        "consumer_key",
        "consumer_secret",
        "access_token",
        "access_token_secret",
    )

    def __init__(self, config: AuthConfig, secrets: Mapping[str, str]) -> None:
        """`config` needs nothing; secrets: the four credentials."""
        self._secrets = dict(secrets)
        self._seen: set[tuple[str, str]] = set()

    def sign(self, message: Message, ask: Ask) -> Message:
        """Sign with a new nonce and the time of now."""
        return self.signed(message)

    def signed(
        self, message: Message, nonce: str | None = None, timestamp: str | None = None
    ) -> Message:
        """Sign; a given nonce and time (seconds since the epoch) are for vectors only."""
        secrets = self._secrets
        client = Client(
            secrets["consumer_key"],
            client_secret=secrets["consumer_secret"],
            resource_owner_key=secrets["access_token"],
            resource_owner_secret=secrets["access_token_secret"],
            signature_method=SIGNATURE_HMAC_SHA1,
            nonce=nonce,
            timestamp=timestamp,
        )
        _, headers, _ = client.sign(message.url, cast(Any, message.method))
        return message.with_header("authorization", headers["Authorization"])

    def verify(self, message: Message) -> str | None:
        """Check keys, time, nonce and signature."""
        given = _authorization_fields(message.headers.get("authorization", ""))
        if not given:
            return "there is no OAuth Authorization header"
        if not same(given.get("oauth_consumer_key", ""), self._secrets["consumer_key"]):
            return "the consumer key is not known"
        if not same(given.get("oauth_token", ""), self._secrets["access_token"]):
            return "the access token is not known"
        timestamp = given.get("oauth_timestamp", "")
        if given.get("oauth_signature_method") != "HMAC-SHA1":
            return "oauth_signature_method is not HMAC-SHA1"
        if (
            not re.fullmatch("[0-9]{1,12}", timestamp)
            or abs(time.time() - int(timestamp)) > _CLOCK_SECONDS
        ):
            return "oauth_timestamp is too far from now"
        if not self._is_signed(message, given):
            return "the signature is wrong"
        return self._fresh(timestamp, given.get("oauth_nonce", ""))

    def _is_signed(self, message: Message, given: dict[str, str]) -> bool:
        fields = [
            (name, value)
            for name, value in given.items()
            if name not in ("realm", "oauth_signature")
        ]
        query = parse_qsl(urlsplit(message.url).query, keep_blank_values=True)
        request: Any = OAuthRequest(message.url, cast(Any, message.method))
        request.params = fields + query
        request.signature = given.get("oauth_signature", "")
        secrets = self._secrets["consumer_secret"], self._secrets["access_token_secret"]
        return bool(signature.verify_hmac_sha1(request, *secrets))

    def _fresh(self, timestamp: str, nonce: str) -> str | None:
        if not nonce or (timestamp, nonce) in self._seen:
            return "the nonce was used before"
        limit = time.time() - 2 * _CLOCK_SECONDS
        if len(self._seen) > 100_000:
            self._seen = {seen for seen in self._seen if int(seen[0]) > limit}
        self._seen.add((timestamp, nonce))
        return None


def _authorization_fields(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "oauth":
        return {}
    pairs = (part.strip().partition("=") for part in rest.split(","))
    return {unquote(name): unquote(value.strip('"')) for name, _, value in pairs if name}
