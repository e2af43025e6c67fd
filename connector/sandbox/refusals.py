"""Why the sandbox refuses a request, in neutral words that a definition's template translates."""

from __future__ import annotations

from http import HTTPStatus

from connector.sandbox.contract import Errors

#: The code of each refusal, and the HTTP status that it comes with.
REFUSALS = {
    "unauthorized": 401,
    "token_revoked": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "unsupported_media_type": 415,
    "malformed": 400,
    "too_many_groups": 400,
    "too_large": 413,
    "rate_limited": 429,
    "unavailable": 503,
    "internal": 500,
    "invalid": 400,
}

_UNAVAILABLE = (502, 503, 504)


class RefusalError(Exception):
    """The request is refused, for the reason that `code` names.

    `errors` has a list of errors for each group, or is empty. `headers` go with the answer.
    """

    def __init__(
        self,
        code: str,
        message: str,
        errors: Errors | None = None,
        *,
        status: int | None = None,
        **headers: str,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status or REFUSALS[code]
        self.message = message
        self.errors = errors or []
        self.headers = headers


def refusal_with_status(status: int) -> RefusalError:
    """Return the refusal for a status that injected fault with."""
    return RefusalError(_code_of(status), "injected fault", status=status)


def _code_of(status: int) -> str:
    if status in _UNAVAILABLE:
        return "unavailable"
    for code, own_status in REFUSALS.items():
        # 400 and 500 stand for several codes; the general ones are meant
        if own_status == status and status not in (400, 500):
            return code
    return "invalid" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal"
