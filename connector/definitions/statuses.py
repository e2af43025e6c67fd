"""What an HTTP status means by itself, where no rule of a definition says it."""

from __future__ import annotations

from collections.abc import Mapping

#: The `then` of a rule, and the statuses that mean it. A single status goes before its class; what
#: is in no class (1xx, and beyond 5xx) is sent again.
STATUSES: Mapping[str, tuple[str, ...]] = {
    "delivered": ("2xx",),
    "stop": ("3xx", "4xx", "501"),
    "bisect": ("400", "413", "422"),
    "retry": ("408", "425", "429", "5xx"),
}
_THEN_OF_STATUS = {status: then for then, statuses in STATUSES.items() for status in statuses}

#: The codes of reports for statuses that a definition has words for; others are `http_<status>`.
CODES: Mapping[str, str] = {
    "400": "request_refused",
    "401": "unauthorized",
    "403": "forbidden",
    "404": "not_found",
}


def exceptions_of(status_class: str) -> dict[tuple[str, str], list[str]]:
    """Return the statuses of a class such as `4xx` that mean something else than the class.

    They are listed by what they mean and the code of reports for them.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for status in sorted({*_THEN_OF_STATUS, *CODES}):
        if status[0] == status_class[0] and status.isdigit():
            alike.setdefault((then_of(status), CODES.get(status, "")), []).append(status)
    return alike


def then_of(status: str) -> str:
    """Return what a status such as `404`, or a class such as `4xx`, means as the `then` of a rule.

    A class means what its statuses mean that are not listed themselves.
    """
    return _THEN_OF_STATUS.get(status) or _THEN_OF_STATUS.get(f"{status[0]}xx", "retry")
