"""What is answered when a request cannot be fulfilled: one shape for all of it (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Problem:
    """Why a request is not fulfilled; `detail` says the fix and quotes nothing of the request."""

    status: int
    code: str
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def response(self) -> Response:
        """Return it as an answer."""
        document = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **self.more,
        }
        content = orjson.dumps(document)
        return Response(content, self.status, dict(self.headers), MEDIA_TYPE)


class ProblemError(Exception):
    """Carries a problem out of what found it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def later(status: int, code: str, detail: str, seconds: int) -> Problem:
    """Return a problem that passes: the request may come again in so many seconds."""
    return Problem(status, code, detail, {"Retry-After": str(seconds)})
